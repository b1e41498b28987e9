"""Nuclei by Otsu's threshold and connected components (paper, "Datasets, Preprocessing, and Training")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.measure import label
from skimage.segmentation import clear_border

from pcip_core.spec.bounds import Area, Bounds


def otsu(
    planes: Mapping[str, np.ndarray],
    *,
    channel: str,
    min_area_px: Area = 400,
    smooth_px: Annotated[float, Bounds(0, 100)] = 1.0,
    scale: Annotated[int, Bounds(1, 100)] = 1,
) -> np.ndarray:
    """Label the bright objects of one channel. Holes are filled; objects at the border are removed.

    Args:
        planes: channel name -> (H, W).
        channel: the nuclear channel.
        min_area_px: smaller objects are removed (paper: 400 at full resolution).
        smooth_px: sigma of a Gaussian filter against shot noise and texture, applied after the threshold has been
            computed; 0 for none.
        scale: side of the blocks, px, whose means are segmented: faster by its square, with coarser outlines.

    Returns:
        (H, W) labels, 1..n without gaps: int32, or with a `scale` the smallest type that holds n.

    >>> plane = np.zeros((60, 80))
    >>> plane[10:30, 10:35], plane[35:55, 50:75] = 900, 700
    >>> otsu({"dna": plane}, channel="dna").max()
    np.int32(2)

    Source: Lu et al. 2019, Methods, "Datasets, Preprocessing, and Training".
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
    small = labels.astype(
        np.min_scalar_type(labels.max())
    )  # most of the time goes into memory for the full size
    return small.repeat(scale, 1)[:, :width].repeat(scale, 0)[:height]  # rows last: they are copied whole


def main_object(plane: np.ndarray, *, smooth_px: float = 1.0) -> np.ndarray:
    """The object above Otsu's threshold that holds the most light above it, (H, W) bool; it may touch the border.

    Args:
        plane: (H, W), not constant.
        smooth_px: sigma of a Gaussian filter, against noise.
    """
    smooth = ndimage.gaussian_filter(plane.astype(np.float32), smooth_px, mode="nearest")
    light = smooth - threshold_otsu(smooth)
    labels = label(light > 0)
    return labels == np.bincount(labels.ravel(), np.where(light > 0, light, 0).ravel()).argmax()


def shrunk(plane: np.ndarray, scale: int) -> np.ndarray:
    """Block means of a plane padded with its edge values: (H, W) -> (ceil(H / scale), ceil(W / scale)) float32."""
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
    """Fill holes as SciPy's binary_fill_holes does, several times faster."""
    gaps, count = ndimage.label(~mask)
    hole = np.ones(count + 1, bool)
    hole[np.concatenate([gaps[0], gaps[-1], gaps[:, 0], gaps[:, -1]])] = False
    hole[0] = True  # the objects themselves
    return hole.take(gaps)


def keep_objects(labels: np.ndarray, min_area_px: float) -> np.ndarray:
    """Renumber the objects of at least this area as 1..n; the others become background."""
    areas = np.bincount(labels.ravel())
    keep = areas >= max(min_area_px, 1)  # a number without pixels is no object
    keep[0] = False
    number = np.zeros(len(areas), np.int32)
    number[keep] = np.arange(1, keep.sum() + 1)
    return number[labels]
