"""What is left out of scoring, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pcip_core.errors import EvaluationError, ShapeError
from pcip_core.evaluation.knn import leave_one_out_knn
from pcip_core.evaluation.usable import usable


def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """20 cells: 9 of a in images 0 to 2, 6 of b in images 0 and 1, 4 of c in image 3, one of d."""
    features = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
    labels = np.array(list("aaaaaaaaabbbbbbccccd"))
    images = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 0, 0, 0, 1, 1, 1, 3, 3, 3, 3, 2])
    return features, labels, images


def told(exclusions: dict[str, int]) -> dict[str, int]:
    return {reason: count for reason, count in exclusions.items() if count}


def test_valid_features_lose_nothing() -> None:
    features, labels, _ = data()
    found = usable(features[:19], labels[:19], feature_set="conv4", ks=(1, 3))
    assert found.columns.all()
    assert found.cells.all()
    assert found.ks == (1, 3)
    assert told(found.exclusions) == {}


def test_constant_and_non_finite_columns_are_excluded() -> None:
    features, labels, _ = data()
    features[:, 0] = 0.1
    features[:19, 1] = 7  # varies in the one cell only that is left out
    features[4, 2], features[5, 2], features[6, 3] = np.nan, 1, np.inf
    found = usable(features, labels, feature_set="conv4")
    assert found.columns.tolist() == [False, False, False, False, True]
    assert told(found.exclusions) == {
        "columns_not_finite": 2,
        "columns_constant": 2,
        "cells_of_classes_with_one_cell": 1,
    }


def test_classes_that_cannot_be_predicted_are_excluded() -> None:
    features, labels, images = data()
    alone = usable(features, labels, feature_set="conv4")
    assert set(labels[alone.cells]) == {"a", "b", "c"}
    grouped = usable(features, labels, feature_set="conv4", groups=images)
    assert set(labels[grouped.cells]) == {"a", "b"}
    assert told(grouped.exclusions) == {
        "cells_of_classes_with_one_cell": 1,
        "cells_of_classes_in_one_group": 4,
    }


def test_ks_that_are_too_large_are_excluded() -> None:
    features, labels, images = data()
    found = usable(features, labels, feature_set="conv4", groups=images, ks=(1, 5, 6, 9, 10, 50))
    assert found.ks == (1, 5, 6, 9)  # images 0 and 1 leave 9 of the 15 cells
    assert told(found.exclusions)["ks_above_neighbours_left"] == 2
    assert told(found.exclusions)["classes_smaller_than_k"] == 2  # a has 8 others, b has 5
    kept = features[found.cells][:, found.columns]
    leave_one_out_knn(kept, labels[found.cells], ks=found.ks, groups=images[found.cells])


def test_nothing_left_is_an_error_that_names_the_feature_set() -> None:
    features, labels, images = data()
    with pytest.raises(EvaluationError, match=r"conv4: .*5 columns_constant"):
        usable(np.ones_like(features), labels, feature_set="conv4")
    with pytest.raises(EvaluationError, match="conv4: found 0 cells"):
        usable(features, np.arange(20), feature_set="conv4")
    with pytest.raises(EvaluationError, match="20 cells_of_classes_in_one_group"):
        usable(features, images // 2, feature_set="conv4", groups=images // 2)
    with pytest.raises(EvaluationError, match="conv4"):
        usable(features[:0], labels[:0], feature_set="conv4", groups=images[:0])
    with pytest.raises(ShapeError):
        usable(features, labels[1:], feature_set="conv4")
