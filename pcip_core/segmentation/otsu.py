"""Nuclei by Otsu's threshold and connected components (paper, "Datasets, Preprocessing, and Training")."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.measure import label
from skimage.segmentation import clear_border


def otsu(
    planes: Mapping[str, np.ndarray],
    *,
    channel: str,
    min_area_px: int = 400,
    smooth_px: float = 1.0,
    scale: int = 1,
) -> np.ndarray:
    """Label bright objects of one channel; holes filled, objects at the border left out.

    Args:
        planes: channel name -> (H, W).
        channel: the nuclear channel.
        min_area_px: smaller objects are left out (paper: 400 at full resolution).
        smooth_px: sigma of a Gaussian after the threshold is taken, against shot noise and texture; 0 for none.
        scale: work on means of blocks of so many px: faster by its square, with outlines as coarse.

    Returns:
        (H, W) int32 labels, 1..n without gaps.
    """
    plane = shrunk(planes[channel], scale)
    threshold = threshold_otsu(plane)
    if smooth_px:
        plane = ndimage.gaussian_filter(plane, smooth_px / scale, mode="nearest")
    labels = label(_without_holes(plane > threshold))
    labels = keep_objects(clear_border(labels), -(-min_area_px // scale**2))
    if scale == 1:
        return labels
    height, width = planes[channel].shape
    return labels.repeat(scale, 0)[:height].repeat(scale, 1)[:, :width]


def shrunk(plane: np.ndarray, scale: int) -> np.ndarray:
    """Block means, the plane going on beyond its edges: (H, W) -> (ceil(H / scale), ceil(W / scale)) float32."""
    height, width = plane.shape
    if height % scale or width % scale:
        plane = np.pad(plane, ((0, -height % scale), (0, -width % scale)), mode="edge")
    rows = plane[::scale].astype(np.float32)
    for i in range(1, scale):
        rows += plane[i::scale]
    means = rows[:, ::scale].copy()
    for i in range(1, scale):
        means += rows[:, i::scale]
    return means / np.float32(scale**2)


def _without_holes(mask: np.ndarray) -> np.ndarray:
    """The same as SciPy's binary_fill_holes, several times faster."""
    gaps, count = ndimage.label(~mask)
    hole = np.ones(count + 1, bool)
    hole[np.concatenate([gaps[0], gaps[-1], gaps[:, 0], gaps[:, -1]])] = False
    hole[0] = True  # the objects themselves
    return hole.take(gaps)


def keep_objects(labels: np.ndarray, min_area_px: int) -> np.ndarray:
    """Renumber the objects of at least that area as 1..n; the others become background."""
    areas = np.bincount(labels.ravel())
    keep = areas >= max(min_area_px, 1)  # numbers that no pixel has are none
    keep[0] = False
    number = np.zeros(len(areas), np.int32)
    number[keep] = np.arange(1, keep.sum() + 1)
    return number[labels]
