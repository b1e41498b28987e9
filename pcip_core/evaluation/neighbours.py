"""Exact k nearest neighbours: float32 matrix products find candidates, float64 differences resolve near ties.

Points are processed in blocks. Distances are symmetric, so the product of two blocks serves the rows of both, and half
of all products suffice. In each product, only distances below the current k-th distance of a row are considered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

_SPARE = 8  # candidates beyond k, so that rounding at rank k is detected
_NARROW = (
    32  # up to this many columns float64 costs little, and many distances are below the precision of float32
)
_PAIRS = 1024  # pairs per block of exact distances
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
    """Find the nearest points of other groups by Euclidean distance.

    Args:
        points: (n, d) float64, with a similar scale in all columns.
        groups: (n,) integers; for each point there are at least max(ks) points in other groups.
        ks: numbers of neighbours; for each k, the first k results are exactly the k nearest points.
        block: points per block; affects speed and memory only.
        strip: points of the other block per product; affects speed only. The default needs 4 MiB, which stay in the
            cache.
        progress: called with the number of points done, in proportion to the work.

    Returns:
        (n, max(ks)) positions, nearest first. The order between two values of ks is subject to rounding. Among
        equally distant points, the earlier comes first.

    >>> nearest_others(np.array([[0.0], [1.0], [3.0]]), np.arange(3), (1,)).ravel().tolist()
    [1, 0, 1]
    """
    kind = np.float64 if points.shape[1] <= _NARROW else np.float32
    search = _Search(points, groups, max(ks) + _SPARE, kind, block, strip)
    search.run(progress)
    distance, nearest = search.result()
    del search
    return _settled(points, groups, ks, distance, nearest, _rounding(points, distance, kind))


class _Search:
    """Search for the `kept` nearest points of each point, unordered, by rounded half squared distances.

    Each neighbour is stored as one integer, its key: the bits of its float32 distance, followed by its position. The
    bits of non-negative floats sort as the floats do.
    """

    def __init__(
        self, points: np.ndarray, groups: np.ndarray, kept: int, kind: Any, block: int, strip: int
    ) -> None:
        n, d = points.shape
        self.points, self.groups, self.kept = points, groups, kept
        self.size, self.strip = block, strip
        # A random order, so that the speed does not depend on the order of the cells.
        self.order = np.random.default_rng(0).permutation(n)
        self.left = np.empty((n, d + 2), kind)  # in this order, as all following arrays
        self.right = np.empty((n, d + 2), kind)  # left @ right.T = |a - b|^2 / 2
        self.keys = np.full((n, kept), _NONE)
        self.limit = np.full(n, np.inf, np.float32)  # largest stored distance
        self.blocks = [slice(start, min(start + block, n)) for start in range(0, n, block)]
        self.locks = [Lock() for _ in self.blocks]

    def run(self, progress: Callable[[int], None] | None) -> None:
        """Compare each block with itself, which sets the limits, then with each later block.

        Each thread computes one product, so that search and arithmetic overlap. Limits only decrease, so an outdated
        limit admits too many candidates, never too few.
        """
        later = [(block, other) for at, block in enumerate(self.blocks) for other in self.blocks[at + 1 :]]
        done, workers = 0, threads()  # read before the limit is set
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
            for task, blocks in ((self._compare_within, self.blocks), (self._compare_between, later)):
                for _ in pool.map(task, blocks):
                    done += 1
                    if progress is not None:
                        progress(len(self.order) * done // (len(self.blocks) + len(later)))

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (n, kept) ascending distances and positions, in the order of the points."""
        keys = np.empty_like(self.keys)
        keys[self.order] = np.sort(self.keys, axis=1)
        return _distance(keys).astype(np.float64), (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)

    def _compare_within(self, block: slice) -> None:
        """Set the vectors of a block, and its initial limits, the k-th distances within the block."""
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

    def _compare_between(self, pair: tuple[slice, slice]) -> None:
        """Offer the points of two blocks to each other as candidates."""
        first, second = pair
        of_first = []  # candidates: rows within the first block, rows of all points, distances
        for strip, distance in self._distances(first, second):
            rows, columns, near = _entries(distance, distance <= self.limit[first, None])
            of_first.append((rows, strip.start + columns, near))
            rows, columns, near = _entries(distance, distance <= self.limit[strip])
            self._offer(strip, columns, first.start + rows, near)
        self._offer(first, *map(np.concatenate, zip(*of_first, strict=True)))

    def _distances(self, block: slice, other: slice) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield (rows of block, rows of strip) distances to each strip of the other block, in one reused buffer."""
        held = np.empty((block.stop - block.start) * self.strip, self.left.dtype)
        for start in range(other.start, other.stop, self.strip):
            strip = slice(start, min(start + self.strip, other.stop))
            shape = block.stop - block.start, strip.stop - strip.start
            distance = held[: shape[0] * shape[1]].reshape(shape)
            yield strip, np.matmul(self.left[block], self.right[strip].T, out=distance)

    def _offer(self, block: slice, rows: np.ndarray, others: np.ndarray, distance: np.ndarray) -> None:
        """Merge candidates into the nearest points of a block.

        Args:
            block: a block, or a part of one.
            rows: (candidates,) row within the block for which each is a candidate.
            others: (candidates,) the point that is the candidate.
            distance: (candidates,) distance between both.
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
    """Pack distances and positions: (...) uint64. Negative distances, due to rounding, are replaced by their
    magnitude.
    """
    bits = np.abs(distance).astype(np.float32).view(np.uint32)
    return bits.astype(np.uint64) << _LOW | positions.astype(np.uint64)


