"""The k nearest other points, exactly: float32 products find candidates, float64 differences settle near ties.

Points are taken in blocks. Distances are symmetric, so the product of two blocks serves the rows of both, and
half of all products is enough. Of a product only what lies within a row's k-th distance so far is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

_BLOCK = 2048  # points
_STRIP = 512  # rows of a block whose distances are held at a time: 4 MiB, which stay in the cache
_SEED = 1024  # points that give each row its first k-th distance
_SPARE = 8  # candidates beyond k, so that rounding at the k-th place is seen
_NARROW = 32  # up to so many columns float64 costs little, and many points lie closer than float32 tells
_PAIRS = 1024  # pairs whose exact distances are taken at a time


def nearest_others(
    points: np.ndarray,
    groups: np.ndarray,
    ks: Sequence[int],
    *,
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """The nearest points of other groups by Euclidean distance.

    Args:
        points: (n, d) float64, of similar scale in all columns.
        groups: (n,) integers; each point has at least max(ks) points in other groups.
        ks: how many: for each of them the first k are exactly the k nearest.
        progress: called with the number of points done, in proportion to the work.

    Returns:
        (n, max(ks)) positions, nearest first (between two ks to within rounding); of equally near points
        the earlier one first.
    """
    k = max(ks)
    n, d = points.shape
    order = np.random.default_rng(0).permutation(n)  # so that no order of the cells is a slow one
    kind = np.float64 if d <= _NARROW else np.float32
    search = _Search(points[order], groups[order], k + _SPARE, kind)
    search.run(progress)
    distance, nearest = np.empty((n, k + _SPARE)), np.empty((n, k + _SPARE), np.int64)
    distance[order], nearest[order] = search.distance, order[search.nearest]
    del search
    return _settled(points, groups, ks, distance, nearest, _rounding(points, distance, kind))


class _Search:
    """The `kept` nearest points of each point, in no order, by rounded halves of squared distances."""

    def __init__(self, points: np.ndarray, groups: np.ndarray, kept: int, kind: Any) -> None:
        n = len(points)
        half = np.einsum("nd,nd->n", points, points)[:, None].astype(kind) / 2
        points, one = points.astype(kind), np.ones((n, 1), kind)
        self.left = np.hstack([-points, half, one])  # left @ right.T = |a - b|^2 / 2
        self.right = np.hstack([points, one, half])
        self.groups, self.kept = groups, kept
        self.distance = np.full((n, kept), np.inf, kind)
        self.nearest = np.zeros((n, kept), np.int32)
        self.limit = np.full(n, np.inf, kind)  # the largest distance kept
        self.locks = [Lock() for _ in range(0, n, _BLOCK)]

    def run(self, progress: Callable[[int], None] | None) -> None:
        """Meet each block with itself, which sets the limits, then with each later block.

        One product a thread, rather than one product by all threads: so the search goes on beside the
        arithmetic. Limits only fall, so an old one lets through too many candidates, never too few.
        """
        n = len(self.left)
        blocks = [slice(start, min(start + _BLOCK, n)) for start in range(0, n, _BLOCK)]
        alone = [(one, one) for one in blocks]
        later = [(one, other) for at, one in enumerate(blocks) for other in blocks[at + 1 :]]
        done, workers = 0, threads()  # asked before they are limited
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
            for pairs in (alone, later):
                for _ in pool.map(lambda pair: self._meet(*pair), pairs):
                    done += 1
                    if progress is not None:
                        progress(n * done // (len(alone) + len(later)))

    def _meet(self, one: slice, other: slice) -> None:
        """Offer two blocks each other's points, or a block its own."""
        ours, theirs = [], []  # candidates of each: rows of one, rows of other, distance
        for start in range(one.start, one.stop, _STRIP):
            strip = slice(start, min(start + _STRIP, one.stop))
            distance = self.left[strip] @ self.right[other].T  # (rows of strip, rows of other)
            if one == other:
                self._begin(strip, other, distance)
            else:
                theirs.append(_entries(distance, distance <= self.limit[other], start - one.start))
            ours.append(_entries(distance, distance <= self.limit[strip, None], start - one.start))
        rows, columns, distance = map(np.concatenate, zip(*ours, strict=True))
        self._offer(one, rows, other.start + columns, distance)
        if theirs:
            rows, columns, distance = map(np.concatenate, zip(*theirs, strict=True))
            order = columns.astype(np.int16).argsort(kind="stable")  # 16 bits are sorted by radix
            self._offer(other, columns[order], one.start + rows[order], distance[order])

    def _begin(self, strip: slice, block: slice, distance: np.ndarray) -> None:
        """First limits: the k-th distance within a part of the block."""
        distance[self.groups[strip, None] == self.groups[None, block]] = np.inf
        if distance.shape[1] > self.kept:
            first = np.partition(distance[:, : max(_SEED, self.kept)], self.kept - 1, axis=1)
            self.limit[strip] = first[:, self.kept - 1]

    def _offer(self, block: slice, rows: np.ndarray, others: np.ndarray, distance: np.ndarray) -> None:
        """Keep the nearest of those that a block has and of candidates.

        Args:
            block: whose.
            rows: (candidates,) within the block, rising.
            others: (candidates,) positions of the candidates.
            distance: (candidates,)
        """
        allowed = self.groups[block][rows] != self.groups[others]
        rows, others, distance = rows[allowed], others[allowed], distance[allowed]
        size, kept = block.stop - block.start, self.kept
        counts = np.bincount(rows, minlength=size)
        place = np.arange(len(rows)) - np.repeat(counts.cumsum() - counts, counts)
        near = np.full((size, kept + counts.max()), np.inf, distance.dtype)
        who = np.zeros(near.shape, np.int32)
        near[rows, kept + place], who[rows, kept + place] = distance, others
        with self.locks[block.start // _BLOCK]:
            near[:, :kept], who[:, :kept] = self.distance[block], self.nearest[block]
            chosen = near.argpartition(kept - 1, axis=1)[:, :kept]
            self.distance[block] = np.take_along_axis(near, chosen, axis=1)
            self.nearest[block] = np.take_along_axis(who, chosen, axis=1)
            self.limit[block] = self.distance[block].max(1)


def threads() -> int:
    """As many as a matrix product would use, at most 8: each holds its candidates, some 10 MiB."""
    return min(
        [8, *(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")]
    )


def _entries(distance: np.ndarray, chosen: np.ndarray, start: int) -> tuple[np.ndarray, ...]:
    """Rows (from `start` on), columns and values of the chosen entries, by rows; fast when they are few."""
    at = np.flatnonzero(chosen)
    rows, columns = np.divmod(at, distance.shape[1])
    return rows + start, columns, distance.ravel()[at]


def _rounding(points: np.ndarray, distance: np.ndarray, kind: Any) -> np.ndarray:
    """(n,) a bound on the error of rounded distances to any point that is as near as the found ones.

    A sum of d + 2 products of numbers of relative error u is off, in any order of adding, by at most
    (d + 5) u times the sum of their sizes, which here is at most (|a| + |b|)^2 / 2 (Higham, "Accuracy and
    Stability of Numerical Algorithms", section 3.1); and |b| is at most |a| + |a - b|.
    """
    reach = np.where(np.isfinite(distance), distance, 0).max(1)
    sizes = 2 * np.linalg.norm(points, axis=1) + np.sqrt(2 * np.maximum(reach, 0))  # |a| + |b|
    return (points.shape[1] + 16) * np.finfo(kind).eps / 4 * sizes**2  # eps is 2 u


def _settled(
    points: np.ndarray,
    groups: np.ndarray,
    ks: Sequence[int],
    distance: np.ndarray,
    nearest: np.ndarray,
    error: np.ndarray,
) -> np.ndarray:
    """(n, max k) the first k exact for each k: distances that decide it are taken again, in float64."""
    order = distance.argsort(axis=1)
    distance, nearest = (np.take_along_axis(each, order, axis=1) for each in (distance, nearest))
    with np.errstate(invalid="ignore"):  # of two absent ones
        close = np.diff(distance, axis=1) <= 2 * error[:, None]
    run = np.zeros(distance.shape, np.int32)  # of neighbours whose order rounding may have changed
    (~close).cumsum(axis=1, out=run[:, 1:])
    doubtful = np.zeros(distance.shape, bool)
    for k in ks:  # runs that reach across a k
        doubtful |= close[:, k - 1 : k] & (run == run[:, k - 1 : k])
    rows, places = np.nonzero(doubtful)
    farthest = distance[:, -1].copy()
    distance[rows, places] = _halved_squares(points, rows, nearest[rows, places])
    order = np.lexsort((nearest, distance), axis=1)[:, : max(ks)]
    nearest = np.take_along_axis(nearest, order, axis=1)
    reach = np.take_along_axis(distance, order, axis=1)[:, -1]
    for row in np.flatnonzero(farthest <= reach + 2 * error):  # one that was not kept may belong
        nearest[row] = _nearest_of_one(points, groups, int(row), max(ks))
    return nearest


def _halved_squares(points: np.ndarray, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(pairs,) halves of squared distances, by differences."""

    def part(start: int) -> np.ndarray:
        pairs = slice(start, start + _PAIRS)
        apart = points[rows[pairs]] - points[others[pairs]]
        return np.einsum("pd,pd->p", apart, apart) / 2

    with ThreadPoolExecutor(threads()) as pool:
        parts = list(pool.map(part, range(0, len(rows), _PAIRS)))
    return np.concatenate([np.empty(0), *parts])


def _nearest_of_one(points: np.ndarray, groups: np.ndarray, row: int, k: int) -> np.ndarray:
    others = np.flatnonzero(groups != groups[row])
    distance = _halved_squares(points, np.full(len(others), row), others)
    near = others[distance <= np.partition(distance, k - 1)[k - 1]]
    distance = _halved_squares(points, np.full(len(near), row), near)
    return near[np.lexsort((near, distance))][:k]
