"""The size of cells or nuclei in the planes of a structural channel, by which segmentation and crops are set."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

_SIDE = 1400  # px of a plane that are looked at
_LEAST_PX = 4.0
_GREATEST = 0.35  # diameter, as a share of the side of the plane
_LEAST_COVERED, _MOST_COVERED = 0.0005, 0.9  # share of a plane that objects cover


def typical_diameter(planes: Iterable[np.ndarray]) -> float | None:
    """The diameter of a typical object that is brighter than the background, px; None if there is none.

    It is twice the height of the peaks of the distance to the background, weighted by their size, so that cells that
    touch count as cells, and specks do not.

    Args:
        planes: (H, W) of one channel, of several fields.
    """
    diameters: list[float] = []
    for plane in planes:
        values, factor = _reduced(plane)
        smooth = ndimage.gaussian_filter(values, 1.0)
        if smooth.min() >= smooth.max():
            continue
        rough = _by_mask(smooth)
        if rough is None:
            continue
        fine = _by_mask(ndimage.gaussian_filter(values, max(1.0, rough / 8))) or rough
        diameters.append(fine * factor)
    return float(np.median(diameters)) if diameters else None


def _reduced(plane: np.ndarray) -> tuple[np.ndarray, int]:
    """The middle of a plane, as means of blocks if it is large: float32; and the side of a block."""
    factor = max(1, min(plane.shape) // _SIDE)
    height, width = (min(side // factor, _SIDE) * factor for side in plane.shape)
    top, left = (plane.shape[0] - height) // 2, (plane.shape[1] - width) // 2
    part = plane[top : top + height, left : left + width].astype(np.float32)
    blocks = part.reshape(height // factor, factor, width // factor, factor).mean((1, 3))
    low, high = np.percentile(blocks, (1, 99))
    return np.sqrt(np.clip(blocks, low, high) - low), factor  # dim and bright cells are alike


def _by_mask(smooth: np.ndarray) -> float | None:
    """The diameter of the objects above Otsu's threshold."""
    mask = ndimage.binary_fill_holes(smooth > threshold_otsu(smooth))
    if not _LEAST_COVERED < mask.mean() < _MOST_COVERED:
        return None
    distance = ndimage.distance_transform_edt(mask)
    around = ndimage.maximum_filter(
        distance, size=max(3, 2 * round(float(np.percentile(distance[mask], 95))) // 2 + 1)
    )
    peaks = distance[(distance == around) & (distance >= _LEAST_PX / 2)]
    if not peaks.size:
        return None
    order = np.sort(peaks)
    weights = np.cumsum(order)
    diameter = 2 * float(order[np.searchsorted(weights, weights[-1] / 2)])
    return diameter if diameter < _GREATEST * min(smooth.shape) else None
