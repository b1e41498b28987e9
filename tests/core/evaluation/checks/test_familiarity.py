"""The distance of cells from those of a training."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pcip_core.errors import ShapeError
from pcip_core.evaluation.checks.familiarity import TrainingCells


def test_distances_equal_a_loop_over_cells_and_features() -> None:
    random = np.random.default_rng(0)
    cells = random.normal(3, 2, (50, 4)).astype(np.float32)
    cells[:, 1] = 7  # constant in the training
    others = random.normal(3, 2, (5, 4)).astype(np.float32)
    found = TrainingCells.of("conv3", cells).distances(others)
    for row, distance in zip(others, found, strict=True):
        squares = [((row[j] - cells[:, j].mean()) / cells[:, j].std()) ** 2 for j in (0, 2, 3)]
        assert distance == pytest.approx(np.sqrt(sum(squares) / 3), rel=1e-5)


def test_cells_of_the_same_kind_are_within_the_limit_and_others_beyond() -> None:
    random = np.random.default_rng(1)
    training = TrainingCells.of("conv3", random.normal(size=(4000, 16)))
    assert training.beyond(random.normal(size=(4000, 16))).mean() == pytest.approx(0.01, abs=0.01)
    assert training.beyond(random.normal(size=(100, 16)) * 3).all()


def test_it_survives_json_and_refuses_other_features() -> None:
    training = TrainingCells.of("conv5", np.random.default_rng(2).normal(size=(9, 3)))
    assert TrainingCells.from_dict(json.loads(json.dumps(training.as_dict()))) == training
    with pytest.raises(ShapeError, match="conv5"):
        training.distances(np.zeros((2, 4)))
    assert TrainingCells.of("conv1", np.ones((3, 2))).distances(np.zeros((2, 2))).tolist() == [0, 0]
