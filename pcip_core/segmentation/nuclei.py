"""Nuclei that touch, or differ so much in brightness that no one threshold suits a field."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pcip_core.segmentation.yeast import yeast_cytosol


def nuclei(
    planes: Mapping[str, np.ndarray], *, channel: str, diameter_px: float = 40.0, min_area_px: int = 400
) -> np.ndarray:
    """Label nuclei as ellipses, each cut at its own brightness: an alternative to the paper's `otsu`.

    Args:
        planes: channel name -> (H, W).
        channel: the nuclear channel.
        diameter_px: of a typical nucleus (about 160 at the Human Protein Atlas's full resolution).
        min_area_px: smaller objects are left out.

    Returns:
        (H, W) int32 labels, 1..n without gaps; objects at the border left out.
    """
    return yeast_cytosol(planes, channel=channel, diameter_px=diameter_px, min_area_px=min_area_px)
