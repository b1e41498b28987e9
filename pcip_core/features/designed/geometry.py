"""Where a pixel lies in a cell: distances to the edge, the centre and the bud's neck, and the cell's axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from pcip_core.features.designed.masks import edge_distance, parted

_WAIST = 1.0  # a waist narrower than this, in diameters of the smaller part, is a neck
_BUD = 0.04  # the smallest bud, in areas of its mother


@dataclass(frozen=True)
class CellGeometry:
    """One cell; all arrays are over the N pixels of its mask, in the mask's order.

    Attributes:
        y, x: (N,) px.
        edge: (N,) distance to the edge, 0 at it and 1 at the innermost pixel.
        centre: (N,) distance to the centre of mass, 1 at the farthest pixel.
        neck: (N,) distance to the bud's neck, 1 at the farthest pixel; 0 everywhere without a bud.
        bud: (N,) bool; none True without a bud.
        long, across: (N,) px from the centre along the longest axis of the mother and across it; a cell
            without a longest axis gets whatever direction rounding gives.
        elongation: standard deviation of the cell along its longest axis over that across it.
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
        """Distance of each pixel to a point, 1 at the farthest pixel: (N,)."""
        return _to_point(self.y, self.x, y, x)


def cell_geometry(mask: np.ndarray) -> CellGeometry:
    """The geometry of one mask, (S, S) bool with at least one pixel."""
    y, x = (axis.astype(np.float64) for axis in np.nonzero(mask))
    depth = edge_distance(mask)[mask] - 0.5  # a pixel's middle is half a pixel from its rim
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
    """The bud's pixels, (S, S) bool: the larger of the parts beyond a waist; none where there is no waist."""
    parts = parted(mask, _WAIST)
    areas = np.bincount(parts.ravel(), minlength=3)
    areas[0] = 0
    mother, bud = np.argsort(-areas, kind="stable")[:2]
    return (parts == bud) & bool(areas[bud] >= max(1, _BUD * areas[mother]))


def _seam(mother: np.ndarray, bud: np.ndarray) -> tuple[float, float]:
    """The middle of the seam between two masks."""
    reach = ndimage.generate_binary_structure(2, 1)
    seam = (ndimage.binary_dilation(mother, reach) & bud) | (ndimage.binary_dilation(bud, reach) & mother)
    if not seam.any():  # parted by a third piece
        seam = bud
    y, x = np.nonzero(seam)
    return float(y.mean()), float(x.mean())


def _axis(y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, float]:
    """Direction (y, x) of the longest axis of some pixels, and their elongation; a pixel counts as a square."""
    covariance = np.cov(np.stack([y, x]), bias=True) + np.eye(2) / 12
    values, vectors = np.linalg.eigh(covariance)
    return vectors[:, 1], float(np.sqrt(values[1] / values[0]))


def _to_point(y: np.ndarray, x: np.ndarray, to_y: float, to_x: float) -> np.ndarray:
    distance = np.hypot(y - to_y, x - to_x)
    return distance / max(float(distance.max()), 1.0)
