"""Position of each pixel in its cell: distances to the edge, the centre and the neck of the bud, and the axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from pcip_core.features.designed.masks import edge_distance, split_at_waists

_WAIST = 1.0  # a waist narrower than this, in diameters of the smaller part, is the neck of a bud
_BUD = 0.04  # the smallest area of a bud, as a fraction of the area of its mother


@dataclass(frozen=True)
class CellGeometry:
    """The geometry of one cell. All arrays are over the N pixels of its mask, in row-major order.

    Attributes:
        y, x: (N,) px.
        edge: (N,) distance to the edge, 0 at the edge and 1 at the innermost pixel.
        centre: (N,) distance to the centre of mass, 1 at the farthest pixel.
        neck: (N,) distance to the neck of the bud, 1 at the farthest pixel; 0 everywhere without a bud.
        bud: (N,) bool; False everywhere without a bud.
        long, across: (N,) px from the centre along the major axis of the mother, and perpendicular to it. In a cell
            without a unique major axis, rounding decides the direction.
        elongation: ratio of the standard deviations along the major axis and perpendicular to it.
    """

    y: np.ndarray
    x: np.ndarray
    edge: np.ndarray
    centre: np.ndarray
    neck: np.ndarray
    bud: np.ndarray
    long: np.ndarray
    across: np.ndarray
    elongation: float

    def distance_to(self, y: float, x: float) -> np.ndarray:
        """Compute the distance of each pixel to a point: (N,), 1 at the farthest pixel."""
        return _to_point(self.y, self.x, y, x)


def cell_geometry(mask: np.ndarray) -> CellGeometry:
    """Compute the geometry of one mask.

    Args:
        mask: (S, S) bool with at least one pixel.

    >>> mask = np.zeros((9, 9), bool)
    >>> mask[2:7, 2:7] = True
    >>> cell = cell_geometry(mask)
    >>> len(cell.y), cell.elongation, bool(cell.bud.any())
    (25, 1.0, False)
    """
    y, x = (axis.astype(np.float64) for axis in np.nonzero(mask))
    depth = edge_distance(mask)[mask] - 0.5  # the centre of a pixel is half a pixel from its border
    edge = (depth - depth.min()) / max(float(np.ptp(depth)), 0.5)
    bud = mother_and_bud(mask)
    neck = np.zeros(len(y))
    if bud.any():
        neck = _to_point(y, x, *_seam(mask & ~bud, bud))
    in_bud = bud[mask]
    along, ratio = _axis(y, x)
    if bud.any():
        along = _axis(y[~in_bud], x[~in_bud])[0]
    dy, dx = y - y.mean(), x - x.mean()
    return CellGeometry(
        y,
        x,
        edge,
        _to_point(y, x, y.mean(), x.mean()),
        neck,
        in_bud,
        dy * along[0] + dx * along[1],
        dx * along[0] - dy * along[1],
        ratio,
    )


def mother_and_bud(mask: np.ndarray) -> np.ndarray:
    """Select the pixels of the bud, (S, S) bool: the second largest part after splitting at the waists, if any."""
    parts = split_at_waists(mask, _WAIST)
    areas = np.bincount(parts.ravel(), minlength=3)
    areas[0] = 0
    mother, bud = np.argsort(-areas, kind="stable")[:2]
    return (parts == bud) & bool(areas[bud] >= max(1, _BUD * areas[mother]))


def _seam(mother: np.ndarray, bud: np.ndarray) -> tuple[float, float]:
    """Compute the centre (y, x) of the seam between two masks."""
    reach = ndimage.generate_binary_structure(2, 1)
    seam = (ndimage.binary_dilation(mother, reach) & bud) | (ndimage.binary_dilation(bud, reach) & mother)
    if not seam.any():  # separated by a third part
        seam = bud
    y, x = np.nonzero(seam)
    return float(y.mean()), float(x.mean())


def _axis(y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, float]:
    """Compute the direction (y, x) of the major axis of pixels, and their elongation. A pixel counts as a square."""
    covariance = np.cov(np.stack([y, x]), bias=True) + np.eye(2) / 12
    values, vectors = np.linalg.eigh(covariance)
    return vectors[:, 1], float(np.sqrt(values[1] / values[0]))


def _to_point(y: np.ndarray, x: np.ndarray, to_y: float, to_x: float) -> np.ndarray:
    distance = np.hypot(y - to_y, x - to_x)
    return distance / max(float(distance.max()), 1.0)
