"""Budding yeast in three markers: a cytosolic one, brightfield, and a ring of nuclear pores.

All three go the same way: a relief in which cells are hills, the hills that are ellipses
(`most_elliptical`), their outlines, buds joined to their mothers, artifacts left out. A watershed only
shares out pixels between cells that were found; to find cells by one harms the features (paper, Discussion).
Cells are looked for on a scale on which they are about 13 px across.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.segmentation import watershed

from pcip_core.segmentation.ellipses import likeness, moments, most_elliptical
from pcip_core.segmentation.otsu import shrunk
from pcip_core.segmentation.pieces import joined, mean_heights, seams, tidied

_WORKING_PX = 13.0
_STEP = 1.1  # ratio of two heights at which a relief is cut
_NOISE = 8.0  # height above the background, in its standard deviations, from which light is seen
_DIMMEST = 0.01  # the same as a share of the brightest, for a background that was cut to 0
_WALL_NOISE = 6.0  # the same for walls in brightfield
_PAIR = 3.0  # the largest area of a mother and her bud, in typical cells


def yeast_cytosol(
    planes: Mapping[str, np.ndarray],
    *,
    channel: str,
    diameter_px: float = 26.0,
    min_area_px: int = 150,
    ghost: float = 0.1,
    vacuole: float = 0.5,
) -> np.ndarray:
    """Label yeast cells that a fluorescent marker fills.

    Args:
        planes: channel name -> (H, W).
        channel: the marker.
        diameter_px: of a typical cell; half of it and twice of it are found too.
        min_area_px: smaller objects are left out.
        ghost: objects dimmer than this share of the field's median cell are left out: dead or out of focus.
        vacuole: dark bays that are narrower than this share of a typical cell belong to the cell.

    Returns:
        (H, W) int32 labels, 1..n without gaps; objects at the border left out.
    """
    scale, typical = working_scale(diameter_px)
    cells = filled_cells(shrunk(planes[channel], scale), typical, ghost=ghost, vacuole=vacuole)
    return tidied(cells, scale, planes[channel].shape, min_area_px)


def filled_cells(plane: np.ndarray, typical: float, *, ghost: float, vacuole: float) -> np.ndarray:
    """Cells that a marker fills, on the working scale: (h, w) int32; see `yeast_cytosol`."""
    relief, floor = _light(plane, 0.5, typical)
    hills = most_elliptical(
        relief, _levels(floor, relief), area=(0.14 * typical, 5 * typical), hole=2 * typical
    )
    territory = watershed(-relief, hills, mask=relief > floor)
    half = (mean_heights(relief, hills) / 2)[territory]
    pieces = np.where(relief > half, territory, 0)
    height = mean_heights(relief, pieces)
    seam = seams(relief, pieces)
    dimmer = np.minimum(height[seam.small], height[seam.large])
    necks = np.flatnonzero((seam.neck >= 0.47) & (seam.height >= 0.8 * dimmer))  # cells that only touch: less
    necks = necks[np.argsort(-seam.neck[necks])]
    root = joined(seam.small[necks], seam.large[necks], np.bincount(pieces.ravel()), _PAIR * typical)
    root[height < ghost * np.median(height[1:] if len(height) > 1 else height)] = 0
    bay = int(vacuole * np.sqrt(typical)) | 1
    closed = ndimage.grey_closing(relief, (bay, bay), mode="constant")  # a mirror would fill the border
    return np.where(np.maximum(closed, relief) > half, root[territory], 0)


def yeast_brightfield(
    planes: Mapping[str, np.ndarray], *, channel: str, diameter_px: float = 26.0, min_area_px: int = 150
) -> np.ndarray:
    """Label yeast cells in brightfield, a little out of focus, by walls darker or brighter than both sides.

    Whether walls are dark (focus above the cells) or bright (below) is seen by which gives more ellipses.

    Args:
        planes: channel name -> (H, W).
        channel: the brightfield plane.
        diameter_px: of a typical cell; half of it and twice of it are found too.
        min_area_px: smaller objects are left out; an outline runs along the middle of the wall.

    Returns:
        (H, W) int32 labels, 1..n without gaps; objects at the border left out.
    """
    scale, typical = working_scale(diameter_px)
    plane = ndimage.gaussian_filter(shrunk(planes[channel], scale), 0.7)
    plane = plane / np.maximum(ndimage.gaussian_filter(plane, np.sqrt(typical)), 1e-6)
    dark, bright = (_cores(sign * plane, typical) for sign in (1, -1))
    cells = _enclosed(*max(dark, bright, key=lambda found: _worth(found[0])), typical)
    return tidied(cells, scale, planes[channel].shape, min_area_px)


def _cores(plane: np.ndarray, typical: float) -> tuple[np.ndarray, np.ndarray, float]:
    """What thin lines enclose that are darker than what is on both sides of them.

    Returns:
        (h, w) int32 labels, an ellipse a cell; the relief, 0 and below it on lines; how low lines are.
    """
    width = int(0.8 * np.sqrt(typical)) | 1
    relief = plane - ndimage.grey_closing(plane, (width, width))
    high, middle = np.percentile(relief, [95, 75])
    floor = -middle + _WALL_NOISE * float(high - middle)
    levels = -_levels(floor, -relief)[::-1]
    cores = most_elliptical(relief, levels, area=(0.12 * typical, 3 * typical), hole=0.1 * typical)
    return cores, relief, -floor


def _worth(labels: np.ndarray) -> float:
    """Area of good ellipses, px."""
    sums = moments(labels, int(labels.max()))
    return float((sums[0] * np.clip(likeness(sums) - 0.9, 0, 1)).sum())


def _enclosed(cores: np.ndarray, relief: np.ndarray, wall: float, typical: float) -> np.ndarray:
    """Cells (h, w) from their cores to the middle of their walls; buds joined, gaps between left out."""
    free, _ = ndimage.label((relief > wall) & (cores == 0))
    outside = np.bincount(free.ravel()) > 3 * typical
    outside[0] = False
    count = int(cores.max())
    regions = watershed(-relief, np.where(outside[free], count + 1, cores))
    regions = np.where(regions > count, 0, regions).astype(np.int32)
    sums = moments(regions, count)
    regions[(likeness(sums) < 0.9)[regions]] = 0  # gaps are hollow-sided
    seam = seams(relief, regions)
    buds = np.flatnonzero((seam.neck >= 0.36) & (seam.share <= 0.56))
    buds = buds[np.argsort(-seam.neck[buds])]
    return joined(seam.small[buds], seam.large[buds], sums[0], _PAIR * typical)[regions]


def yeast_nuclear_pore(
    planes: Mapping[str, np.ndarray], *, channel: str, diameter_px: float = 26.0, min_area_px: int = 150
) -> np.ndarray:
    """Label yeast cells around their nuclei, which a ring marks (Nup49-RFP); the cytoplasm may glow faintly.

    Two nuclei of one ellipse are one that divides; the farther apart, the better an ellipse it has to be.

    Args:
        planes: channel name -> (H, W).
        channel: the ring marker.
        diameter_px: of a typical cell, not of its nucleus.
        min_area_px: smaller objects are left out.

    Returns:
        (H, W) int32 labels, 1..n without gaps; objects at the border left out. A cell reaches as far as
        the glow does within its reach, and at least over a disc around its nucleus.
    """
    scale, typical = working_scale(diameter_px)
    plane = shrunk(planes[channel], scale)
    relief, floor = _light(plane, 0.5, typical)
    nuclei = most_elliptical(
        relief, _levels(floor, relief), area=(0.1 * typical, 0.6 * typical), hole=0.3 * typical
    )
    count = int(nuclei.max())
    if count == 0:
        return np.zeros(planes[channel].shape, np.int32)
    diameter = np.sqrt(4 / np.pi * typical)
    centres = np.array(ndimage.center_of_mass(nuclei > 0, nuclei, range(1, count + 1)))
    one, other = cKDTree(centres).query_pairs(0.9 * diameter, output_type="ndarray").T
    apart = np.hypot(*(centres[one] - centres[other]).T) / diameter
    cells = _around(plane, nuclei, typical)
    sums = moments(cells, count)
    quality = likeness(sums[:, 1 + one] + sums[:, 1 + other])
    dividing = np.flatnonzero(quality > 0.65 + 0.42 * apart)
    dividing = dividing[np.argsort(apart[dividing])]
    root = joined(1 + one[dividing], 1 + other[dividing], sums[0])
    return tidied(root[cells], scale, planes[channel].shape, min_area_px)


def _around(plane: np.ndarray, nuclei: np.ndarray, typical: float) -> np.ndarray:
    """Cells (h, w) around nuclei: where the cytoplasm glows, within reach."""
    diameter = np.sqrt(4 / np.pi * typical)
    glow, floor = _light(plane, 1.0, typical)
    away = ndimage.distance_transform_edt(nuclei == 0)
    body = ((glow > floor) & (away < 0.75 * diameter)) | (away < 0.2 * diameter)
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(body), 1.0)
    territory = watershed(-depth, nuclei, mask=body)
    cytoplasm = np.where((away > 0.15 * diameter) & (away < 0.5 * diameter), territory, 0)
    half = np.zeros(int(nuclei.max()) + 1)
    heights = mean_heights(glow, cytoplasm) / 2
    half[: len(heights)] = heights
    return np.where((glow > half[territory]) | (away < 0.2 * diameter), territory, 0)


def working_scale(diameter_px: float) -> tuple[int, float]:
    """How much a field is shrunk, and the area of a typical cell then, px."""
    scale = max(1, round(diameter_px / _WORKING_PX))
    return scale, np.pi / 4 * (diameter_px / scale) ** 2


def _light(plane: np.ndarray, smooth: float, typical: float) -> tuple[np.ndarray, float]:
    """Smooth a plane and take its uneven background off.

    Returns:
        (h, w) light above the background, and the height from which it is not noise.
    """
    plane = ndimage.gaussian_filter(plane, smooth)
    reach = int(np.sqrt(typical))
    dark = ndimage.gaussian_filter(ndimage.minimum_filter(plane[::4, ::4], reach | 1), reach / 2)
    y, x = (np.linspace(0, part - 1, whole) for part, whole in zip(dark.shape, plane.shape, strict=True))
    plane = plane - ndimage.map_coordinates(dark, np.meshgrid(y, x, indexing="ij"), order=1)
    low, middle = np.percentile(plane, [5, 25])  # the darker half of the background of a half-full field
    relief = plane - middle
    return relief, max(_NOISE * float(middle - low), _DIMMEST * float(relief.max()))


def _levels(floor: float, relief: np.ndarray) -> np.ndarray:
    """Heights between the noise and the top, each a step above the last."""
    top = float(relief.max())
    if not 0 < floor < top:
        return np.zeros(0)
    return floor * _STEP ** np.arange(int(np.log(top / floor) / np.log(_STEP)) + 1)
