"""The k nearest other points, exactly: float32 products find candidates, float64 differences settle near ties.

Points are taken in blocks. Distances are symmetric, so the product of two blocks serves the rows of both, and
half of all products is enough. Of a product only what lies within a row's k-th distance so far is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

_SPARE = 8  # candidates beyond k, so that rounding at the k-th place is seen
_NARROW = 32  # up to so many columns float64 costs little, and many points lie closer than float32 tells
_PAIRS = 1024  # pairs whose exact distances are taken at a time
_LOW = np.uint64(32)  # bits of a key below its distance
_NONE = np.uint64(0x7F800000) << _LOW  # the key of an infinite distance


def nearest_others(
    points: np.ndarray,
    groups: np.ndarray,
    ks: Sequence[int],
    *,
    block: int = 2048,
    strip: int = 512,
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """The nearest points of other groups by Euclidean distance.

    Args:
        points: (n, d) float64, of similar scale in all columns.
        groups: (n,) integers; each point has at least max(ks) points in other groups.
        ks: how many: for each of them the first k are exactly the k nearest.
        block: points in a block; decides speed and memory only.
        strip: points of the other block whose distances are held at a time; by default 4 MiB, which stay in
            the cache.
        progress: called with the number of points done, in proportion to the work.

    Returns:
        (n, max(ks)) positions, nearest first (between two ks to within rounding); of equally near points
        the earlier one first.
    """
    kind = np.float64 if points.shape[1] <= _NARROW else np.float32
    search = _Search(points, groups, max(ks) + _SPARE, kind, block, strip)
    search.run(progress)
    distance, nearest = search.found()
    del search
    return _settled(points, groups, ks, distance, nearest, _rounding(points, distance, kind))


class _Search:
    """The `kept` nearest points of each point, in no order, by rounded halves of squared distances.

    A neighbour is kept as one number, its key: the bits of its float32 distance, which for numbers that are
    not negative are in the order of the numbers, and below them its position.
    """

    def __init__(
        self, points: np.ndarray, groups: np.ndarray, kept: int, kind: Any, block: int, strip: int
    ) -> None:
        n, d = points.shape
        self.points, self.groups, self.kept = points, groups, kept
        self.size, self.strip = block, strip
        self.order = np.random.default_rng(0).permutation(n)  # so that no order of the cells is a slow one
        self.left = np.empty((n, d + 2), kind)  # in that order, as all that follows
        self.right = np.empty((n, d + 2), kind)  # left @ right.T = |a - b|^2 / 2
        self.keys = np.full((n, kept), _NONE)
        self.limit = np.full(n, np.inf, np.float32)  # the largest distance kept
        self.blocks = [slice(start, min(start + block, n)) for start in range(0, n, block)]
        self.locks = [Lock() for _ in self.blocks]

    def run(self, progress: Callable[[int], None] | None) -> None:
        """Meet each block with itself, which sets the limits, then with each later block.

        One product a thread, rather than one product by all threads: so the search goes on beside the
        arithmetic. Limits only fall, so an old one lets through too many candidates, never too few.
        """
        later = [(block, other) for at, block in enumerate(self.blocks) for other in self.blocks[at + 1 :]]
        done, workers = 0, threads()  # asked before they are limited
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
            for task, over in ((self._begin, self.blocks), (self._meet, later)):
                for _ in pool.map(task, over):
                    done += 1
                    if progress is not None:
                        progress(len(self.order) * done // (len(self.blocks) + len(later)))

    def found(self) -> tuple[np.ndarray, np.ndarray]:
        """(n, kept) distances, rising, and positions, by the order of the points."""
        keys = np.empty_like(self.keys)
        keys[self.order] = np.sort(self.keys, axis=1)
        return _distance(keys).astype(np.float64), (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)

    def _begin(self, block: slice) -> None:
        """Set a block's vectors, and its first limits by its own points: the k-th distance so far."""
        rows = self.points[self.order[block]]
        half = np.einsum("nd,nd->n", rows, rows) / 2
        self.left[block, :-2], self.left[block, -2], self.left[block, -1] = -rows, half, 1
        self.right[block, :-2], self.right[block, -2], self.right[block, -1] = rows, 1, half
        groups = self.groups[self.order[block]]
        for strip, distance in self._distances(block, block):
            distance[groups[:, None] == self.groups[self.order[strip]]] = np.inf
            if strip.start == block.start and distance.shape[1] > self.kept:
                self.limit[block] = np.partition(distance, self.kept - 1, axis=1)[:, self.kept - 1]
            rows, columns, near = _entries(distance, distance <= self.limit[block, None])
            self._offer(block, rows, strip.start + columns, near)

    def _meet(self, pair: tuple[slice, slice]) -> None:
        """Offer two blocks each other's points."""
        first, second = pair
        of_first = []  # candidates: rows of the first block, rows of all, distances
        for strip, distance in self._distances(first, second):
            rows, columns, near = _entries(distance, distance <= self.limit[first, None])
            of_first.append((rows, strip.start + columns, near))
            rows, columns, near = _entries(distance, distance <= self.limit[strip])
            self._offer(strip, columns, first.start + rows, near)
        self._offer(first, *map(np.concatenate, zip(*of_first, strict=True)))

    def _distances(self, block: slice, other: slice) -> Iterator[tuple[slice, np.ndarray]]:
        """(rows of block, rows of strip) distances, strip by strip of the other block; overwritten by the next."""
        held = np.empty((block.stop - block.start) * self.strip, self.left.dtype)
        for start in range(other.start, other.stop, self.strip):
            strip = slice(start, min(start + self.strip, other.stop))
            shape = block.stop - block.start, strip.stop - strip.start
            distance = held[: shape[0] * shape[1]].reshape(shape)
            yield strip, np.matmul(self.left[block], self.right[strip].T, out=distance)

    def _offer(self, block: slice, rows: np.ndarray, others: np.ndarray, distance: np.ndarray) -> None:
        """Keep the nearest of those that a block has and of candidates.

        Args:
            block: whose, or a part of one.
            rows: (candidates,) within the block.
            others: (candidates,) which points the candidates are.
            distance: (candidates,)
        """
        order = rows.astype(np.int16).argsort(kind="stable")  # 16 bits are sorted by radix
        rows, others, distance = rows[order], self.order[others[order]], distance[order]
        allowed = self.groups[self.order[block]][rows] != self.groups[others]
        rows, others, distance = rows[allowed], others[allowed], distance[allowed]
        size, kept = block.stop - block.start, self.kept
        counts = np.bincount(rows, minlength=size)
        place = np.arange(len(rows)) - np.repeat(counts.cumsum() - counts, counts)
        keys = np.full((size, kept + counts.max()), _NONE)
        keys[rows, kept + place] = _keys(distance, others)
        with self.locks[block.start // self.size]:
            keys[:, :kept] = self.keys[block]
            keys.partition(kept - 1, axis=1)
            self.keys[block] = keys[:, :kept]
            self.limit[block] = _distance(keys[:, kept - 1])


def _keys(distance: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """(...) uint64; what rounding has made negative is taken as that much above 0, which is no less near."""
    bits = np.abs(distance).astype(np.float32).view(np.uint32)
    return bits.astype(np.uint64) << _LOW | positions.astype(np.uint64)


def _distance(keys: np.ndarray) -> np.ndarray:
    """(...) float32"""
    return (keys >> _LOW).astype(np.uint32).view(np.float32)


def threads() -> int:
    """As many as a matrix product would use, at most 8: each holds its candidates, some 10 MiB."""
    return min(
        [8, *(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")]
    )


def _entries(distance: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and values of the chosen entries; fast when they are few."""
    at = np.flatnonzero(chosen)
    rows, columns = np.divmod(at, distance.shape[1])
    return rows, columns, distance.ravel()[at]


def _rounding(points: np.ndarray, distance: np.ndarray, kind: Any) -> np.ndarray:
    """(n,) a bound on the error of rounded distances to any point that is as near as the found ones.

    A sum of d + 2 products of numbers of relative error u is off, in any order of adding, by at most
    (d + 5) u times the sum of their sizes, which here is at most (|a| + |b|)^2 / 2 (Higham, "Accuracy and
    Stability of Numerical Algorithms", section 3.1); and |b| is at most |a| + |a - b|. Of either kind, the
    distance that is kept is rounded to float32 once more.
    """
    reach = np.where(np.isfinite(distance), distance, 0).max(1)
    sizes = 2 * np.sqrt(np.einsum("nd,nd->n", points, points)) + np.sqrt(2 * reach)  # |a| + |b|
    kept = np.finfo(np.float32).eps / 2 * reach  # eps is 2 u
    return (points.shape[1] + 16) * np.finfo(kind).eps / 4 * sizes**2 + kept


def _settled(
    points: np.ndarray,
    groups: np.ndarray,
    ks: Sequence[int],
    distance: np.ndarray,
    nearest: np.ndarray,
    error: np.ndarray,
) -> np.ndarray:
    """(n, max k) the first k exact for each k: distances that decide it are taken again, in float64.

    `distance` rises in each row, and is written to.
    """
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
    changed = np.flatnonzero(doubtful.any(1))
    order = np.lexsort((nearest[changed], distance[changed]), axis=1)
    nearest[changed] = np.take_along_axis(nearest[changed], order, axis=1)
    distance[changed] = np.take_along_axis(distance[changed], order, axis=1)
    nearest, reach = nearest[:, : max(ks)], distance[:, max(ks) - 1]
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
