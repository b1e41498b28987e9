"""Quality of features without a classifier: mean average precision of retrieval, and silhouette."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pcip_core.errors import EvaluationError
from pcip_core.evaluation.labelled import LabelledCells, LabelledImages
from pcip_core.evaluation.usable import usable
from pcip_core.features.checks import require_finite, require_rows
from pcip_core.features.means import group_means
from pcip_core.features.scaling import standardize
from pcip_core.words import many

_BLOCK = 512  # queries at a time
_DRAWS = 999  # random rankings of each query
_POOL = 10_000  # from which those of queries with the same number of relevant profiles are drawn


def average_precisions(
    profiles: np.ndarray,
    labels: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Compute the average precision of each profile as a query for the others of its label, by cosine similarity.

    Args:
        profiles: (n, d) one row per image (or protein), the mean of its cells. Centre the profiles first, because
            cosine similarity is relative to the origin. A row of zeros has similarity 0 to all others.
        labels: (n,) the localization term, or the protein.
        groups: (n,) profiles of the query's group (the protein, if the labels are terms) are excluded from the
            ranking. By default, only the query itself is excluded.
        progress: called with the number of queries done.

    Returns:
        (n,) as scikit-learn's average_precision_score, including for ties; NaN if no ranked profile has the label of
        the query.

    Raises:
        ShapeError: profiles, labels and groups differ in length.
        EvaluationError: a feature is not finite.

    >>> profiles = np.array([[1.0, 0.0], [1.0, 0.1], [-1.0, 0.0], [1.0, 0.3]])
    >>> average_precisions(profiles, np.array(["a", "a", "b", "b"])).round(2).tolist()
    [1.0, 1.0, 1.0, 0.33]
    """
    require_rows("retrieval", profiles, labels, groups)
    require_finite("retrieval", profiles)
    length = np.linalg.norm(profiles.astype(np.float64), axis=1, keepdims=True)
    unit = profiles / np.where(length > 0, length, 1)
    member = np.unique(labels, return_inverse=True)[1]
    group = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    precisions = np.full(len(labels), np.nan)
    for start in range(0, len(labels), _BLOCK):
        similarity = unit[start : start + _BLOCK] @ unit.T  # (queries, n)
        for query, row in enumerate(similarity, start):
            ranked = group != group[query]
            precisions[query] = _average_precision((member == member[query])[ranked], row[ranked])
        if progress is not None:
            progress(min(start + _BLOCK, len(labels)))
    return precisions


def _average_precision(relevant: np.ndarray, similarity: np.ndarray) -> float:
    """Sum precision times the gain in recall over the distinct similarities, in descending order."""
    if not relevant.any():
        return np.nan
    order = (-similarity).argsort(kind="stable")
    similarity = similarity[order]
    last = np.append(np.flatnonzero(np.diff(similarity)), len(similarity) - 1)  # of each group of ties
    hits = relevant[order].cumsum()[last]
    return float((np.diff(hits, prepend=0) * hits / (last + 1)).sum() / hits[-1])


