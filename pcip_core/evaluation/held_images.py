"""Scores on the images that a supervised network was not trained on: features know the labels of the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pcip_core.evaluation.classifiers import Classifier, cross_validated
from pcip_core.evaluation.scores import Scored, classifier_scores, usable_knn_scores
from pcip_core.evaluation.usable import usable


def held_knn_scores(
    features: np.ndarray,
    labels: np.ndarray,
    held: np.ndarray,
    *,
    feature_set: str,
    ks: Sequence[int],
    weights: np.ndarray | None = None,
    images: np.ndarray | None = None,
) -> Scored:
    """Classify held cells by their nearest neighbours among the other cells.

    Args:
        features: (n, d).
        labels: (n,) class of each cell.
        held: (n,) bool, the cells that are scored; they are never each other's neighbours.
        feature_set: its name, for the error.
        ks: the numbers of neighbours.
        weights, images: as of `knn_scores`.

    Raises:
        ShapeError, EvaluationError: as `usable`.
    """
    groups = np.where(held, -1, np.arange(len(held)))
    return usable_knn_scores(
        features,
        labels,
        feature_set=feature_set,
        groups=groups,
        ks=ks,
        scored=held,
        weights=weights,
        images=images,
    )


def held_classifier_scores(
    features: np.ndarray,
    labels: np.ndarray,
    held: np.ndarray,
    *,
    feature_set: str,
    classifier: Classifier,
    trees: int,
    seed: int,
) -> Scored:
    """Classify held cells by a classifier that is fitted to the other cells.

    Args:
        features, labels, held, feature_set: as of `held_knn_scores`; columns that are constant or not finite
            are excluded.
        classifier, trees, seed: as of `cross_validated`.

    Raises:
        ShapeError, EvaluationError: as `usable` and `cross_validated`.
    """
    columns = usable(features, labels, feature_set=feature_set).columns
    done = cross_validated(
        features[:, columns], labels, classifier=classifier, held=held, seed=seed, trees=trees
    )
    return classifier_scores(labels, done)
