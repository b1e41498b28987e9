"""Scores of the features of a screen by several classifiers, for the benchmark of encoders.

All scores are macro means: each class counts alike, however many cells it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pcip_core.evaluation.classifiers import balanced_accuracy, cross_validated
from pcip_core.evaluation.neighbours import nearest_others
from pcip_core.evaluation.retrieval import average_precisions
from pcip_core.evaluation.usable import usable
from pcip_core.features.scaling import standardize

K = 11
KNN, PRIOR, LOGISTIC, RETRIEVAL, PLATE = "11-NN", "prior-corrected 11-NN", "logistic", "mAP", "plate"
UNITS = {
    **dict.fromkeys((KNN, PRIOR, LOGISTIC), "balanced accuracy"),
    RETRIEVAL: "mean average precision",
    PLATE: "p-value",
}
_FOLDS = 5


@dataclass(frozen=True)
class Labelled:
    """The cells that are scored.

    Attributes:
        labels: (n,) class of each cell.
        groups: (n,) cells that are left out together: the image, the antibody, the protein.
        plate, image: (n,) plate and image of each cell, to see whether features recognise plates; empty without plates.
        alike: (n,) only cells of equal value are compared when plates are recognised: those of a protein.
        line: (n,) cell line of each cell; empty where it is not known.
    """

    labels: np.ndarray
    groups: np.ndarray
    plate: np.ndarray = field(default_factory=lambda: np.zeros(0))
    image: np.ndarray = field(default_factory=lambda: np.zeros(0))
    alike: np.ndarray = field(default_factory=lambda: np.zeros(0))
    line: np.ndarray = field(default_factory=lambda: np.zeros(0))


def scores_of(features: np.ndarray, cells: Labelled, *, ways: tuple[str, ...]) -> dict[str, float]:
    """Way -> score of the features, (n, d), of some of the ways above.

    >>> features = np.arange(40.0)[:, None] % 20
    >>> cells = Labelled(np.arange(40) % 20 // 10, np.arange(40) // 20)
    >>> scores_of(features, cells, ways=(KNN,))
    {'11-NN': 0.9}
    """
    kept = usable(features, cells.labels, feature_set="features", groups=cells.groups, ks=(K,))
    values = features[kept.cells][:, kept.columns]
    labels, groups = cells.labels[kept.cells], cells.groups[kept.cells]
    scores: dict[str, float] = {}
    if {KNN, PRIOR} & set(ways):
        plain, corrected = neighbour_votes(values, labels, groups)
        scores |= {KNN: balanced_accuracy(labels, plain), PRIOR: balanced_accuracy(labels, corrected)}
    if LOGISTIC in ways:
        folds = min(_FOLDS, len(np.unique(groups)))
        fitted = cross_validated(values, labels, classifier="logistic", groups=groups, folds=folds, threads=1)
        scores[LOGISTIC] = balanced_accuracy(labels, fitted.predicted)
    if RETRIEVAL in ways:
        scores[RETRIEVAL] = macro_precision(standardize(values), labels, groups)
    if PLATE in ways and len(cells.plate):
        scores[PLATE] = plate_p_value(features[:, kept.columns], cells)
    return {way: scores[way] for way in ways if way in scores and not np.isnan(scores[way])}


def neighbour_votes(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Predict by the 11 nearest cells of other groups: the most frequent class, and the most enriched class.

    The second divides the votes of a class by its number of cells in other groups. Without it, large classes win by
    their size where classes overlap.

    Returns:
        Two (n,) predictions. Of classes with equal votes, the first in sorted order wins.
    """
    classes, label = np.unique(labels, return_inverse=True)
    group = np.unique(groups, return_inverse=True)[1]
    nearest = nearest_others(standardize(features), group, (K,))
    votes = (label[nearest][:, :, None] == np.arange(len(classes))).sum(1)  # (n, classes)
    within = np.zeros((group.max() + 1, len(classes)))
    np.add.at(within, (group, label), 1)
    elsewhere = np.bincount(label) - within[group]
    return classes[votes.argmax(1)], classes[(votes / np.maximum(elsewhere, 1)).argmax(1)]


def macro_precision(points: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> float:
    """Mean average precision of the cells of other groups, the mean over the classes."""
    precisions = average_precisions(points, labels, groups=groups)
    return float(np.mean([np.nanmean(precisions[labels == label]) for label in np.unique(labels)]))


def retrieval_p_value(features: np.ndarray, cells: Labelled, *, draws: int, seed: int = 0) -> float:
    """Share of shuffled labels with a macro mean average precision at least as high, counting the true ones.

    Labels are shuffled between groups, not between cells, because cells of one group are not independent.
    """
    points, (groups, group) = standardize(features), np.unique(cells.groups, return_inverse=True)
    one_label = all(len(np.unique(cells.labels[group == number])) == 1 for number in range(len(groups)))
    true = macro_precision(points, cells.labels, cells.groups)
    rng, first = np.random.default_rng(seed), np.unique(group, return_index=True)[1]
    reached = 1
    for _ in range(draws):
        order = rng.permutation(len(groups) if one_label else len(group))
        shuffled = cells.labels[first][order][group] if one_label else cells.labels[order]
        reached += macro_precision(points, shuffled, cells.groups) >= true
    return reached / (draws + 1)


def plate_p_value(features: np.ndarray, cells: Labelled, *, draws: int = 199, seed: int = 0) -> float:
    """How often permuted plates are recognised as well as the true ones, by the 11 nearest cells of other images.

    Only cells that are alike are compared, and plates are permuted among their images. A plate is recognised by the
    share of its cells among the neighbours, over its share of all cells that could be. Plates with one image do not
    count.

    Returns:
        The share of the permutations, counting the true plates. Above 0.05, plates are recognised no better than by
        chance. NaN if each plate has one image of each protein, so that no plate can be recognised.
    """
    points, alike = standardize(features), np.unique(cells.alike, return_inverse=True)[1]
    image, first, of_cell = np.unique(cells.image, return_index=True, return_inverse=True)
    others = (alike[:, None] == alike) & (of_cell[:, None] != of_cell)
    distance = np.where(others, np.square(points[:, None] - points).sum(2), np.inf)
    nearest = distance.argsort(1, kind="stable")[:, :K]

    def excess(plates: np.ndarray) -> float:
        same = (plates[:, None] == plates) & others
        share = same.sum(1) / others.sum(1)
        counted = (share > 0) & (share < 1)
        if not counted.any():
            return float("nan")
        found = np.take_along_axis(same, nearest, 1).mean(1)
        return float(found[counted].mean() / share[counted].mean())

    plate, kind = np.unique(cells.plate, return_inverse=True)[1][first], alike[first]
    rng, true, reached = np.random.default_rng(seed), excess(plate[of_cell]), 1
    if np.isnan(true):
        return true
    for _ in range(draws):
        permuted, order = np.empty_like(plate), np.lexsort((rng.random(len(image)), kind))
        permuted[np.argsort(kind, kind="stable")] = plate[order]
        reached += excess(permuted[of_cell]) >= true
    return reached / (draws + 1)


def medians(scores: list[Mapping[str, float]]) -> dict[str, float]:
    """The median of each way over several trainings."""
    return {way: float(np.median([each[way] for each in scores])) for way in scores[0]}
