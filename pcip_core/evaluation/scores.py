"""Scores of predictions: accuracy, balanced accuracy, recall of each class, and confusion matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from pcip_core.evaluation.classifiers import CrossValidated
from pcip_core.evaluation.knn import leave_one_out_knn
from pcip_core.evaluation.usable import usable
from pcip_core.features.names import best_layers

_BOOTSTRAPS = 1000


def class_scores(truth: np.ndarray, predicted: np.ndarray) -> list[dict[str, Any]]:
    """Score predictions.

    Args:
        truth, predicted: (n,) classes.

    Returns:
        Rows with label (None: all classes), metric, value and n, the number of cells: `balanced_accuracy` (the mean
        recall over the classes), `accuracy`, and `recall` for each class.

    >>> rows = class_scores(np.array(["a", "a", "b"]), np.array(["a", "b", "b"]))
    >>> [(row["label"], row["metric"], round(row["value"], 2)) for row in rows]
    [(None, 'balanced_accuracy', 0.75), (None, 'accuracy', 0.67), ('a', 'recall', 0.5), ('b', 'recall', 1.0)]
    """
    hit = truth == predicted
    recalls = [
        {"label": str(label), "metric": "recall", "value": float(hit[truth == label].mean()), "n": int(n)}
        for label, n in zip(*np.unique(truth, return_counts=True), strict=True)
    ]
    balanced = float(np.mean([row["value"] for row in recalls]))
    overall = [("balanced_accuracy", balanced), ("accuracy", float(hit.mean()))]
    rows = [{"label": None, "metric": metric, "value": value, "n": len(truth)} for metric, value in overall]
    return rows + recalls


def confusion(truth: np.ndarray, predicted: np.ndarray) -> list[dict[str, Any]]:
    """Compute the confusion matrix as rows with label, predicted and n, including pairs with n = 0.

    >>> rows = confusion(np.array(["a", "a", "b"]), np.array(["a", "b", "b"]))
    >>> [(row["label"], row["predicted"], row["n"]) for row in rows]
    [('a', 'a', 1), ('a', 'b', 1), ('b', 'a', 0), ('b', 'b', 1)]
    """
    classes, at = np.unique(np.concatenate([truth, predicted]), return_inverse=True)
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (at[: len(truth)], at[len(truth) :]), 1)
    return [
        {"label": str(label), "predicted": str(other), "n": int(counts[row, column])}
        for row, label in enumerate(classes)
        for column, other in enumerate(classes)
    ]


@dataclass(frozen=True)
class Scored:
    """Scores and confusion matrix; each row has a classifier and a parameter (`k=11`, `C=1`, `trees=500`).

    Attributes:
        rows: rows of `class_scores`.
        confusion: rows of `confusion`.
        exclusions: reason -> number of columns, cells or ks that were not used.
    """

    rows: list[dict[str, Any]]
    confusion: list[dict[str, Any]]
    exclusions: dict[str, int] = field(default_factory=dict)


def knn_scores(
    features: np.ndarray,
    labels: np.ndarray,
    *,
    groups: np.ndarray | None,
    ks: Sequence[int],
    scored: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    images: np.ndarray | None = None,
    progress: Callable[[int], None] | None = None,
) -> Scored:
    """Score the k nearest neighbour classification for each k.

    Args:
        features, labels, groups, ks, weights, progress: as for `leave_one_out_knn`.
        scored: (n,) bool, the cells to score; by default all. All cells can be neighbours.
        images: (n,) image of each cell; balanced accuracies then have the interval of `over_images`.

    Raises:
        ShapeError, EvaluationError: as for `leave_one_out_knn`.

    >>> features, labels = np.array([[0.0], [0.1], [1.0], [1.1]]), np.array(["a", "a", "b", "b"])
    >>> scored = knn_scores(features, labels, groups=None, ks=(1,))
    >>> scored.rows[0]["parameter"], scored.rows[0]["metric"], scored.rows[0]["value"]
    ('k=1', 'balanced_accuracy', 1.0)
    """
    if not ks:
        return Scored([], [])
    predicted = leave_one_out_knn(features, labels, ks=ks, groups=groups, weights=weights, progress=progress)
    these = np.ones(len(labels), bool) if scored is None else scored
    truth, of_k = labels[these], {k: predicted[k][these] for k in ks}
    intervals = {}
    if images is not None:
        hits = np.stack([of_k[k] == truth for k in ks], axis=1)
        intervals = dict(zip(ks, over_images(truth, hits, images[these]), strict=True))
    rows, pairs = [], []
    for k in ks:
        scores = predicted_scores(truth, of_k[k], classifier="knn", parameter=f"k={k}")
        ends = intervals.get(k)
        rows += [
            {**row, "low": ends[0], "high": ends[1]} if ends and row["metric"] == "balanced_accuracy" else row
            for row in scores.rows
        ]
        pairs += scores.confusion
    return Scored(rows, pairs)


def over_images(truth: np.ndarray, hits: np.ndarray, images: np.ndarray) -> list[tuple[float, float] | None]:
    """95 % intervals of balanced accuracies: a bootstrap of the images of each class, whose cells are not independent.

    The predictions stay as they are: the interval says how much the score depends on which images were taken, not on
    which cells could be neighbours, nor on the training of the network.

    Args:
        truth, images: (n,) class and image of each cell.
        hits: (n, scores) whether a cell was predicted correctly, for each score.

    Returns:
        The 2.5 and 97.5 percentiles for each score; None where no class has two images. A class with one image adds
        nothing to the width.

    >>> truth, images = np.array(["a", "a", "b", "b"]), np.array([1, 2, 3, 4])
    >>> over_images(truth, np.array([[True, True], [True, False], [True, True], [True, True]]), images)
    [(1.0, 1.0), (0.5, 1.0)]
    """
    rng = np.random.default_rng(0)
    classes = np.unique(truth)
    recalls, resampled = np.zeros((_BOOTSTRAPS, hits.shape[1])), False
    for label in classes:
        of_class = truth == label
        numbers = np.unique(images[of_class], return_inverse=True)[1]
        n = int(numbers.max()) + 1
        sizes = np.bincount(numbers, minlength=n).astype(np.float64)
        found = np.stack([np.bincount(numbers, column, n) for column in hits[of_class].T], axis=1)
        times = rng.multinomial(n, np.full(n, 1 / n), _BOOTSTRAPS)  # how often each image is drawn
        recalls += (times @ found) / (times @ sizes)[:, None]
        resampled |= n > 1
    if not resampled:
        return [None] * hits.shape[1]
    low, high = np.percentile(recalls / len(classes), (2.5, 97.5), axis=0)
    return [(float(least), float(most)) for least, most in zip(low, high, strict=True)]


def usable_knn_scores(
    features: np.ndarray,
    labels: np.ndarray,
    *,
    feature_set: str,
    groups: np.ndarray | None,
    ks: Sequence[int],
    scored: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    images: np.ndarray | None = None,
) -> Scored:
    """`knn_scores` of the columns, cells and ks that can be used (`usable`); the others are in `exclusions`.

    Args:
        features, labels, groups, ks, scored, weights, images: as of `knn_scores`; features may be constant or not
            finite.
        feature_set: its name, for the error.

    Raises:
        ShapeError, EvaluationError: as `usable`.
    """
    kept = usable(features, labels, feature_set=feature_set, groups=groups, ks=ks)
    scores = knn_scores(
        features[kept.cells][:, kept.columns],
        labels[kept.cells],
        groups=None if groups is None else groups[kept.cells],
        ks=kept.ks,
        scored=None if scored is None else scored[kept.cells],
        weights=None if weights is None else weights[kept.columns],
        images=None if images is None else images[kept.cells],
    )
    return Scored(scores.rows, scores.confusion, kept.exclusions)


def classifier_scores(labels: np.ndarray, result: CrossValidated) -> Scored:
    """Score a classifier under cross-validation (`cross_validated`).

    With several folds, `balanced_accuracy` is the mean over the folds, and `low` and `high` are the lowest and the
    highest fold, as in the paper (Supplementary Table 2). `accuracy` and `recall` are over all test cells.

    Args:
        labels: (n,) class of each cell.
        result: their predictions.
    """
    settings = result.settings
    parameter = f"trees={settings['trees']}" if "trees" in settings else f"C={settings['C']:g}"
    tested = result.fold >= 0
    key = {"classifier": settings["classifier"], "parameter": parameter}
    scores = predicted_scores(labels[tested], result.predicted[tested], **key)
    rows, by_fold = scores.rows, result.balanced_accuracies
    if len(by_fold) > 1:
        over_folds = {"value": float(np.mean(by_fold)), "low": min(by_fold), "high": max(by_fold)}
        rows = [{**row, **over_folds} if row["metric"] == "balanced_accuracy" else row for row in rows]
    return Scored(rows, scores.confusion)


def predicted_scores(truth: np.ndarray, predicted: np.ndarray, *, classifier: str, parameter: str) -> Scored:
    """Scores of predictions that were made elsewhere.

    Args:
        truth, predicted: (n,) classes.
        classifier, parameter: what made the predictions.
    """
    key = {"classifier": classifier, "parameter": parameter}
    rows = [{**key, **row} for row in class_scores(truth, predicted)]
    return Scored(rows, [{**key, **row} for row in confusion(truth, predicted)])


def best_by_knn(benchmarks: pl.DataFrame, protocol: str) -> list[str]:
    """The best layer of each method and correction by kNN, the best of all first.

    The number of neighbours is 11 where it was scored (the paper's), and otherwise the largest.

    Args:
        benchmarks: rows of main.benchmarks.
        protocol: the one that decides.
    """
    overall = benchmarks.filter(
        pl.col("protocol") == protocol,
        pl.col("metric") == "balanced_accuracy",
        pl.col("classifier") == "knn",
        pl.col("label").is_null(),
    ).with_columns(k=pl.col("parameter").str.strip_prefix("k=").cast(pl.Int64))
    k = pl.col("k")
    scores = overall.filter(k == pl.when((k == 11).any()).then(11).otherwise(k.max()))
    return best_layers(dict(scores.select("feature_set", "value").iter_rows()))
