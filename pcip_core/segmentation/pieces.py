"""Operations on label images: heights of objects, seams between objects, merging and cleaning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.measure import label
from skimage.segmentation import clear_border

from pcip_core.segmentation.otsu import keep_objects

_CROSS = ndimage.generate_binary_structure(2, 1)


@dataclass(frozen=True)
class Seams:
    """Pairs of objects that touch; each attribute is (n,).

    Attributes:
        small, large: labels of the smaller and the larger object.
        neck: length of the seam divided by the diameter of the smaller object.
        share: area of the smaller object divided by the area of the larger.
        height: mean relief along the seam.
    """

    small: np.ndarray
    large: np.ndarray
    neck: np.ndarray
    share: np.ndarray
    height: np.ndarray


def mean_heights(relief: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean relief of each label: (n + 1,)."""
    count = np.bincount(labels.ravel())
    return np.bincount(labels.ravel(), relief.ravel()) / np.maximum(count, 1)


def seams(relief: np.ndarray, labels: np.ndarray) -> Seams:
    """Find all pairs of objects that touch horizontally or vertically."""
    size = int(labels.max()) + 1
    pairs, heights = [], []
    for here, there in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        before, after = labels[here], labels[there]
        meet = (before != after) & (before > 0) & (after > 0)
        low, high = np.minimum(before[meet], after[meet]), np.maximum(before[meet], after[meet])
        pairs.append(low.astype(np.int64) * size + high)
        heights.append(np.minimum(relief[here][meet], relief[there][meet]))
    pair, which = np.unique(np.concatenate(pairs), return_inverse=True)
    rows, columns = (np.bincount(part, minlength=len(pair)) for part in np.split(which, [len(pairs[0])]))
    height = np.bincount(which, np.concatenate(heights), len(pair)) / np.maximum(rows + columns, 1)
    first, second = np.divmod(pair, size)
    area = np.bincount(labels.ravel())
    turn = area[first] > area[second]
    small, large = np.where(turn, second, first), np.where(turn, first, second)
    neck = np.hypot(rows, columns) / np.sqrt(4 / np.pi * area[small])
    return Seams(small, large, neck, area[small] / area[large], height)


def joined(small: np.ndarray, large: np.ndarray, area: np.ndarray, largest: float = np.inf) -> np.ndarray:
    """Merge pairs of objects in the given order.

    Args:
        small, large: (n,) labels. Each small object is merged once, so a bud never joins two mothers.
        area: (labels,) area of each object, px.
        largest: pairs whose union would be larger than this are not merged, px.

    Returns:
        (labels,) int32, the new label of each object.
    """
    area = area.copy()
    root = np.arange(len(area), dtype=np.int32)
    _, first = np.unique(small, return_index=True)
    for i in np.sort(first):
        kept, absorbed = root[large[i]], root[small[i]]
        if kept != absorbed and area[kept] + area[absorbed] <= largest:
            area[kept] += area[absorbed]
            root[root == absorbed] = kept
    return root


def tidied(labels: np.ndarray, scale: int, shape: tuple[int, ...], min_area_px: int) -> np.ndarray:
    """Fill holes, remove spurs and fragments, restore the full size, and remove small and border objects.

    Args:
        labels: (h, w) on the working scale.
        scale: px of the field per px of `labels`.
        shape: (H, W) of the field.
        min_area_px: smaller objects are removed.

    Returns:
        (H, W) int32 labels, 1..n without gaps.
    """
    labels = filled(labels)
    inside = ndimage.minimum_filter(labels, footprint=_CROSS) == ndimage.maximum_filter(
        labels, footprint=_CROSS
    )
    core = np.where(inside, labels, 0)
    labels = np.where(ndimage.maximum_filter(core, footprint=_CROSS) == labels, labels, 0)
    parts = label(labels, connectivity=1)  # the connected parts of each object
    place = np.flatnonzero(parts)
    area = np.bincount(parts.ravel())
    owner = np.zeros(len(area), np.int64)
    owner[parts.ravel()[place]] = labels.ravel()[place]
    largest = np.zeros(int(labels.max()) + 1, np.int64)
    np.maximum.at(largest, owner, area)
    labels = np.where((area == largest[owner])[parts], labels, 0)
    labels = clear_border(labels).repeat(scale, 0).repeat(scale, 1)[: shape[0], : shape[1]]
    return keep_objects(labels, min_area_px)


def filled(labels: np.ndarray) -> np.ndarray:
    """Fill the holes of each object: background that a single object encloses."""
    holes, count = ndimage.label(labels == 0)
    none = labels.max() + 1
    high = ndimage.maximum_filter(labels, footprint=_CROSS)
    low = ndimage.minimum_filter(np.where(labels > 0, labels, none), footprint=_CROSS)
    edge = (holes > 0) & (high > 0)
    highest, lowest = np.zeros(count + 1, labels.dtype), np.full(count + 1, none, labels.dtype)
    np.maximum.at(highest, holes[edge], high[edge])
    np.minimum.at(lowest, holes[edge], low[edge])
    for border in (holes[0], holes[-1], holes[:, 0], holes[:, -1]):
        highest[border] = 0
    return labels + np.where(highest == lowest, highest, 0)[holes]
