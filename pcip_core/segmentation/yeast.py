"""Segmentation of budding yeast by a cytosolic marker, by brightfield, or by a ring of nuclear pores.

All three methods have the same steps: compute a relief in which cells are peaks, select the elliptical peaks
(`most_elliptical`), outline them, join buds to their mothers, and remove artifacts. The watershed only divides
pixels among cells that are already detected, because detecting cells by a watershed harms the features (paper,
Discussion). The field is scaled so that cells are about 13 px wide.
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
from pcip_core.spec.bounds import Area, Diameter, Share

_WORKING_PX = 13.0
_STEP = 1.1  # ratio of successive thresholds
_NOISE = 8.0  # least height above the background, in its standard deviations
_DIMMEST = 0.01  # least height as a share of the maximum, for images whose background is clipped to 0
_WALL_NOISE = 6.0  # least depth of walls in brightfield, in standard deviations
_PAIR = 3.0  # largest area of a mother with her bud, in areas of a typical cell


def yeast_cytosol(
    planes: Mapping[str, np.ndarray],
    *,
    channel: str,
    diameter_px: Diameter = 26.0,
    min_area_px: Area = 150,
    ghost: Share = 0.1,
    vacuole: Share = 0.5,
) -> np.ndarray:
    """Label yeast cells that a fluorescent marker fills.

    Args:
        planes: channel name -> (H, W).
        channel: the marker.
        diameter_px: diameter of a typical cell. Cells of half to twice this diameter are detected.
        min_area_px: smaller objects are removed.
        ghost: objects dimmer than this share of the field's median cell are removed: they are dead or out of
            focus.
        vacuole: dark indentations narrower than this share of a typical cell are part of the cell.

    Returns:
        (H, W) int32 labels, 1..n without gaps. Objects at the border are removed.

    >>> y, x = np.mgrid[:100, :140]
    >>> light = sum(900 * (np.hypot(y - 50, x - centre) < 13) for centre in (40, 100))
    >>> plane = np.random.default_rng(0).poisson(100 + light)
    >>> yeast_cytosol({"cytosol": plane}, channel="cytosol").max()
    np.int32(2)
    """
    scale, typical = working_scale(diameter_px)
    cells = filled_cells(shrunk(planes[channel], scale), typical, ghost=ghost, vacuole=vacuole)
    return tidied(cells, scale, planes[channel].shape, min_area_px)


def filled_cells(plane: np.ndarray, typical: float, *, ghost: float, vacuole: float) -> np.ndarray:
    """Label cells that a marker fills on the working scale: (h, w) int32; see `yeast_cytosol`."""
    relief, floor = _without_background(plane, 0.5, typical)
    hills = most_elliptical(
        relief, _thresholds(floor, relief), area=(0.14 * typical, 5 * typical), hole=2 * typical
    )
    territory = watershed(-relief, hills, mask=relief > floor)
    half = (mean_heights(relief, hills) / 2)[territory]
    pieces = np.where(relief > half, territory, 0)
    height = mean_heights(relief, pieces)
    seam = seams(relief, pieces)
    dimmer = np.minimum(height[seam.small], height[seam.large])
    necks = np.flatnonzero((seam.neck >= 0.47) & (seam.height >= 0.8 * dimmer))  # cells that touch have less
    necks = necks[np.argsort(-seam.neck[necks])]
    root = joined(seam.small[necks], seam.large[necks], np.bincount(pieces.ravel()), _PAIR * typical)
    root[height < ghost * np.median(height[1:] if len(height) > 1 else height)] = 0
    bay = int(vacuole * np.sqrt(typical)) | 1
    closed = ndimage.grey_closing(relief, (bay, bay), mode="constant")  # reflection would fill the border
    return np.where(np.maximum(closed, relief) > half, root[territory], 0)


def yeast_brightfield(
    planes: Mapping[str, np.ndarray], *, channel: str, diameter_px: Diameter = 26.0, min_area_px: Area = 150
) -> np.ndarray:
    """Label yeast cells in slightly defocused brightfield by walls that are darker or brighter than both sides.

    Walls are dark if the focus is above the cells and bright if it is below. Both are tried, and the one that
    gives the larger area of ellipses is used.

    Args:
        planes: channel name -> (H, W).
        channel: the brightfield plane.
        diameter_px: diameter of a typical cell. Cells of half to twice this diameter are detected.
        min_area_px: smaller objects are removed. Outlines follow the middle of the wall.

    Returns:
        (H, W) int32 labels, 1..n without gaps. Objects at the border are removed.

    >>> y, x = np.mgrid[:100, :140]
    >>> walls = sum(np.exp(-(((np.hypot(y - 50, x - centre) - 13) / 2) ** 2)) for centre in (40, 100))
    >>> plane = np.random.default_rng(0).poisson(4000 * (1 - 0.3 * walls))
    >>> yeast_brightfield({"brightfield": plane}, channel="brightfield").max()
    np.int32(2)
    """
    scale, typical = working_scale(diameter_px)
    plane = ndimage.gaussian_filter(shrunk(planes[channel], scale), 0.7)
    plane = plane / np.maximum(ndimage.gaussian_filter(plane, np.sqrt(typical)), 1e-6)
    dark, bright = (_cores(sign * plane, typical) for sign in (1, -1))
    cells = _cells_from_cores(*max(dark, bright, key=lambda cores: _elliptical_area(cores[0])), typical)
    return tidied(cells, scale, planes[channel].shape, min_area_px)


def _cores(plane: np.ndarray, typical: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Label the regions enclosed by thin lines that are darker than both sides.

    Returns:
        (h, w) int32 labels, one ellipse per cell; the relief, at most 0 and negative on lines; the level below
        which the relief is a line.
    """
    width = int(0.8 * np.sqrt(typical)) | 1
    relief = plane - ndimage.grey_closing(plane, (width, width))
    high, middle = np.percentile(relief, [95, 75])
    floor = -middle + _WALL_NOISE * float(high - middle)
    levels = -_thresholds(floor, -relief)[::-1]
    cores = most_elliptical(relief, levels, area=(0.12 * typical, 3 * typical), hole=0.1 * typical)
    return cores, relief, -floor


