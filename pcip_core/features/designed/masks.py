"""Segmentation of the centre cell of each crop.

Crops are stored without their segmentation and often contain parts of neighbouring cells. Features of one cell need
the pixels of that cell, so the centre cell is segmented from a structural channel, as in the paper for its labelled
yeast crops ("Baseline Feature Extraction and Benchmarking"). The mask covers what the channel marks: the cell for a
cytosolic marker, only the nucleus for a nuclear marker.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.measure import label
from skimage.segmentation import watershed

from pcip_core.errors import ShapeError
from pcip_core.segmentation.pieces import joined, seams

# Width of a waist, in diameters of the smaller part: wider is the neck of a bud, narrower is a touching neighbour.
_TOUCHING = 0.55
_REACH = 1 / 8  # largest distance of the cell from the centre, as a fraction of the side of the crop
_DISC = 1 / 4  # radius of the disc that replaces an undetected cell, as a fraction of the side of the crop


class CentreMasks(NamedTuple):
    """Masks of centre cells.

    Attributes:
        masks: (n, S, S) bool; never empty.
        detected: (n,) bool; where False, the mask is a central disc with a diameter of half the side of the crop.
    """

    masks: np.ndarray
    detected: np.ndarray

    @property
    def missing(self) -> int:
        """Number of cells that were not detected."""
        return int((~self.detected).sum())


def centre_masks(
    pixels: np.ndarray,
    channels: tuple[str, ...],
    channel: str,
    *,
    smooth_px: float = 0.7,
    min_area_fraction: float = 0.02,
    progress: Callable[[int], None] | None = None,
) -> CentreMasks:
    """Segment the cell in the middle of each crop.

    The square root of the channel, in which photon noise is uniform, is smoothed and thresholded by Otsu's method. If
    the middle stays dark (a dim cell beside a bright one), the threshold of the darker pixels is used. Holes are
    filled, and touching objects are split at narrow waists, so that a bud stays with its mother. The object nearest
    to the middle is thresholded again at half its mean, which removes dimmer neighbours.

    Args:
        pixels: (n, C, S, S) uint8.
        channels: names of the C channels.
        channel: the structural channel that fills the cells (or nuclei).
        smooth_px: sigma of the Gaussian before the threshold, px.
        min_area_fraction: smallest area of a cell, as a fraction of the area of the crop.
        progress: called with the number of cells done.

    Returns:
        The masks, and which cells were detected. An undetected cell gets a disc, so that it keeps its row, with
        approximate but finite features; `missing` counts these cells.

    Raises:
        ShapeError: the crops are not (n, C, S, S) uint8, or the channel is unknown.

    >>> crop = np.full((1, 1, 32, 32), 10, np.uint8)
    >>> crop[0, 0, 8:24, 8:24] = 200
    >>> result = centre_masks(crop, ("cytosol",), "cytosol")
    >>> int(result.masks.sum()), result.missing
    (256, 0)
    """
    check_crops(pixels, channels, (channel,))
    planes = pixels[:, channels.index(channel)]
    n, size = planes.shape[:2]
    y, x = np.indices((size, size)) - (size - 1) / 2
    from_middle = np.hypot(y, x)
    masks = np.empty((n, size, size), bool)
    detected = np.zeros(n, bool)
    for i, plane in enumerate(planes):
        mask = _centre_cell(plane.astype(np.float32), from_middle, smooth_px)
        detected[i] = mask.sum() >= max(1.0, min_area_fraction * size**2)
        masks[i] = mask if detected[i] else from_middle <= _DISC * size
        if progress is not None:
            progress(i + 1)
    return CentreMasks(masks, detected)


def split_at_waists(mask: np.ndarray, waist: float) -> np.ndarray:
    """Split a mask at its narrow waists by the watershed of the distance transform.

    Args:
        mask: (S, S) bool.
        waist: the width, in diameters of the smaller part, from which a waist does not split the mask.

    Returns:
        (S, S) int32 labels, 0 outside the mask; not necessarily consecutive.
    """
    depth = edge_distance(mask)
    smooth = ndimage.gaussian_filter(depth, 0.7)
    peaks = label((ndimage.maximum_filter(smooth, 5) == smooth) & mask)
    parts = watershed(-smooth, peaks, mask=mask)
    seam = seams(depth, parts)
    wide = np.flatnonzero(seam.neck >= waist)
    wide = wide[np.argsort(-seam.neck[wide], kind="stable")]
    return joined(seam.small[wide], seam.large[wide], np.bincount(parts.ravel()))[parts]


def edge_distance(mask: np.ndarray) -> np.ndarray:
    """Distance in px of each pixel of a mask to the nearest pixel outside. Beyond the border counts as outside."""
    return ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]


def check_crops(pixels: np.ndarray, channels: tuple[str, ...], named: tuple[str, ...]) -> None:
    """Raise a ShapeError unless the crops are (n, C, S, S) uint8 and have the named channels."""
    square = pixels.ndim == 4 and pixels.shape[2] == pixels.shape[3]
    if not square or pixels.dtype != np.uint8 or pixels.shape[1] != len(channels):
        raise ShapeError(
            "pixels",
            found=f"{pixels.dtype} {pixels.shape}",
            required=f"uint8 (n, {len(channels)}, S, S) with channels {channels}",
            remedy="Pass crops as stored.",
        )
    for name in named:
        if name not in channels:
            raise ShapeError(
                "channels",
                found=f"{name!r}, not among {channels}",
                required="a channel of the crops",
                remedy="Choose one of the screen's channels.",
            )


def _centre_cell(plane: np.ndarray, from_middle: np.ndarray, smooth_px: float) -> np.ndarray:
    """Segment the object in the middle of one plane: (S, S) bool; empty if there is none."""
    light = ndimage.gaussian_filter(plane, smooth_px, mode="nearest")
    root = ndimage.gaussian_filter(np.sqrt(plane), smooth_px, mode="nearest")
    nothing = np.zeros(plane.shape, bool)
    middle = from_middle <= _REACH * len(plane)
    mask = nothing
    for _ in range(2):
        values = root[~mask]
        if values.size == 0 or values.min() == values.max():
            return nothing
        mask = root > threshold_otsu(values)
        if (mask & middle).any():
            break
    else:
        return nothing
    cell = _nearest_object(mask, from_middle)
    return _nearest_object(cell & (light > light[cell].mean() / 2), from_middle)


def _nearest_object(mask: np.ndarray, from_middle: np.ndarray) -> np.ndarray:
    """Select the object of a mask that is nearest to the middle, without touching neighbours, with holes filled."""
    mask = ndimage.binary_fill_holes(mask)
    nearest = np.unravel_index(np.where(mask, from_middle, np.inf).argmin(), mask.shape)
    objects = label(mask, connectivity=1)
    parts = split_at_waists(objects == objects[nearest], _TOUCHING)
    return parts == parts[nearest]
