"""The k nearest points against a naive loop over exact differences, also where points tie."""

from __future__ import annotations

import numpy as np
import pytest

from pcip_core.evaluation.neighbours import nearest_others


def naive(points: np.ndarray, groups: np.ndarray, k: int) -> np.ndarray:
    rows = []
    for row in range(len(points)):
        distance = ((points - points[row]) ** 2).sum(1)
        distance[groups == groups[row]] = np.inf
        rows.append(distance.argsort(kind="stable")[:k])
    return np.array(rows)


@pytest.mark.parametrize("columns", [1, 3, 40])
@pytest.mark.parametrize("grouped", [False, True])
def test_equals_a_naive_search(columns: int, *, grouped: bool) -> None:
    rng = np.random.default_rng(columns)
    points = rng.normal(size=(700, columns))
    groups = rng.integers(0, 9, 700) if grouped else np.arange(700)
    found = nearest_others(points, groups, (3, 50), block=128, strip=50)
    for k in (3, 50):
        assert (np.sort(found[:, :k]) == np.sort(naive(points, groups, k))).all()
    assert (
        nearest_others(points, groups, range(1, 51), block=128, strip=50) == naive(points, groups, 50)
    ).all()


def test_the_nearer_of_two_points_that_float32_cannot_distinguish_is_chosen() -> None:
    """Each odd k lies between two points whose distances from a third differ by less than float32 tells."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(400, 200))
    points = np.concatenate([points, points + 1e-6 * rng.normal(size=points.shape)])
    groups, ks = np.arange(800) % 400, (1, 5, 11, 25)
    found, expected = nearest_others(points, groups, ks), naive(points, groups, 25)
    for k in ks:
        assert (np.sort(found[:, :k]) == np.sort(expected[:, :k])).all()


def test_near_ties_beyond_float32_are_in_exact_order() -> None:
    """Points on a sphere around the first, whose distances differ by less than float32 can tell."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(300, 64))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    radius = 8 + 1e-9 * rng.permutation(300)
    points = np.concatenate([np.zeros((1, 64)), directions * radius[:, None]])
    found = nearest_others(points, np.arange(301), range(1, 21))
    assert (found[0] == 1 + radius.argsort()[:20]).all()
    assert (found == naive(points, np.arange(301), 20)).all()


def test_of_equal_points_the_earlier_one_is_nearer() -> None:
    points = np.random.default_rng(0).integers(0, 2, (300, 40)).astype(float)
    points[50:120] = points[7]
    assert (nearest_others(points, np.arange(300), range(1, 12)) == naive(points, np.arange(300), 11)).all()


def test_every_other_point_may_be_asked_for_and_progress_ends_at_all() -> None:
    points, done = np.random.default_rng(0).normal(size=(30, 50)), []
    found = nearest_others(points, np.arange(30), (29,), progress=done.append)
    assert (np.sort(found) == np.sort(naive(points, np.arange(30), 29))).all()
    assert done[-1] == 30