def _elliptical_area(labels: np.ndarray) -> float:
    """Area of good ellipses, weighted by their quality, px."""
    sums = moments(labels, int(labels.max()))
    return float((sums[0] * np.clip(likeness(sums) - 0.9, 0, 1)).sum())


def _cells_from_cores(cores: np.ndarray, relief: np.ndarray, wall: float, typical: float) -> np.ndarray:
    """Extend cores to the middle of the walls, remove gaps between cells, and join buds: (h, w) labels."""
    free, _ = ndimage.label((relief > wall) & (cores == 0))
    outside = np.bincount(free.ravel()) > 3 * typical
    outside[0] = False
    count = int(cores.max())
    regions = watershed(-relief, np.where(outside[free], count + 1, cores))
    regions = np.where(regions > count, 0, regions).astype(np.int32)
    sums = moments(regions, count)
    regions[(likeness(sums) < 0.9)[regions]] = 0  # gaps between cells have concave sides
    seam = seams(relief, regions)
    buds = np.flatnonzero((seam.neck >= 0.36) & (seam.share <= 0.56))
    buds = buds[np.argsort(-seam.neck[buds])]
    return joined(seam.small[buds], seam.large[buds], sums[0], _PAIR * typical)[regions]


def yeast_nuclear_pore(
    planes: Mapping[str, np.ndarray], *, channel: str, diameter_px: Diameter = 26.0, min_area_px: Area = 150
) -> np.ndarray:
    """Label yeast cells around their nuclei, which a ring marks (Nup49-RFP); the cytoplasm may glow faintly.

    Two nuclei whose cells together form an ellipse are one dividing cell. The larger their distance, the higher
    is the required quality of the ellipse.

    Args:
        planes: channel name -> (H, W).
        channel: the ring marker.
        diameter_px: diameter of a typical cell, not of its nucleus.
        min_area_px: smaller objects are removed.

    Returns:
        (H, W) int32 labels, 1..n without gaps. Objects at the border are removed. A cell covers the glow up
        to 0.75 diameters from its nucleus, and at least 0.2 diameters around the nucleus.

    >>> y, x = np.mgrid[:100, :140]
    >>> rings = sum(np.exp(-(((np.hypot(y - 50, x - centre) - 5) / 1.5) ** 2)) for centre in (40, 100))
    >>> plane = np.random.default_rng(0).poisson(100 + 900 * rings)
    >>> yeast_nuclear_pore({"pores": plane}, channel="pores").max()
    np.int32(2)
    """
    scale, typical = working_scale(diameter_px)
    plane = shrunk(planes[channel], scale)
    relief, floor = _without_background(plane, 0.5, typical)
    nuclei = most_elliptical(
        relief, _thresholds(floor, relief), area=(0.1 * typical, 0.6 * typical), hole=0.3 * typical
    )
    count = int(nuclei.max())
    if count == 0:
        return np.zeros(planes[channel].shape, np.int32)
    diameter = np.sqrt(4 / np.pi * typical)
    centres = np.array(ndimage.center_of_mass(nuclei > 0, nuclei, range(1, count + 1)))
    first, second = cKDTree(centres).query_pairs(0.9 * diameter, output_type="ndarray").T
    apart = np.hypot(*(centres[first] - centres[second]).T) / diameter
    cells = _cells_around(plane, nuclei, typical)
    sums = moments(cells, count)
    quality = likeness(sums[:, 1 + first] + sums[:, 1 + second])
    dividing = np.flatnonzero(quality > 0.65 + 0.42 * apart)
    dividing = dividing[np.argsort(apart[dividing])]
    root = joined(1 + first[dividing], 1 + second[dividing], sums[0])
    return tidied(root[cells], scale, planes[channel].shape, min_area_px)