def _distance(keys: np.ndarray) -> np.ndarray:
    """Unpack the distances of keys: (...) float32."""
    return (keys >> _LOW).astype(np.uint32).view(np.float32)


def threads() -> int:
    """Return the number of threads of a matrix product, at most 8, as each thread needs about 10 MiB."""
    return min(
        [8, *(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")]
    )


def _entries(distance: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows, columns and values of the chosen entries; fast for few entries."""
    at = np.flatnonzero(chosen)
    rows, columns = np.divmod(at, distance.shape[1])
    return rows, columns, distance.ravel()[at]


def _rounding(points: np.ndarray, distance: np.ndarray, kind: Any) -> np.ndarray:
    """Bound the rounding error of the distances to points that are as near as the candidates: (n,).

    The error of a sum of d + 2 products of numbers with relative error u is, for any order of summation, at most
    (d + 5) u times the sum of their magnitudes, which here is at most (|a| + |b|)^2 / 2 (Higham, "Accuracy and
    Stability of Numerical Algorithms", section 3.1), and |b| is at most |a| + |a - b|. The stored distance is also
    rounded to float32.
    """
    reach = np.where(np.isfinite(distance), distance, 0).max(1)
    sizes = 2 * np.sqrt(np.einsum("nd,nd->n", points, points)) + np.sqrt(2 * reach)  # |a| + |b|
    stored = np.finfo(np.float32).eps / 2 * reach  # eps is 2 u
    return (points.shape[1] + 16) * np.finfo(kind).eps / 4 * sizes**2 + stored


def _settled(
    points: np.ndarray,
    groups: np.ndarray,
    ks: Sequence[int],
    distance: np.ndarray,
    nearest: np.ndarray,
    error: np.ndarray,
) -> np.ndarray:
    """Return (n, max k) neighbours of which the first k are exact for each k.

    Distances that decide the order at a k are recomputed in float64. `distance` ascends in each row, and is modified.
    """
    with np.errstate(invalid="ignore"):  # difference of two infinite distances
        close = np.diff(distance, axis=1) <= 2 * error[:, None]
    run = np.zeros(distance.shape, np.int32)  # of neighbours whose order rounding may have changed
    (~close).cumsum(axis=1, out=run[:, 1:])
    doubtful = np.zeros(distance.shape, bool)
    for k in ks:  # runs that extend across rank k
        doubtful |= close[:, k - 1 : k] & (run == run[:, k - 1 : k])
    rows, places = np.nonzero(doubtful)
    farthest = distance[:, -1].copy()
    distance[rows, places] = _halved_squares(points, rows, nearest[rows, places])
    changed = np.flatnonzero(doubtful.any(1))
    order = np.lexsort((nearest[changed], distance[changed]), axis=1)
    nearest[changed] = np.take_along_axis(nearest[changed], order, axis=1)
    distance[changed] = np.take_along_axis(distance[changed], order, axis=1)
    nearest, reach = nearest[:, : max(ks)], distance[:, max(ks) - 1]
    for row in np.flatnonzero(farthest <= reach + 2 * error):  # a discarded point may be among the nearest
        nearest[row] = _nearest_of_point(points, groups, int(row), max(ks))
    return nearest


def _halved_squares(points: np.ndarray, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Compute half the squared distance of each pair from differences: (pairs,)."""

    def part(start: int) -> np.ndarray:
        pairs = slice(start, start + _PAIRS)
        difference = points[rows[pairs]] - points[others[pairs]]
        return np.einsum("pd,pd->p", difference, difference) / 2

    with ThreadPoolExecutor(threads()) as pool:
        parts = list(pool.map(part, range(0, len(rows), _PAIRS)))
    return np.concatenate([np.empty(0), *parts])


def _nearest_of_point(points: np.ndarray, groups: np.ndarray, row: int, k: int) -> np.ndarray:
    """Find the k nearest points of one point by exhaustive search."""
    others = np.flatnonzero(groups != groups[row])
    distance = _halved_squares(points, np.full(len(others), row), others)
    near = others[distance <= np.partition(distance, k - 1)[k - 1]]
    distance = _halved_squares(points, np.full(len(near), row), near)
    return near[np.lexsort((near, distance))][:k]
