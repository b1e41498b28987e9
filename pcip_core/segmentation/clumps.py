"""Round cells that fill a marker, in clumps that touch: yeast with a cytosolic marker."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_li
from skimage.measure import label
from skimage.segmentation import clear_border, watershed

from pcip_core.segmentation.otsu import keep_objects


def clumps(
    planes: Mapping[str, np.ndarray],
    *,
    channel: str,
    min_area_px: int = 200,
    smooth_px: float = 1.5,
    background_px: float = 60.0,
    radius_px: int = 9,
) -> np.ndarray:
    """Label cells of one channel, splitting clumps where the distance to the background has two peaks.

    Args:
        planes: channel name -> (H, W).
        channel: the marker that fills the cells.
        min_area_px: smaller objects are left out.
        smooth_px: sigma of the Gaussian before the threshold.
        background_px: sigma of the wide minimum-and-Gaussian that estimates uneven background.
        radius_px: two centres of cells are at least this far apart.

    Returns:
        (H, W) int32 labels, 1..n without gaps; objects at the border left out.
    """
    plane = gaussian(planes[channel], smooth_px, preserve_range=True)
    coarse = ndimage.zoom(plane, 0.125, order=1)
    floor = gaussian(ndimage.minimum_filter(coarse, int(background_px / 8) | 1), background_px / 16)
    plane = plane - ndimage.zoom(floor, np.array(plane.shape) / floor.shape, order=1)
    mask = ndimage.binary_opening(ndimage.binary_fill_holes(plane > threshold_li(plane)), iterations=2)
    depth = gaussian(ndimage.distance_transform_edt(mask), 2.0, preserve_range=True)
    peaks = peak_local_max(depth, min_distance=radius_px, labels=label(mask), exclude_border=False)
    markers = np.zeros(mask.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return keep_objects(clear_border(watershed(-depth, markers, mask=mask)), min_area_px)
