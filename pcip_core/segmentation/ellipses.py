"""Objects that are each an ellipse at a brightness of their own, out of all objects at all brightnesses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

_LONGEST = 2.3  # ratio of axes from which an ellipse begins to lose quality
_POOR = 0.85  # quality of what is worth nothing


@dataclass(frozen=True)
class _Level:
    """The objects above one brightness, numbered from 1 (row 0 of each table is the background).

    Attributes:
        labels: (H, W) int32.
        parent: (n + 1,) the object of the level below that holds this one.
        area: (n + 1,) px.
        quality: (n + 1,) area over that of the ellipse with the same second moments: at most 1, which
            only a full ellipse has; 0 for objects that are too small or too large.
    """

    labels: np.ndarray
    parent: np.ndarray
    area: np.ndarray
    quality: np.ndarray


def most_elliptical(
    relief: np.ndarray, levels: Iterable[float], *, area: tuple[float, float], hole: float
) -> np.ndarray:
    """Label the hills of a relief, each cut at the height where it is most like an ellipse.

    Objects above a level lie in those above any lower one, so that all of them make a tree. From the
    highest level down, an object is one cell if its worth, area x (quality - 0.85), is that of the cells it
    falls apart into or more; else these are the cells. No one threshold has to suit a field: a dim cell is
    cut low, two bright ones that touch are cut where they part, and a vacuole parts nothing, as the whole
    has more area. Two equal discs that touch have a quality of 0.89, one cell 0.95 or more.

    Args:
        relief: (H, W); cells are high, the seams between them lower.
        levels: heights to cut at, ascending.
        area: the least and the largest area of a cell, px.
        hole: the largest area of a hole that is filled, px.

    Returns:
        (H, W) int32 labels, 1..n without gaps.
    """
    tree: list[_Level] = []
    for level in levels:
        objects = _objects(relief > level, tree[-1].labels if tree else None, area, hole)
        if len(objects.area) == 1:
            break
        tree.append(objects)
    whole: list[np.ndarray] = []
    weight, parts = np.zeros(1), np.zeros(1)
    for objects in reversed(tree):
        size = len(objects.area)
        parts = np.pad(parts / np.maximum(weight, 1), (0, size - len(parts)))
        best = np.maximum(objects.quality, parts)
        whole.append((objects.quality > 0) & (objects.quality >= parts))
        good = objects.area * (best > _POOR)
        weight, parts = np.bincount(objects.parent, good), np.bincount(objects.parent, good * best)
    return _chosen(relief.shape, tree, whole[::-1])


def _chosen(shape: tuple[int, ...], tree: list[_Level], whole: list[np.ndarray]) -> np.ndarray:
    """Number, from the lowest level up, the objects that are whole and lie in none that is."""
    labels = np.zeros(shape, np.int32)
    count = 0
    free = np.ones(1, bool)
    for objects, is_whole in zip(tree, whole, strict=True):
        free = free[objects.parent]
        take = free & is_whole
        number = np.zeros(len(take), np.int32)
        number[take] = np.arange(count + 1, count + 1 + take.sum())
        count += int(take.sum())
        labels = np.maximum(labels, number[objects.labels])
        free = free & ~take
    return labels


def _objects(mask: np.ndarray, below: np.ndarray | None, area: tuple[float, float], hole: float) -> _Level:
    """Connected objects of a mask with small holes filled."""
    gaps, _ = ndimage.label(~mask)
    small = np.bincount(gaps.ravel()) <= hole
    small[0] = False
    labels, count = ndimage.label(mask | small[gaps])
    place = np.flatnonzero(labels)
    number = labels.ravel()[place]
    parent = np.zeros(count + 1, np.int64)
    if below is not None:
        parent[number] = below.ravel()[place]  # any pixel of an object tells
    pixels, quality = ellipse_quality(labels, count)
    quality[(pixels < area[0]) | (pixels > area[1])] = 0
    return _Level(labels, parent, pixels, quality)


def ellipse_quality(labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Area (px) and likeness to an ellipse (0..1) of each label: two (count + 1,); row 0 is 0."""
    place = np.flatnonzero(labels)
    number = labels.ravel()[place]
    y, x = np.divmod(place, labels.shape[1])
    area = np.bincount(number, minlength=count + 1).astype(np.float64)
    share = 1 / np.maximum(area, 1)
    my, mx = (np.bincount(number, axis, count + 1) * share for axis in (y, x))
    yy = np.bincount(number, y * y, count + 1) * share - my**2 + 1 / 12  # a pixel's own extent
    xx = np.bincount(number, x * x, count + 1) * share - mx**2 + 1 / 12
    xy = np.bincount(number, y * x, count + 1) * share - my * mx
    spread = np.sqrt(yy * xx - xy**2)
    ratio = ((yy + xx) / 2 + np.sqrt(((yy - xx) / 2) ** 2 + xy**2)) / spread
    return area, area / (4 * np.pi * spread) * np.clip(1 + _LONGEST - ratio, 0, 1)
