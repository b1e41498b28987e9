"""Cells segmented by another program: label images of YeastSpotter, Cellpose, InstanSeg or CellProfiler."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from skimage.measure import label
from skimage.segmentation import clear_border as without_border

from pcip_core.errors import ImageFileError
from pcip_core.images.reading import Planes
from pcip_core.segmentation.mask_checks import renumbered
from pcip_core.segmentation.otsu import keep_objects
from pcip_core.spec.bounds import Area


def labels(
    planes: Mapping[str, np.ndarray],
    *,
    channel: str,
    min_area_px: Area = 1,
    clear_border: bool = False,
    split: bool | None = None,
) -> np.ndarray:
    """Renumber the objects of a label image.

    Args:
        planes: channel name -> (H, W).
        channel: the label image, a channel with `role: labels`; 0 is background.
        min_area_px: smaller objects are removed.
        clear_border: remove objects at the border. (Cropping rejects windows over the edge in any case.)
        split: make each connected piece of a label an object of its own, for binary masks and for numbers that
            have wrapped. False says that pieces of one label belong together; by default
            (`pcip_core.segmentation.mask_checks`) a label image with many of them is refused.

    Raises:
        ImageFileError: the label image has 1 bit per pixel, and `split` is not given.

    Returns:
        (H, W) int32 labels, 1..n without gaps, in the order of the original numbers.

    >>> labels({"mask": np.array([[0, 40, 40], [7, 0, 0]])}, channel="mask").tolist()
    [[0, 2, 2], [1, 0, 0]]
    """
    if planes[channel].dtype == bool and split is None:
        raise ImageFileError(
            planes.root / planes.field.files[channel] if isinstance(planes, Planes) else channel,
            found="a mask of 1 bit per pixel, which does not number its objects",
            required="one number for each object",
            remedy="Set `split: true` in segmentation.options, which makes each connected piece a cell, or "
            "`split: false` if all of it is one cell.",
        )
    objects = renumbered(planes[channel])
    if split:
        objects = label(objects, background=0)
    if clear_border:
        objects = without_border(objects)
    return keep_objects(objects, min_area_px)
