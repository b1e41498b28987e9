"""Features of more cells than fit into memory, gone through a block of rows at a time.

What is told of all cells (means, standard deviations, sums of groups) is gathered block by block; whatever is
said of an array in memory by these functions is said of one that streams, within the rounding of float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pcip_core.features.checks import Shaped, require_finite

ROWS = 4096
"""Rows of a block: 6 MB of 384 features, 12 MB as float64."""


class Streamed(Shaped, Protocol):
    """Features that are read a block of rows at a time, as often as they are asked for: (n, d) float32."""

    def blocks(self) -> Iterator[np.ndarray]:
        """All rows in order, (at most ROWS, d) at a time."""
        ...

    def groups(self, group: np.ndarray) -> Iterator[np.ndarray]:
        """As `groups_of`."""
        ...


Features = np.ndarray | Streamed


def blocks_of(features: Features) -> Iterator[np.ndarray]:
    """All rows in order, (at most ROWS, d) at a time."""
    if not isinstance(features, np.ndarray):
        yield from features.blocks()
        return
    for start in range(0, len(features), ROWS):
        yield features[start : start + ROWS]


def places_of(features: Features) -> Iterator[tuple[slice, np.ndarray]]:
    """The blocks, each with the rows that it holds."""
    start = 0
    for block in blocks_of(features):
        yield slice(start, start + len(block)), block
        start += len(block)


def rows_of(features: Features, rows: np.ndarray) -> np.ndarray:
    """Some rows, in the order asked for: (len(rows), d), of the features' own type."""
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
    """The rows of each group in turn, in their order: (its rows, d).

    Args:
        features: (n, d).
        group: (n,) number of each row's group, from 0; below 0: in none.
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
    """What is known of each column over all rows.

    Attributes:
        mean, deviation: (d,) float64; the standard deviation of all rows, not of a sample.
    """

    mean: np.ndarray
    deviation: np.ndarray

    def standardized(self, rows: np.ndarray) -> np.ndarray:
        """Rows with each column centred and scaled; constant columns become 0: (n, d) float64."""
        varied = self.deviation > 0
        return np.where(varied, (rows - self.mean) / np.where(varied, self.deviation, 1.0), 0.0)


def columns_of(features: Features, where: str = "features") -> Columns:
    """Mean and standard deviation of each column, in one pass.

    Raises:
        EvaluationError: a value is not finite; it tells of the first block with such; `where` names what was
            asked for.
    """
    moments = Moments(features.shape[1])
    for block in blocks_of(features):
        require_finite(where, block)
        moments.add(block)
    return Columns(moments.mean, moments.deviation)


class Moments:
    """Number, mean, and sum of squared distances to the mean of rows that come block by block.

    Means of blocks are merged, not sums of squares, which would lose what varies little about a large mean.

    Source: Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance".
    """

    def __init__(self, columns: int) -> None:
        self.n, self.mean, self.squares = 0, np.zeros(columns), np.zeros(columns)

    @property
    def deviation(self) -> np.ndarray:
        """(d,) standard deviation of all rows, not of a sample; 0 where there are none."""
        return np.sqrt(self.squares / max(self.n, 1))

    def add(self, rows: np.ndarray) -> None:
        """Take in (m, d) more rows."""
        if not len(rows):
            return
        mean = rows.mean(0, dtype=np.float64)
        apart = mean - self.mean
        total = self.n + len(rows)
        self.squares += np.square(rows - mean).sum(0) + apart**2 * (self.n * len(rows) / total)
        self.mean += apart * (len(rows) / total)
        self.n = total


def sums_of_groups(features: Features, group: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Sum of the rows of each group, (groups, d) float64, and how many there are, (groups,).

    Args:
        features: (n, d).
        group: (n,) number of each row's group, 0 to groups - 1; below 0: in none.
        groups: how many there are.
    """
    sums = np.zeros((groups, features.shape[1]))
    for place, block in places_of(features):
        order = np.argsort(group[place], kind="stable")
        order = order[(group[place] < 0).sum() :]
        if len(order):
            names, first = np.unique(group[place][order], return_index=True)
            sums[names] += np.add.reduceat(block[order], first, axis=0, dtype=np.float64)
    return sums, np.bincount(group[group >= 0], minlength=groups)
