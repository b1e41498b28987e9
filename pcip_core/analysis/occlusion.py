"""Occlusion maps: where in a crop, and in which channel, the response of a unit comes from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Respond = Callable[[np.ndarray], np.ndarray]
"""(n, C, S, S) uint8 crops -> (n,) the value of the unit in each."""

_PATCHES = 8  # a patch has this fraction of the crop's side, and moves by half of that
_BACKGROUND = 10  # percentile of a channel
_ROUNDING = 1e-5  # of the response; batches of different sizes differ by less


def occlusion_maps(
    crop: np.ndarray, respond: Respond, *, patch_px: int | None = None, stride_px: int | None = None
) -> tuple[np.ndarray, float]:
    """Slide a patch over each channel that sets its pixels to the background, and record the drop of the response.

    The background of a channel is the tenth percentile of its pixels in this crop. A positive drop says that the
    pixels drive the unit; a negative one that they hold it back.

    Args:
        crop: (C, S, S) uint8.
        respond: gives the responses to crops of that shape.
        patch_px: side of the patch; by default an eighth of the crop's side.
        stride_px: step of the patch; by default half its side.

    Returns:
        (C, S, S) float32, the mean drop over all patches that cover a pixel; and the response to the whole crop.

    >>> crop = np.zeros((1, 8, 8), np.uint8)
    >>> crop[0, 6, 6] = 200
    >>> maps, whole = occlusion_maps(crop, lambda crops: crops.max((1, 2, 3)).astype(float), patch_px=4, stride_px=4)
    >>> whole, float(maps[0, 6, 6]), float(maps[0, 0, 0])
    (200.0, 200.0, 0.0)

    Source: Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks", section 4.2.
    """
    channels, size, _ = crop.shape
    patch = min(patch_px or max(size // _PATCHES, 2), size)
    stride = stride_px or max(patch // 2, 1)
    starts = sorted({*range(0, size - patch, stride), size - patch})  # the last patch ends at the edge
    corners = [(y, x) for y in starts for x in starts]
    background = np.percentile(crop, _BACKGROUND, axis=(1, 2)).round().astype(np.uint8)
    whole = float(respond(crop[None])[0])
    drops = np.zeros((channels, size, size))
    covered = np.zeros((size, size))
    for y, x in corners:
        covered[y : y + patch, x : x + patch] += 1
    for channel in range(channels):
        occluded = np.repeat(crop[None], len(corners), axis=0)
        for each, (y, x) in zip(occluded, corners, strict=True):
            each[channel, y : y + patch, x : x + patch] = background[channel]
        for (y, x), response in zip(corners, respond(occluded), strict=True):
            drops[channel, y : y + patch, x : x + patch] += whole - response
    drops /= covered
    drops[np.abs(drops) <= _ROUNDING * abs(whole)] = 0
    return drops.astype(np.float32), whole
