"""Elliptical objects, each cut at its own brightness, selected from the objects at all brightness thresholds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

_LONGEST = 2.3  # ratio of axes above which the quality of an ellipse decreases
_POOR = 0.85  # parts of lower quality are fragments, which are ignored


@dataclass(frozen=True)
class _Level:
    """The objects above one threshold, numbered from 1. Element 0 of each array is the background.

    Attributes:
        labels: (H, W) int32.
        parent: (n + 1,) the object of the next lower level that contains this one.
        area: (n + 1,) px.
        quality: (n + 1,) area divided by the area of the ellipse with the same second moments: 1 for a full
            ellipse, less for any other shape, 0 for objects that are too small or too large.
    """

    labels: np.ndarray
    parent: np.ndarray
    area: np.ndarray
    quality: np.ndarray


def most_elliptical(
    relief: np.ndarray, levels: Iterable[float], *, area: tuple[float, float], hole: float
) -> np.ndarray:
    """Label the peaks of a relief, each cut at the height where its outline is most elliptical.

    Each object above one level lies within an object above any lower level, so the objects form a tree. From
    the highest level down, an object is one cell if its quality as an ellipse is at least that of the parts
    into which it splits (the mean over its good parts, weighted by area). Otherwise the parts are cells. Thus no
    single threshold has to suit a field: a dim cell is cut low, two bright cells that touch are cut where they
    separate, and a vacuole splits no cell as long as the whole is the better ellipse. Two equal discs that
    touch have a quality of 0.89, most cells 0.98.

    Args:
        relief: (H, W); cells are high, the seams between them lower.
        levels: heights of the cuts, ascending.
        area: smallest and largest area of a cell, px.
        hole: largest area of a hole that is filled, px.

    Returns:
        (H, W) int32 labels, 1..n without gaps.

    >>> y, x = np.mgrid[:40, :80]
    >>> bright, dim = (np.clip(12 - np.hypot(y - 20, x - centre), 0, 1) for centre in (20, 60))
    >>> labels = most_elliptical(5 * bright + 0.2 * dim, [0.1, 0.3, 1, 3], area=(50, 1000), hole=10)
    >>> labels[20, 20], labels[20, 60], labels[20, 40]
    (np.int32(1), np.int32(2), np.int32(0))
    """
    tree: list[_Level] = []
    for level in levels:
        objects = _objects(relief > level, tree[-1].labels if tree else None, area, hole)
        if len(objects.area) == 1:
            break
        tree.append(objects)
    whole: list[np.ndarray] = []
    weight: np.ndarray = np.zeros(1)
    parts: np.ndarray = np.zeros(1)
    for objects in reversed(tree):
        size = len(objects.area)
        parts = np.pad(parts / np.maximum(weight, 1), (0, size - len(parts)))
        best = np.maximum(objects.quality, parts)
        whole.append((objects.quality > 0) & (objects.quality >= parts))
        good = objects.area * (best > _POOR)
        weight, parts = np.bincount(objects.parent, good), np.bincount(objects.parent, good * best)
    return _outermost(relief.shape, tree, whole[::-1])


def _outermost(shape: tuple[int, ...], tree: list[_Level], whole: list[np.ndarray]) -> np.ndarray:
    """Number, from the lowest level up, the objects that are whole and lie within no other whole object."""
    labels = np.zeros(shape, np.int32)
    count = 0
    free = np.ones(1, bool)
    for objects, is_whole in zip(tree, whole, strict=True):
        free = free[objects.parent]
        take = free & is_whole
        number = np.zeros(len(take), np.int32)
        number[take] = np.arange(count + 1, count + 1 + take.sum())
        count += int(take.sum())
        labels = np.maximum(labels, number.take(objects.labels))
        free = free & ~take
    return labels


def _objects(mask: np.ndarray, below: np.ndarray | None, area: tuple[float, float], hole: float) -> _Level:
    """Label the connected objects of a mask after filling its small holes."""
    gaps, _ = ndimage.label(~mask)
    small = np.bincount(gaps.ravel()) <= hole
    small[0] = False
    if small.any():
        mask = mask | small.take(gaps)  # faster than small[gaps]
    labels, count = ndimage.label(mask)
    place = np.flatnonzero(mask)
    number = labels.ravel()[place]
    parent = np.zeros(count + 1, np.int64)
    if below is not None:
        parent[number] = below.ravel()[place]  # all pixels of an object have the same parent
    sums = _moments(place, number, labels.shape[1], count)
    quality = likeness(sums)
    quality[(sums[0] < area[0]) | (sums[0] > area[1])] = 0
    return _Level(labels, parent, sums[0], quality)


def moments(labels: np.ndarray, count: int) -> np.ndarray:
    """Sum 1, y, x, y^2, x^2 and y x over the pixels of each label: (6, count + 1); column 0 is 0."""
    place = np.flatnonzero(labels)
    return _moments(place, labels.ravel()[place], labels.shape[1], count)


def _moments(place: np.ndarray, number: np.ndarray, width: int, count: int) -> np.ndarray:
    """The same for pixels given by their positions in the flattened image and their labels."""
    rows = place // width  # faster than divmod
    y, x = rows.astype(np.float64), (place - rows * width).astype(np.float64)
    weights = (None, y, x, y * y, x * x, y * x)
    number = number.astype(np.intp)
    return np.stack([np.bincount(number, weight, count + 1) for weight in weights])


def likeness(sums: np.ndarray) -> np.ndarray:
    """Quality as an ellipse (0..1) of objects with these moments: (6, n) -> (n,).

    The moments of a union of objects are the sums of their moments.
    """
    area, my, mx, yy, xx, yx = sums
    share = 1 / np.maximum(area, 1)
    yy = yy * share - (my * share) ** 2 + 1 / 12  # variance within a pixel
    xx = xx * share - (mx * share) ** 2 + 1 / 12
    yx = yx * share - my * mx * share**2
    spread = np.sqrt(yy * xx - yx**2)
    ratio = ((yy + xx) / 2 + np.sqrt(((yy - xx) / 2) ** 2 + yx**2)) / spread
    return area / (4 * np.pi * spread) * np.clip(1 + _LONGEST - ratio, 0, 1)