def retrieval_scores(
    profiles: np.ndarray,
    labels: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[dict[str, Any]]:
    """Compute the mean of `average_precisions` over all queries, and over the queries of each label.

    Returns:
        Rows with classifier `retrieval`, parameter `cosine`, label (None: all), metric `mean_average_precision`,
        value and n, the number of queries in the mean. Only queries with a relevant profile count. A label without
        such a query has no row.

    Raises:
        ShapeError, EvaluationError: as for `average_precisions`; all profiles have one label, so that each ranking
            would be perfect; or no query has a relevant profile.

    >>> profiles = np.array([[1.0, 0.0], [1.0, 0.1], [-1.0, 0.0], [1.0, 0.3]])
    >>> rows = retrieval_scores(profiles, np.array(["a", "a", "b", "b"]))
    >>> [(row["label"], round(row["value"], 2), row["n"]) for row in rows]
    [(None, 0.83, 4), ('a', 1.0, 2), ('b', 0.67, 2)]
    """
    if len(labels) and len(np.unique(labels)) == 1:
        raise EvaluationError(
            "retrieval",
            found=f"{many(len(labels), 'profile')} of one label, {labels[0]}",
            required="profiles of two labels or more",
            remedy="Score images of other labels, too.",
        )
    precisions = average_precisions(profiles, labels, groups=groups, progress=progress)
    return _rows("retrieval", "cosine", "mean_average_precision", labels, precisions)


def retrieval_chances(
    profiles: np.ndarray, labels: np.ndarray, *, draws: int = 10_000, seed: int = 0
) -> list[dict[str, Any]]:
    """Compute how often random rankings reach the mean average precision of `retrieval_scores`, over all and by label.

    A random ranking has as many relevant profiles among as many as that of the query; the queries of a label are drawn
    independently.

    Args:
        profiles, labels: as for `average_precisions`, without groups.
        draws: number of random rankings per query; the least p is 1 / (draws + 1).
        seed: of the draws.

    Returns:
        Rows as from `retrieval_scores` with metric `p_value`.

    Raises:
        ShapeError, EvaluationError: as for `retrieval_scores`.

    Source: Kalinin et al. 2025, copairs, which draws the null distribution in the same way.
    """
    observed = retrieval_scores(profiles, labels)
    names, counts = np.unique(labels, return_counts=True)
    total, n_queries = np.zeros(draws), 0
    chance: dict[str | None, float] = {}
    pools: dict[int, np.ndarray] = {}  # number of profiles of a label -> precisions of random rankings
    values = {row["label"]: row["value"] for row in observed}
    for number, (name, count) in enumerate(zip(names, counts, strict=True)):
        if count < 2:
            continue
        if count not in pools:
            pools[count] = _random_precisions(int(count) - 1, len(labels) - 1, _POOL, seed)
        rng = np.random.default_rng([seed, number])
        sums = np.zeros(draws)
        for _ in range(count):
            sums += rng.choice(pools[count], draws)
        chance[str(name)] = _p_value(sums / count, values[str(name)])
        total, n_queries = total + sums, n_queries + count
    chance[None] = _p_value(total / n_queries, values[None])
    return [{**row, "metric": "p_value", "value": chance[row["label"]]} for row in observed]


def _random_precisions(relevant: int, ranked: int, draws: int, seed: int) -> np.ndarray:
    """Average precisions of random rankings, (draws,)."""
    rng = np.random.default_rng([seed, relevant, ranked])
    ranks = np.empty((draws, relevant), np.int64)
    for row in ranks:
        row[:] = rng.choice(ranked, relevant, replace=False, shuffle=False)
    ranks.sort(axis=1)
    return (np.arange(1, relevant + 1) / (ranks + 1)).mean(1)


def _p_value(null: np.ndarray, observed: float) -> float:
    return float(((null >= observed - 1e-12).sum() + 1) / (len(null) + 1))


def silhouette_scores(
    features: np.ndarray, labels: np.ndarray, *, most: int = 10_000, seed: int = 0
) -> list[dict[str, Any]]:
    """Compute the mean silhouette of standardized features by label, for at most `most` randomly sampled cells.

    Args:
        features: (n, d).
        labels: (n,) class of each cell.
        most: maximum size of the sample; the time is quadratic in it.
        seed: seed of the sample.

    Returns:
        Rows as from `retrieval_scores`, with classifier `silhouette`, parameter `cells=10000` (size of the sample) and
        metric `silhouette`. A cell that is the only one of its class has 0, as in scikit-learn.

    Raises:
        ShapeError: features and labels differ in length.
        EvaluationError: a feature is not finite, the sample has one class, or no class has two cells.

    >>> rows = silhouette_scores(np.array([[0.0], [0.0], [1.0], [1.0]]), np.array(["a", "a", "b", "b"]))
    >>> [(row["label"], row["value"]) for row in rows]
    [(None, 1.0), ('a', 1.0), ('b', 1.0)]
    """
    from sklearn.metrics import silhouette_samples

    require_rows("silhouette", features, labels)
    require_finite("silhouette", features)
    sample = np.random.default_rng(seed).permutation(len(labels))[:most]
    classes = len(np.unique(labels[sample]))
    if not 2 <= classes < len(sample):
        raise EvaluationError(
            "silhouette",
            found=f"{many(classes, 'class')} in {many(len(sample), 'cell')}",
            required="two classes or more, and two cells of one class",
            remedy="Score more cells, or omit the silhouette.",
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

    def add(self, name: str, key: tuple[str, str], score: Callable[[], list[dict[str, Any]]]) -> None:
        """Add a score, or why these cells cannot have it."""
        try:
            self.scores[key] = score()
        except EvaluationError as error:
            self.not_scored[name] = str(error)


def retrieval_by_label(
    features: np.ndarray,
    cells: LabelledCells,
    images: LabelledImages,
    *,
    feature_set: str,
    label: str,
    seed: int,
) -> Retrieval:
    """Retrieval of images of one label among other proteins, by their mean features, and the silhouette of cells.

    Args:
        features: (n, d) of the cells.
        cells: with their labels.
        images: the images of the cells.
        feature_set: its name, for the errors.
        label: what the labels are; proteins cannot be retrieved among other proteins, see `retrieval_by_protein`.
        seed: of the cells that are sampled for the silhouette.

    Raises:
        ShapeError, EvaluationError: as `usable`.
    """
    profiles, points, exclusions = _profiles(features, cells, images, feature_set)
    result = Retrieval({}, exclusions, {})
    if label != "protein":
        result.add(
            "images of one term",
            (label, "leave_protein_out"),
            lambda: retrieval_scores(profiles, images.terms, groups=images.proteins),
        )
    result.add("silhouette", (label, "all_cells"), lambda: silhouette_scores(points, cells.labels, seed=seed))
    return result


def retrieval_by_protein(
    features: np.ndarray, cells: LabelledCells, images: LabelledImages, *, feature_set: str, seed: int
) -> Retrieval:
    """Retrieval of images of one protein among other images, by their mean features, and its chance.

    Args:
        features: (n, d) of the cells.
        cells: those of all images, whatever terms they have.
        images: the images of the cells.
        feature_set: its name, for the errors.
        seed: of the random rankings.

    Raises:
        ShapeError, EvaluationError: as `usable`.
    """
    profiles, _, exclusions = _profiles(features, cells, images, feature_set)
    result = Retrieval({}, exclusions, {})
    result.add(
        "images of one protein",
        ("protein", "leave_image_out"),
        lambda: [
            *retrieval_scores(profiles, images.proteins),
            *retrieval_chances(profiles, images.proteins, draws=_DRAWS, seed=seed),
        ],
    )
    return result


def _profiles(
    features: np.ndarray, cells: LabelledCells, images: LabelledImages, feature_set: str
) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """The mean of each image (m, d'), the standardized features of the cells (n, d'), and what cannot be used."""
    kept = usable(features, cells.labels, feature_set=feature_set)
    points = standardize(features[:, kept.columns])
    return group_means(points, images.of_cell)[0], points, kept.exclusions


def _rows(
    classifier: str, parameter: str, metric: str, labels: np.ndarray, values: np.ndarray
) -> list[dict[str, Any]]:
    """Make one row for the mean of the finite values, and one for their mean per label."""
    finite = np.isfinite(values)
    if not finite.any():
        raise EvaluationError(
            classifier,
            found=f"{many(len(labels), 'profile')}, none with another profile of its label outside its group",
            required="two profiles of one label in different groups",
            remedy="Score more images, or score without groups.",
        )
    key = {"classifier": classifier, "parameter": parameter}
    parts: list[tuple[str | None, np.ndarray]] = [(None, finite)]
    parts += [(str(label), finite & (labels == label)) for label in np.unique(labels[finite])]
    return [
        {**key, "label": label, "metric": metric, "value": float(values[part].mean()), "n": int(part.sum())}
        for label, part in parts
    ]
