"""How well features bring like to like without a classifier: mean average precision and silhouette."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pcip_core.errors import EvaluationError
from pcip_core.evaluation.labelled import LabelledImages
from pcip_core.evaluation.usable import usable
from pcip_core.features.checks import require_finite, require_rows
from pcip_core.features.means import group_means
from pcip_core.features.scaling import standardize

_BLOCK = 512  # queries at a time


def average_precisions(
    profiles: np.ndarray,
    labels: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Average precision of each profile as a query for the others of its label, by cosine similarity.

    Args:
        profiles: (n, d) one row an image (or protein): its mean. Centre them first, as cosine similarity is
            about the origin; a row of zeros is as like to all as a right angle.
        labels: (n,) the localization term, or the protein.
        groups: (n,) those of the query's own group (its protein, when terms are asked for) are left out of
            the ranking; by default only the query itself.
        progress: called with the number of queries done.

    Returns:
        (n,) as scikit-learn's average_precision_score, also where similarities tie; NaN where nothing that
        is ranked has the query's label.

    Raises:
        ShapeError: profiles, labels and groups differ in length.
        EvaluationError: a feature is not finite.
    """
    require_rows("retrieval", profiles, labels, groups)
    require_finite("retrieval", profiles)
    length = np.linalg.norm(profiles.astype(np.float64), axis=1, keepdims=True)
    unit = profiles / np.where(length > 0, length, 1)
    member = np.unique(labels, return_inverse=True)[1]
    group = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    found = np.full(len(labels), np.nan)
    for start in range(0, len(labels), _BLOCK):
        similarity = unit[start : start + _BLOCK] @ unit.T  # (queries, n)
        for query, row in enumerate(similarity, start):
            ranked = group != group[query]
            found[query] = _average_precision((member == member[query])[ranked], row[ranked])
        if progress is not None:
            progress(min(start + _BLOCK, len(labels)))
    return found


def _average_precision(relevant: np.ndarray, similarity: np.ndarray) -> float:
    """Sum over the distinct similarities, highest first, of precision times what recall gains there."""
    if not relevant.any():
        return np.nan
    order = (-similarity).argsort(kind="stable")
    similarity = similarity[order]
    last = np.append(np.flatnonzero(np.diff(similarity)), len(similarity) - 1)  # of those that tie
    hits = relevant[order].cumsum()[last]
    return float((np.diff(hits, prepend=0) * hits / (last + 1)).sum() / hits[-1])


def retrieval_scores(
    profiles: np.ndarray,
    labels: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[dict[str, Any]]:
    """Mean of `average_precisions`, over all queries and over those of each label.

    Returns:
        Rows with classifier `retrieval`, parameter `cosine`, label (None: all), metric
        `mean_average_precision`, value and n, the queries it is the mean of: those for which something could
        be found. A label without such a query has no row.

    Raises:
        ShapeError, EvaluationError: as `average_precisions`, or there is nothing to find for any query.
    """
    found = average_precisions(profiles, labels, groups=groups, progress=progress)
    return _rows("retrieval", "cosine", "mean_average_precision", labels, found)


def silhouette_scores(
    features: np.ndarray, labels: np.ndarray, *, most: int = 10_000, seed: int = 0
) -> list[dict[str, Any]]:
    """Mean silhouette by label of standardized features, of a sample of cells where there are many.

    Args:
        features: (n, d).
        labels: (n,) class of each cell.
        most: cells in the sample; time grows as its square.
        seed: of the sample.

    Returns:
        Rows as `retrieval_scores`, with classifier `silhouette`, parameter `cells=10000` (those sampled) and
        metric `silhouette`. A cell that is the only one of its class has 0, as scikit-learn has it.

    Raises:
        ShapeError: features and labels differ in length.
        EvaluationError: a feature is not finite, or the sample has one class, or no two cells of a class.
    """
    from sklearn.metrics import silhouette_samples

    require_rows("silhouette", features, labels)
    require_finite("silhouette", features)
    sample = np.random.default_rng(seed).permutation(len(labels))[:most]
    classes = len(np.unique(labels[sample]))
    if not 2 <= classes < len(sample):
        raise EvaluationError(
            "silhouette",
            found=f"{classes} classes in {len(sample)} cells",
            required="two classes or more, and two cells of one class",
            remedy="Score more cells, or leave the silhouette out.",
        )
    points = standardize(features[sample]).astype(np.float32)
    values = silhouette_samples(points, labels[sample])
    return _rows("silhouette", f"cells={len(sample)}", "silhouette", labels[sample], values)


@dataclass(frozen=True)
class Retrieval:
    """Retrieval and silhouette scores of one feature set.

    Attributes:
        scores: (task, protocol) -> rows of `retrieval_scores` or `silhouette_scores`.
        exclusions: reason -> number of columns or cells that cannot be used.
        not_scored: score -> why these cells cannot have it.
    """

    scores: dict[tuple[str, str], list[dict[str, Any]]]
    exclusions: dict[str, int]
    not_scored: dict[str, str]


def image_retrieval(
    features: np.ndarray,
    labels: np.ndarray,
    images: LabelledImages,
    *,
    feature_set: str,
    label: str,
    seed: int,
) -> Retrieval:
    """Retrieval of images by their mean features, and the silhouette of cells.

    Images of one term are retrieved among other proteins; images of one protein among other images.

    Args:
        features: (n, d) of the cells.
        labels: (n,) class of each cell.
        images: the images of the cells.
        feature_set: its name, for the errors.
        label: what the classes are; if they are proteins, there is one task of images only.
        seed: of the cells that are sampled for the silhouette.

    Raises:
        ShapeError, EvaluationError: as `usable`.
    """
    kept = usable(features, labels, feature_set=feature_set)
    points = standardize(features[:, kept.columns])
    profiles, _ = group_means(points, images.of_cell)
    scores: dict[tuple[str, str], list[dict[str, Any]]] = {}
    not_scored: dict[str, str] = {}

    def add(name: str, task: str, protocol: str, score: Callable[[], list[dict[str, Any]]]) -> None:
        try:
            scores[task, protocol] = score()
        except EvaluationError as error:
            not_scored[name] = str(error)

    if label != "protein":
        add(
            "images of one term",
            label,
            "leave_protein_out",
            lambda: retrieval_scores(profiles, images.terms, groups=images.proteins),
        )
    add(
        "images of one protein",
        "protein",
        "leave_image_out",
        lambda: retrieval_scores(profiles, images.proteins),
    )
    add("silhouette", label, "all_cells", lambda: silhouette_scores(points, labels, seed=seed))
    return Retrieval(scores, kept.exclusions, not_scored)


def _rows(
    classifier: str, parameter: str, metric: str, labels: np.ndarray, values: np.ndarray
) -> list[dict[str, Any]]:
    """Means over all and over each label of the values that are there."""
    there = np.isfinite(values)
    if not there.any():
        raise EvaluationError(
            classifier,
            found=f"{len(labels)} profiles, none with another of its label outside its group",
            required="two profiles of one label in two groups",
            remedy="Score more images, or do not leave out groups.",
        )
    key = {"classifier": classifier, "parameter": parameter}
    parts = [(None, there)] + [(str(label), there & (labels == label)) for label in np.unique(labels[there])]
    return [
        {**key, "label": label, "metric": metric, "value": float(values[part].mean()), "n": int(part.sum())}
        for label, part in parts
    ]
