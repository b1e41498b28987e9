"""Points of a map within a polygon or a box."""

from __future__ import annotations

import numpy as np

from pcip_core.errors import EvaluationError
from pcip_core.words import many

_MOST_CORNERS = 20_000
_MOST_CROSSINGS = 400_000_000  # of edges with heights of points: about a second


class Points:
    """Points of a map, in the order of their heights, so that each edge of a polygon meets a few of them.

    Args:
        xy: (n, 2) coordinates; a point with NaN is nowhere.

    Attributes:
        xy: the same.
        placed: (m,) positions of the points with coordinates.

    >>> points = Points(np.array([[1, 1], [3, 1], [np.nan, 1]]))
    >>> points.in_polygon(np.array([[0, 0], [2, 0], [2, 2], [0, 2]])).tolist(), points.in_box((4, 2), (0, 2)).tolist()
    ([0], [1])
    """

    def __init__(self, xy: np.ndarray) -> None:
        self.xy = xy
        self.placed = np.flatnonzero(np.isfinite(xy).all(1))
        order = self.placed[np.argsort(xy[self.placed, 1], kind="stable")]
        self._order = order
        self._x, self._y = (np.ascontiguousarray(xy[order, axis]) for axis in (0, 1))

    def __len__(self) -> int:
        return len(self.xy)

    def in_polygon(self, corners: np.ndarray) -> np.ndarray:
        """The points inside a polygon, (m,) positions in increasing order.

        A point is inside if a line from it to the right crosses an odd number of edges.

        Args:
            corners: (k, 2), in order; the last is joined to the first.

        Raises:
            EvaluationError: there are fewer than 3 or more than 20,000 corners, one is not finite, or the shape takes
                too long.
        """
        corners = _checked(corners).astype(self._y.dtype)  # otherwise each search would copy all heights
        ends = np.searchsorted(self._y, corners[:, 1])
        if (crossings := int(np.abs(np.diff(ends, prepend=ends[-1:])).sum())) > _MOST_CROSSINGS:
            raise EvaluationError(
                "selection",
                found=f"a shape that winds up and down {crossings / max(len(self._y), 1):,.0f} times",
                required=f"at most {_MOST_CROSSINGS // max(len(self._y), 1):,} times for so many points",
                remedy="Draw a simpler shape around them.",
            )
        inside = np.zeros(len(self._y), bool)
        for a in range(len(corners)):
            (xb, yb), (xa, ya) = corners[a].tolist(), corners[a - 1].tolist()
            first, last = sorted((ends[a - 1], ends[a]))
            if first < last:
                crossing = (self._y[first:last] - ya) * ((xb - xa) / (yb - ya)) + xa
                inside[first:last] ^= self._x[first:last] < crossing
        return np.sort(self._order[inside])

    def in_box(self, x: tuple[float, float], y: tuple[float, float]) -> np.ndarray:
        """The points inside a box, borders included: (m,) positions in increasing order."""
        (x0, x1), (y0, y1) = sorted(x), sorted(y)
        first, last = np.searchsorted(self._y, y0, "left"), np.searchsorted(self._y, y1, "right")
        across = self._x[first:last]
        return np.sort(self._order[first:last][(across >= x0) & (across <= x1)])


def _checked(corners: np.ndarray) -> np.ndarray:
    corners = np.asarray(corners, np.float64)
    if corners.ndim != 2 or corners.shape[1:] != (2,) or not 3 <= len(corners) <= _MOST_CORNERS:
        found = many(len(corners), "corner")
    elif not np.isfinite(corners).all():
        found = "a corner that is not finite"
    else:
        return corners
    raise EvaluationError(
        "selection",
        found=found,
        required=f"3 to {_MOST_CORNERS:,} corners, each x and y",
        remedy="Draw around the points again.",
    )
