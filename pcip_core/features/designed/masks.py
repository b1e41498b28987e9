"""The mask of a crop's centre cell, found anew: crops are kept without their segmentation.

A crop often holds parts of neighbours. Features of one cell need its own pixels, so the centre cell is
segmented again from a structural channel, as the paper did for its labelled yeast crops ("Baseline Feature
Extraction and Benchmarking"). What is found is what that channel marks: the cell for a cytosolic marker,
the nucleus alone for a nuclear one.
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

_TOUCHING = (
    0.55  # a waist this wide, in diameters of the smaller part, is a bud's neck; narrower: a neighbour
)
_REACH = 1 / 8  # how far from the centre the cell may begin, in sides of the crop
_DISC = 1 / 4  # radius of the disc that stands for a cell that was not found, in sides of the crop


class CentreMasks(NamedTuple):
    """Masks of centre cells.

    Attributes:
        masks: (n, S, S) bool; never empty.
        found: (n,) bool; where False the mask is a disc in the middle of the crop, half its side across.
    """

    masks: np.ndarray
    found: np.ndarray

    @property
    def missing(self) -> int:
        """How many cells were not found."""
        return int((~self.found).sum())


def centre_masks(
    pixels: np.ndarray,
    channels: tuple[str, ...],
    channel: str,
    *,
    smooth_px: float = 0.7,
    min_area_fraction: float = 0.02,
    progress: Callable[[int], None] | None = None,
) -> CentreMasks:
    """Find the cell in the middle of each crop.

    Otsu's threshold of the square root of the channel (photon noise is even in it), smoothed; if the middle
    stays dark (a dim cell beside a bright one), that of the darker pixels. Holes are filled and touching
    objects parted at narrow waists, so that a bud stays with its mother; the object nearest to the middle is
    cut again at half its own mean, which loses dimmer neighbours.

    Args:
        pixels: (n, C, S, S) uint8.
        channels: names of the C channels.
        channel: the structural channel that fills the cells (or nuclei).
        smooth_px: sigma of the Gaussian before the threshold.
        min_area_fraction: smaller objects, in areas of the crop, are no cell.
        progress: called with the number of cells done.

    Returns:
        Masks, and which of them are a cell's. A cell that is not found gets a disc, so that it keeps its
        place among the others with features that are rough but finite; `missing` counts them.

    Raises:
        ShapeError: the crops are not (n, C, S, S) uint8, or there is no such channel.
    """
    check_crops(pixels, channels, (channel,))
    planes = pixels[:, channels.index(channel)]
    n, size = planes.shape[:2]
    y, x = np.indices((size, size)) - (size - 1) / 2
    from_middle = np.hypot(y, x)
    masks = np.empty((n, size, size), bool)
    found = np.zeros(n, bool)
    for i, plane in enumerate(planes):
        mask = _centre_cell(plane.astype(np.float32), from_middle, smooth_px)
        found[i] = mask.sum() >= max(1.0, min_area_fraction * size**2)
        masks[i] = mask if found[i] else from_middle <= _DISC * size
        if progress is not None:
            progress(i + 1)
    return CentreMasks(masks, found)


def parted(mask: np.ndarray, waist: float) -> np.ndarray:
    """Part a mask by the watershed of its distance transform; parts that meet widely stay together.

    Args:
        mask: (S, S) bool.
        waist: seams at least this wide, in diameters of the smaller part, part nothing.

    Returns:
        (S, S) int32, 0 outside; not renumbered.
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
    """Distance in px of each pixel of a mask to the next pixel outside; the crop's border is outside."""
    return ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]


def check_crops(pixels: np.ndarray, channels: tuple[str, ...], named: tuple[str, ...]) -> None:
    """Raise a ShapeError unless crops are (n, C, S, S) uint8 and have the named channels."""
    square = pixels.ndim == 4 and pixels.shape[2] == pixels.shape[3]
    if not square or pixels.dtype != np.uint8 or pixels.shape[1] != len(channels):
        raise ShapeError(
            "pixels",
            found=f"{pixels.dtype} {pixels.shape}",
            required=f"uint8 (n, {len(channels)}, S, S) with channels {channels}",
            remedy="Pass crops as the store keeps them.",
        )
    for name in named:
        if name not in channels:
            raise ShapeError(
                "channels",
                found=f"{name!r}, not among {channels}",
                required="a channel of the crops",
                remedy="Name one of the screen's channels.",
            )


def _centre_cell(plane: np.ndarray, from_middle: np.ndarray, smooth_px: float) -> np.ndarray:
    """The object in the middle of one plane, (S, S) bool; empty if there is none."""
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
    """The object of a mask, without its touching neighbours, that is nearest to the middle; holes filled."""
    mask = ndimage.binary_fill_holes(mask)
    nearest = np.unravel_index(np.where(mask, from_middle, np.inf).argmin(), mask.shape)
    objects = label(mask, connectivity=1)
    parts = parted(objects == objects[nearest], _TOUCHING)
    return parts == parts[nearest]
