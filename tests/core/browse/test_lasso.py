"""Points in a polygon and in a box, against a loop over points and edges."""

from __future__ import annotations

import numpy as np
import pytest

from pcip_core.browse.lasso import Points
from pcip_core.errors import EvaluationError


def inside(x: float, y: float, corners: np.ndarray) -> bool:
    """Whether a ray from a point to the right crosses an odd number of edges."""
    odd = False
    for (xa, ya), (xb, yb) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if (ya > y) != (yb > y) and x < (xb - xa) * (y - ya) / (yb - ya) + xa:
            odd = not odd
    return odd


@pytest.mark.parametrize("corners", [3, 8, 60])
def test_a_polygon_holds_what_a_loop_finds_also_where_its_edges_cross(corners: int) -> None:
    rng = np.random.default_rng(corners)
    xy = rng.normal(size=(250, 2)).astype(np.float32)
    xy[::50] = np.nan
    points = Points(xy)
    for polygon in rng.normal(size=(3, corners, 2)).astype(np.float32).astype(float):
        wanted = [place for place, (x, y) in enumerate(xy.tolist()) if inside(x, y, polygon)]
        assert points.in_polygon(polygon).tolist() == wanted
    assert len(points.placed) == 245


def test_a_corner_at_the_height_of_points_counts_once() -> None:
    grid = np.stack(np.meshgrid(np.arange(7.0), np.arange(7.0)), axis=-1).reshape(-1, 2)
    diamond = np.array([[3, -0.5], [6.5, 3], [3, 6.5], [-0.5, 3]])
    wanted = np.flatnonzero(np.abs(grid - 3).sum(1) < 3.5)
    assert Points(grid).in_polygon(diamond).tolist() == wanted.tolist()


def test_a_box_in_any_direction() -> None:
    xy = np.random.default_rng(0).random((500, 2))
    wanted = np.flatnonzero(((xy >= (0.2, 0.5)) & (xy <= (0.4, 0.9))).all(1)).tolist()
    assert Points(xy).in_box((0.4, 0.2), (0.5, 0.9)).tolist() == wanted


@pytest.mark.parametrize(
    "corners", [[[0, 0], [1, 1]], [[0, 0], [1, np.inf], [2, 2]], np.zeros((20_001, 2)), [[1], [2], [3]]]
)
def test_what_is_no_polygon_is_refused(corners: object) -> None:
    with pytest.raises(EvaluationError, match="3 to 20,000 corners"):
        Points(np.zeros((3, 2))).in_polygon(np.array(corners, float))


def test_a_shape_that_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    points = Points(np.random.default_rng(0).random((1000, 2)))
    winding = np.array([[number / 50, number % 2 * 2 - 0.5] for number in range(50)])
    wanted = points.in_polygon(winding).tolist()
    monkeypatch.setattr("pcip_core.browse.lasso._MOST_CROSSINGS", 50_000)
    assert points.in_polygon(winding).tolist() == wanted
    monkeypatch.setattr("pcip_core.browse.lasso._MOST_CROSSINGS", 40_000)
    with pytest.raises(EvaluationError, match="winds up and down 50 times"):
        points.in_polygon(winding)
