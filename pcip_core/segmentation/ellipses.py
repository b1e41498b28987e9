"""Objects that are each an ellipse at a brightness of their own, out of all objects at all brightnesses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

_LONGEST = 2.3  # ratio of axes from which an ellipse begins to lose quality
_POOR = 0.85  # parts of a lower quality than this are crumbs, which do not count


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
    highest level down, an object is one cell if it is as good an ellipse as what it falls apart into (the
    mean of its good parts, by area); else the parts are cells. No one threshold has to suit a field: a dim
    cell is cut low, two bright ones that touch are cut where they part, and a vacuole parts nothing as long
    as the whole is the better ellipse. Two equal discs that touch have a quality of 0.89, most cells 0.98.

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
    weight: np.ndarray = np.zeros(1)
    parts: np.ndarray = np.zeros(1)
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
        labels = np.maximum(labels, number.take(objects.labels))
        free = free & ~take
    return labels


def _objects(mask: np.ndarray, below: np.ndarray | None, area: tuple[float, float], hole: float) -> _Level:
    """Connected objects of a mask with small holes filled."""
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
        parent[number] = below.ravel()[place]  # any pixel of an object tells
    sums = _moments(place, number, labels.shape[1], count)
    quality = likeness(sums)
    quality[(sums[0] < area[0]) | (sums[0] > area[1])] = 0
    return _Level(labels, parent, sums[0], quality)


def moments(labels: np.ndarray, count: int) -> np.ndarray:
    """Sums over each label 0..count of 1, y, x, y^2, x^2, y x: (6, count + 1); those of label 0 are 0."""
    place = np.flatnonzero(labels)
    return _moments(place, labels.ravel()[place], labels.shape[1], count)


def _moments(place: np.ndarray, number: np.ndarray, width: int, count: int) -> np.ndarray:
    """The same of labelled pixels, given by their places in the flattened image and their labels."""
    rows = place // width  # faster than divmod
    y, x = rows.astype(np.float64), (place - rows * width).astype(np.float64)
    weights = (None, y, x, y * y, x * x, y * x)
    number = number.astype(np.intp)
    return np.stack([np.bincount(number, weight, count + 1) for weight in weights])


def likeness(sums: np.ndarray) -> np.ndarray:
    """Likeness to an ellipse (0..1) of objects with these moments, which add up: (6, n) -> (n,)."""
    area, my, mx, yy, xx, yx = sums
    share = 1 / np.maximum(area, 1)
    yy = yy * share - (my * share) ** 2 + 1 / 12  # a pixel's own extent
    xx = xx * share - (mx * share) ** 2 + 1 / 12
    yx = yx * share - my * mx * share**2
    spread = np.sqrt(yy * xx - yx**2)
    ratio = ((yy + xx) / 2 + np.sqrt(((yy - xx) / 2) ** 2 + yx**2)) / spread
    return area / (4 * np.pi * spread) * np.clip(1 + _LONGEST - ratio, 0, 1)
