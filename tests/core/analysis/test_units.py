"""Units that separate groups, directions and ends, against naive computations."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.feature_selection import f_classif
from sklearn.preprocessing import StandardScaler

from pcip_core.analysis.units import direction_between, ends, responses, separating_units, unit_direction
from pcip_core.errors import EvaluationError, ShapeError

NAMES = ["Cytosol", "Golgi", "Nucleus"]


def cells() -> tuple[np.ndarray, np.ndarray]:
    """300 cells of three groups, some in none; units 0 to 2 are high in one group each, unit 3 in group 0."""
    rng = np.random.default_rng(2)
    group = rng.integers(-1, 3, 300)
    features = rng.normal(size=(300, 6)) + 50
    for unit, (high, by) in enumerate(((0, 6.0), (1, 3.0), (2, 1.5), (0, 5.0))):
        features[:, unit] += by * (group == high)
    features[:, 4] = 7.0
    features[group < 0, 5] += 1000  # cells of no group do not count
    return features, group


def test_each_group_has_its_best_unit_before_a_group_has_two() -> None:
    features, group = cells()
    units = separating_units(features, group, NAMES, most=4)
    assert [(unit.number, unit.group) for unit in units] == [
        (0, "Cytosol"), (3, "Cytosol"), (1, "Golgi"), (2, "Nucleus")
    ]  # fmt: skip
    assert {unit.number for unit in separating_units(features, group, NAMES, most=3)} == {0, 1, 2}
    known = group >= 0
    f, _ = f_classif(features[known][:, [0, 3, 1, 2]], group[known])
    n, g = int(known.sum()), 3
    assert [unit.share for unit in units] == pytest.approx(f * (g - 1) / (f * (g - 1) + n - g))


def test_constant_units_are_left_out_and_one_group_has_no_units() -> None:
    features, group = cells()
    assert 4 not in [unit.number for unit in separating_units(features, group, NAMES, most=99)]
    assert separating_units(features, np.where(group == 1, 1, -1), NAMES) == []
    with pytest.raises(ShapeError):
        separating_units(features, group[1:], NAMES)


def test_a_direction_lies_along_the_standardized_difference_and_its_means_are_one_apart() -> None:
    features, group = cells()
    pair = np.where(group == 2, -1, group)
    direction = direction_between(features, pair)
    points = StandardScaler().fit_transform(features)
    difference = points[pair == 1].mean(0) - points[pair == 0].mean(0)
    expected, found = points @ difference, responses(features, direction)
    assert np.corrcoef(expected, found)[0, 1] == pytest.approx(1)
    assert found[pair == 1].mean() - found[pair == 0].mean() == pytest.approx(1)
    assert direction[4] == 0


def test_units_are_directions_and_several_are_computed_at_once() -> None:
    features, _ = cells()
    both = np.stack([unit_direction(unit, 6, "") for unit in (3, 1)], axis=1)
    np.testing.assert_allclose(responses(features, both), features[:, [3, 1]])
    with pytest.raises(EvaluationError, match="0 to 5"):
        unit_direction(6, 6, "screen_1: unit")


def test_ends_do_not_overlap_and_skip_missing_values() -> None:
    highest, lowest = ends(np.array([1.0, np.nan, 5.0, 5.0, 0.0, np.inf]), 8)
    assert highest.tolist() == [2, 3]
    assert lowest.tolist() == [4, 0]
    assert [part.tolist() for part in ends(np.zeros(5), 2)] == [[0, 1], [4, 3]]
    assert [part.tolist() for part in ends(np.array([np.nan]), 3)] == [[], []]
