"""Scores of predictions: accuracy, balanced accuracy, recall of each class, and confusion matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from pcip_core.evaluation.checks.intervals import recall_intervals
from pcip_core.evaluation.classifiers import CrossValidated
from pcip_core.evaluation.knn import leave_one_out_knn
from pcip_core.evaluation.usable import usable
from pcip_core.features.names import best_layers


def class_scores(
    truth: np.ndarray, predicted: np.ndarray, *, images: np.ndarray | None = None
) -> list[dict[str, Any]]:
    """Score predictions.

    Args:
        truth, predicted: (n,) classes.
        images: (n,) image of each cell, for the intervals; None for no intervals.

    Returns:
        Rows with label (None: all classes), metric, value and n, the number of cells: `balanced_accuracy` (the mean
        recall over the classes), `accuracy`, and `recall` for each class; with images, `low` and `high`, the ends of
        the 95 % interval (`recall_intervals`).

    >>> rows = class_scores(np.array(["a", "a", "b"]), np.array(["a", "b", "b"]))
    >>> [(row["label"], row["metric"], round(row["value"], 2)) for row in rows]
    [(None, 'balanced_accuracy', 0.75), (None, 'accuracy', 0.67), ('a', 'recall', 0.5), ('b', 'recall', 1.0)]
    """
    hit = truth == predicted
    recalls: list[dict[str, Any]] = [
        {"label": str(label), "metric": "recall", "value": float(hit[truth == label].mean()), "n": int(n)}
        for label, n in zip(*np.unique(truth, return_counts=True), strict=True)
    ]
    balanced = float(np.mean([row["value"] for row in recalls]))
    overall = [("balanced_accuracy", balanced), ("accuracy", float(hit.mean()))]
    rows: list[dict[str, Any]] = [
        {"label": None, "metric": metric, "value": value, "n": len(truth)} for metric, value in overall
    ]
    rows += recalls
    if images is None or not len(truth):
        return rows
    over_classes, over_cells, of_class = recall_intervals(hit, truth, images)
    intervals = [over_classes, over_cells, *(of_class[row["label"]] for row in recalls)]
    return [row | interval._asdict() for row, interval in zip(rows, intervals, strict=True)]


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
        images: as for `class_scores`.

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
    among = None if images is None else images[these]
    rows, pairs = [], []
    for k in ks:
        key = {"classifier": "knn", "parameter": f"k={k}"}
        scores = predicted_scores(labels[these], predicted[k][these], images=among, **key)
        rows += scores.rows
        pairs += scores.confusion
    return Scored(rows, pairs)


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


def predicted_scores(
    truth: np.ndarray,
    predicted: np.ndarray,
    *,
    classifier: str,
    parameter: str,
    images: np.ndarray | None = None,
) -> Scored:
    """Scores of predictions that were made elsewhere.

    Args:
        truth, predicted: (n,) classes.
        classifier, parameter: what made the predictions.
        images: as for `class_scores`.
    """
    key = {"classifier": classifier, "parameter": parameter}
    rows = [{**key, **row} for row in class_scores(truth, predicted, images=images)]
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
