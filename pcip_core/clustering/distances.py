"""Euclidean distances of all pairs by matrix products, many times faster than one pair at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_BLOCK = 256  # rows at a time
_CANCELLED = 1e-10  # of the squared lengths; below it a squared distance is computed anew from differences


def condensed_distances(points: np.ndarray) -> np.ndarray:
    """(n (n - 1) / 2,) float64 distances in the order of scipy's pdist."""
    n = len(points)
    condensed, done = np.empty(n * (n - 1) // 2), 0
    for start, block in upper_blocks(points):
        for row in range(len(block)):
            count = n - start - row - 1
            condensed[done : done + count] = block[row, row + 1 :]
            done += count
    return np.sqrt(condensed, out=condensed)


def upper_blocks(points: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """First row of a block, and its squared distances to itself and to all later rows."""
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
        for row in np.flatnonzero(small.sum(1) > 1):  # each row is 0 from itself
            near = np.flatnonzero(small[row])
            block[row, near] = np.square(others[near] - rows[row]).sum(1)
        diagonal = np.arange(len(rows))
        block[diagonal, diagonal] = 0
        first = block[:, : len(rows)]
        first[:] = np.minimum(first, first.T)  # the same to the last digit both ways
        yield start, block
