"""Pictures of maps with up to millions of points: counts in pixels, drawn again for each view.

Source of the idea: datashader (Bednar et al.), which draws counts instead of points. Here, `numpy.bincount` does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pcip_core.browse.selections import unusable

_STAMPS = ((1_500, 4), (8_000, 3), (40_000, 2), (150_000, 1))  # points in view at most -> radius in px
_MOST_SIDE, _MOST_PIXELS = 4000, 8_000_000  # of a picture
_FAINTEST, _DARKEST = 0.25, 1.0  # opacity of one point in a pixel, and of the densest pixel
_OF_DISCS = 0.9  # opacity of discs
_SPARSE = 16  # with fewer points than 1 in so many pixels, discs are added one by one


@dataclass(frozen=True)
class View:
    """A part of a map, and the size of its picture.

    Attributes:
        x0, x1, y0, y1: its limits in the coordinates of the map; y grows upwards.
        width, height: px.
    """

    x0: float
    x1: float
    y0: float
    y1: float
    width: int
    height: int


@dataclass(frozen=True)
class Layer:
    """Points that are drawn together, above the layers before.

    Attributes:
        rows: (m,) the points.
        colours: (m, 3) uint8 of each point, or (3,) of all.
        larger: px by which their radius is larger than that of the layers below.
    """

    rows: np.ndarray
    colours: np.ndarray
    larger: int = 0


def require_view(view: View) -> None:
    """Require a view that can be drawn.

    Raises:
        EvaluationError: it is empty, not finite or too large.
    """
    sides = (view.width, view.height)
    limits = np.array([view.x0, view.x1, view.y0, view.y1])
    drawable = all(0 < side <= _MOST_SIDE for side in sides) and sides[0] * sides[1] <= _MOST_PIXELS
    if not (drawable and np.isfinite(limits).all()):
        most = f"1 to {_MOST_SIDE:,} px, at most {_MOST_PIXELS:,} in all, and finite limits"
        raise unusable("view", f"{sides[0]} x {sides[1]} px", most)
    if not (view.x1 > view.x0 and view.y1 > view.y0):
        raise unusable("view", "an empty part of the map", "limits in increasing order")


def pixels_of(points: np.ndarray, view: View) -> tuple[np.ndarray, np.ndarray]:
    """The points in view and their pixels: positions in `points`, and numbers of pixels, row by row from the top.

    Args:
        points: (n, 2) x and y; a point with NaN is never in view.
        view: the part of the map.

    >>> points = np.array([[0.5, 0.5], [1.5, 0.2], [np.nan, 0.0], [9.0, 9.0]], np.float32)
    >>> [each.tolist() for each in pixels_of(points, View(0, 2, 0, 1, 2, 1))]
    [[0, 1], [0, 1]]
    """
    x = (points[:, 0] - np.float32(view.x0)) * np.float32(view.width / (view.x1 - view.x0))
    y = (np.float32(view.y1) - points[:, 1]) * np.float32(view.height / (view.y1 - view.y0))
    shown = np.flatnonzero((x >= 0) & (x < view.width) & (y >= 0) & (y < view.height))
    return shown, y[shown].astype(np.int32) * np.int32(view.width) + x[shown].astype(np.int32)


def picture(points: np.ndarray, view: View, layers: list[Layer]) -> np.ndarray:
    """Draw layers of points: (height, width, 4) uint8, red, green, blue and opacity, transparent without points.

    In each layer, a pixel has the mean colour of its points, and is more opaque the more points it has. A few
    points are drawn as discs.
    """
    size = view.width * view.height
    colour, opacity = np.zeros((size, 3), np.float32), np.zeros(size, np.float32)
    for layer in layers:
        shown, pixel = pixels_of(points[layer.rows], view)
        if not len(shown):
            continue
        radius = next((px for most, px in _STAMPS if len(shown) <= most), 0) + layer.larger
        of_points = layer.colours[shown] if layer.colours.ndim == 2 else np.zeros((0, 0))
        counts, *bands = _sums(pixel, [None, *of_points.T], view, radius)
        drawn = np.flatnonzero(counts)
        several = counts[drawn].astype(np.float32)
        if bands:
            mean = np.stack([band[drawn] / several for band in bands], axis=1)
        else:
            mean = np.broadcast_to(layer.colours.astype(np.float32), (len(drawn), 3))
        alpha = _opacity(several) if radius == 0 else np.float32(_OF_DISCS)
        colour[drawn] += (mean - colour[drawn]) * np.reshape(alpha, (-1, 1))
        opacity[drawn] += (1 - opacity[drawn]) * alpha
    out = np.empty((size, 4), np.uint8)
    with np.errstate(invalid="ignore"):
        out[:, :3] = colour / np.maximum(opacity, 1e-6)[:, None]
    out[:, 3] = np.rint(opacity * 255)
    return out.reshape(view.height, view.width, 4)


def _opacity(several: np.ndarray) -> np.ndarray:
    """The opacity of pixels with so many points."""
    share = np.log1p(several) / np.log1p(max(float(np.percentile(several, 99.5)), 1.0))
    opacity: np.ndarray = np.clip(_FAINTEST + (_DARKEST - _FAINTEST) * share, 0, 1)
    return opacity


def _sums(
    pixel: np.ndarray, weights: Sequence[np.ndarray | None], view: View, radius: int
) -> list[np.ndarray]:
    """For each pixel, the sum of the weights of the points whose discs cover it; without weights, their number.

    Args:
        pixel: (m,) the pixel of each point.
        weights: each (m,), or None.
        view: the part of the map.
        radius: of the discs, px; 0 for single pixels.
    """
    size = view.width * view.height
    if radius == 0:
        return [np.bincount(pixel, each, size) for each in weights]
    reach = np.arange(-radius, radius + 1)
    dy, dx = (each.ravel() for each in np.meshgrid(reach, reach, indexing="ij"))
    inside = dy**2 + dx**2 <= radius**2 + radius * 0.8
    dy, dx = dy[inside], dx[inside]
    if len(pixel) > size / _SPARSE:  # adding whole planes costs the same for any number of points
        return [_spread(np.bincount(pixel, each, size), view, dy, dx) for each in weights]
    y, x = np.divmod(pixel, view.width)
    y = (y[:, None] + dy).ravel()
    x = (x[:, None] + dx).ravel()
    kept = (y >= 0) & (y < view.height) & (x >= 0) & (x < view.width)
    source = np.repeat(np.arange(len(pixel)), len(dy))[kept]
    covered = (y * view.width + x)[kept]
    return [np.bincount(covered, None if each is None else each[source], size) for each in weights]


def _spread(plane: np.ndarray, view: View, dy: np.ndarray, dx: np.ndarray) -> np.ndarray:
    """The sums of a plane over discs around its pixels, (size,); the offsets of a disc are symmetric."""
    padded = np.pad(plane.reshape(view.height, view.width), int(dy.max()))
    out = np.zeros((view.height, view.width), plane.dtype)
    for down, right in zip(dy + dy.max(), dx + dx.max(), strict=True):
        out += padded[down : down + view.height, right : right + view.width]
    return out.ravel()
