"""Nuclei by Otsu's threshold and connected components (paper, "Datasets, Preprocessing, and Training")."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import ndimage
from skimage.filters import gaussian, threshold_otsu
from skimage.measure import label
from skimage.segmentation import clear_border


def otsu(
    planes: Mapping[str, np.ndarray], *, channel: str, min_area_px: int = 400, smooth_px: float = 1.0
) -> np.ndarray:
    """Label bright objects of one channel; holes filled, objects at the border left out.

    Args:
        planes: channel name -> (H, W).
        channel: the nuclear channel.
        min_area_px: smaller objects are left out (paper: 400 at full resolution).
        smooth_px: sigma of a Gaussian before the threshold, against shot noise; 0 for the paper's own.

    Returns:
        (H, W) int32 labels, 1..n without gaps.
    """
    plane = gaussian(planes[channel], smooth_px, preserve_range=True) if smooth_px else planes[channel]
    mask = ndimage.binary_fill_holes(plane > threshold_otsu(plane))
    return keep_objects(clear_border(label(mask)), min_area_px)


def keep_objects(labels: np.ndarray, min_area_px: int) -> np.ndarray:
    """Renumber the objects of at least that area as 1..n; the others become background."""
    areas = np.bincount(labels.ravel())
    keep = areas >= max(min_area_px, 1)  # numbers that no pixel has are none
    keep[0] = False
    number = np.zeros(len(areas), np.int32)
    number[keep] = np.arange(1, keep.sum() + 1)
    return number[labels]
