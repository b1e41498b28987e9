"""Euclidean distances of all pairs by matrix products, which are many times faster than a loop over pairs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_BLOCK = 256  # rows per block
_CANCELLED = 1e-10  # of the squared lengths; smaller squared distances are recomputed from differences


def condensed_distances(points: np.ndarray) -> np.ndarray:
    """Compute all distances: (n (n - 1) / 2,) float64, in the order of scipy's pdist.

    >>> condensed_distances(np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 4.0]])).tolist()
    [5.0, 4.0, 3.0]
    """
    n = len(points)
    condensed, done = np.empty(n * (n - 1) // 2), 0
    for start, block in upper_blocks(points):
        for row in range(len(block)):
            count = n - start - row - 1
            condensed[done : done + count] = block[row, row + 1 :]
            done += count
    return np.sqrt(condensed, out=condensed)


def upper_blocks(points: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first row of each block, and the squared distances of its rows to the block and all later rows."""
    points = np.ascontiguousarray(points, np.float64)
    points = points - points.mean(0)
    length = np.einsum("ij,ij->i", points, points)
    for start in range(0, len(points), _BLOCK):
        rows, others = points[start : start + _BLOCK], points[start:]
        scale = length[start : start + _BLOCK, None] + length[start:]
        block = rows @ others.T
        block *= -2
        block += scale
        small = block <= _CANCELLED * scale
        for row in np.flatnonzero(small.sum(1) > 1):  # each row has distance 0 to itself
            near = np.flatnonzero(small[row])
            block[row, near] = np.square(others[near] - rows[row]).sum(1)
        diagonal = np.arange(len(rows))
        block[diagonal, diagonal] = 0
        first = block[:, : len(rows)]
        first[:] = np.minimum(first, first.T)  # bitwise symmetric
        yield start, block
