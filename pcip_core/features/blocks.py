"""Statistics of features of more cells than fit into memory, computed one block of rows at a time.

Means, standard deviations and sums of groups are accumulated over the blocks. Each function gives the same result
for an array in memory and for streamed features, within the rounding of float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pcip_core.features.checks import Shaped, require_finite

ROWS = 4096
"""Rows per block: 6 MB for 384 features, 12 MB as float64."""


class Streamed(Shaped, Protocol):
    """Features, (n, d) float32, that can be read one block of rows at a time, any number of times."""

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield all rows in order, (at most ROWS, d) at a time."""
        ...

    def groups(self, group: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the rows of each group, as `groups_of` does."""
        ...


Features = np.ndarray | Streamed


def blocks_of(features: Features) -> Iterator[np.ndarray]:
    """Yield all rows in order, (at most ROWS, d) at a time.

    >>> [len(block) for block in blocks_of(np.zeros((5000, 3)))]
    [4096, 904]
    """
    if not isinstance(features, np.ndarray):
        yield from features.blocks()
        return
    for start in range(0, len(features), ROWS):
        yield features[start : start + ROWS]


def places_of(features: Features) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the blocks of `blocks_of`, each with the slice of its rows."""
    start = 0
    for block in blocks_of(features):
        yield slice(start, start + len(block)), block
        start += len(block)


def rows_of(features: Features, rows: np.ndarray) -> np.ndarray:
    """Select rows in the given order: (len(rows), d), in the type of the features.

    >>> rows_of(np.array([[0.5], [1.5], [2.5]]), np.array([2, 0])).tolist()
    [[2.5], [0.5]]
    """
    if isinstance(features, np.ndarray):
        return features[rows]
    order = np.argsort(rows, kind="stable")
    wanted = np.asarray(rows)[order]
    picked = np.empty((len(rows), features.shape[1]), np.float32)
    for place, block in places_of(features):
        first, last = np.searchsorted(wanted, [place.start, place.stop])
        picked[order[first:last]] = block[wanted[first:last] - place.start]
    return picked


def groups_of(features: Features, group: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rows of each group, in their order: (rows of the group, d).

    Args:
        features: (n, d).
        group: (n,) number of each row's group, from 0; rows with a number below 0 belong to no group.

    >>> [rows.ravel().tolist() for rows in groups_of(np.array([[1], [2], [3]]), np.array([1, 0, 1]))]
    [[2], [1, 3]]
    """
    if not isinstance(features, np.ndarray):
        yield from features.groups(group)
        return
    counts, order = np.bincount(group[group >= 0]), np.argsort(group, kind="stable")
    order = order[len(order) - counts.sum() :]
    for end, count in zip(counts.cumsum(), counts, strict=True):
        yield features[order[end - count : end]]


@dataclass(frozen=True)
class Columns:
    """Mean and standard deviation of each column over all rows.

    Attributes:
        mean, deviation: (d,) float64; the population standard deviation (division by n).
    """

    mean: np.ndarray
    deviation: np.ndarray

    def standardized(self, rows: np.ndarray) -> np.ndarray:
        """Centre and scale each column of the rows: (n, d) float64. Constant columns become 0."""
        varied = self.deviation > 0
        return np.where(varied, (rows - self.mean) / np.where(varied, self.deviation, 1.0), 0.0)


def columns_of(features: Features, where: str = "features") -> Columns:
    """Compute the mean and standard deviation of each column in one pass.

    Args:
        features: (n, d).
        where: the name of the computation, for the error.

    Raises:
        EvaluationError: a value is not finite. The error describes the first block with such a value.

    >>> columns = columns_of(np.array([[1.0, 5.0], [3.0, 5.0]]))
    >>> columns.mean.tolist(), columns.deviation.tolist()
    ([2.0, 5.0], [1.0, 0.0])
    """
    moments = Moments(features.shape[1])
    for block in blocks_of(features):
        require_finite(where, block)
        moments.add(block)
    return Columns(moments.mean, moments.deviation)


class Moments:
    """Number of rows, their mean, and their sum of squared deviations, accumulated block by block.

    The means of blocks are merged. Sums of squares would lose precision where the variation is small relative to
    the mean.

    Source: Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance".
    """

    def __init__(self, columns: int) -> None:
        self.n, self.mean, self.squares = 0, np.zeros(columns), np.zeros(columns)

    @property
    def deviation(self) -> np.ndarray:
        """(d,) population standard deviation; 0 without rows."""
        return np.sqrt(self.squares / max(self.n, 1))

    def add(self, rows: np.ndarray) -> None:
        """Add (m, d) rows."""
        if not len(rows):
            return
        mean = rows.mean(0, dtype=np.float64)
        self.merge(len(rows), mean, np.square(rows - mean).sum(0))

    def merge(self, n: int, mean: np.ndarray, squares: np.ndarray) -> None:
        """Add n rows by their (d,) mean and sums of squared deviations from it."""
        if n == 0:
            return
        shift = mean - self.mean
        total = self.n + n
        self.squares += squares + shift**2 * (self.n * n / total)
        self.mean += shift * (n / total)
        self.n = total


def sums_of_groups(features: Features, group: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Sum the rows of each group: (groups, d) float64 sums, and (groups,) numbers of rows.

    Args:
        features: (n, d).
        group: (n,) number of each row's group, 0 to groups - 1; rows with a number below 0 belong to no group.
        groups: number of groups.

    >>> sums, counts = sums_of_groups(np.array([[1.0], [2.0], [4.0]]), np.array([0, 1, 1]), 2)
    >>> sums.tolist(), counts.tolist()
    ([[1.0], [6.0]], [1, 2])
    """
    sums = np.zeros((groups, features.shape[1]))
    for place, block in places_of(features):
        order = np.argsort(group[place], kind="stable")
        order = order[(group[place] < 0).sum() :]
        if len(order):
            names, first = np.unique(group[place][order], return_index=True)
            sums[names] += np.add.reduceat(block[order], first, axis=0, dtype=np.float64)
    return sums, np.bincount(group[group >= 0], minlength=groups)