def _cells_around(plane: np.ndarray, nuclei: np.ndarray, typical: float) -> np.ndarray:
    """Label the glow of the cytoplasm near each nucleus: (h, w)."""
    diameter = np.sqrt(4 / np.pi * typical)
    glow, floor = _without_background(plane, 1.0, typical)
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
    """Return the factor by which a field is reduced, and the area of a typical cell after it, px."""
    scale = max(1, round(diameter_px / _WORKING_PX))
    return scale, np.pi / 4 * (diameter_px / scale) ** 2


def _without_background(plane: np.ndarray, smooth: float, typical: float) -> tuple[np.ndarray, float]:
    """Smooth a plane and subtract its uneven background.

    Returns:
        (h, w) light above the background, and the height above which it is not noise.
    """
    plane = ndimage.gaussian_filter(plane, smooth)
    reach = int(np.sqrt(typical))
    dark = ndimage.gaussian_filter(ndimage.minimum_filter(plane[::4, ::4], reach | 1), reach / 2)
    y, x = (np.linspace(0, part - 1, whole) for part, whole in zip(dark.shape, plane.shape, strict=True))
    plane = plane - ndimage.map_coordinates(dark, np.meshgrid(y, x, indexing="ij"), order=1)
    low, middle = np.percentile(plane, [5, 25])  # darker half of the background of a half-full field
    relief = plane - middle
    return relief, max(_NOISE * float(middle - low), _DIMMEST * float(relief.max()))


def _thresholds(floor: float, relief: np.ndarray) -> np.ndarray:
    """Geometric series of heights from the noise to the maximum."""
    top = float(relief.max())
    if not 0 < floor < top:
        return np.zeros(0)
    return floor * _STEP ** np.arange(int(np.log(top / floor) / np.log(_STEP)) + 1)
