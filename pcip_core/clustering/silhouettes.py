"""Choice of the number of clusters: the finest cut whose clusters are about as well separated as those of the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pcip_core.clustering.clusters import cut_number, labels_of
from pcip_core.errors import ClusterError
from pcip_core.words import many

_MOST = 40  # clusters that one still reads as a summary
_TOLERANCE = 0.03  # of the mean silhouette: finer clusters are preferred up to this loss
_BLOCK = 256  # rows per block of distances


@dataclass(frozen=True)
class Choice:
    """The result of `silhouette_number`.

    Attributes:
        number: the chosen number of clusters.
        scores: number of clusters -> mean silhouette of the rows.
    """

    number: int
    scores: dict[int, float]


def summary_numbers(n: int, *, most: int | None = None) -> range:
    """The numbers of clusters that summarize n rows: from 3 to `most`, but fewer than the rows.

    Args:
        n: number of rows.
        most: largest number; None: twice the square root of n, at most 40.

    >>> summary_numbers(58), summary_numbers(12_000), summary_numbers(5)
    (range(3, 17), range(3, 41), range(3, 5))
    """
    largest = min(math.ceil(2 * math.sqrt(n)), _MOST) if most is None else most
    largest = max(min(largest, n - 1), 2)
    return range(min(3, largest), largest + 1)


def silhouette_number(points: np.ndarray, tree: np.ndarray, numbers: Sequence[int]) -> Choice:
    """Find the largest number of clusters whose mean silhouette is within 0.03 of the highest.

    The silhouette of a row is (b - a) / max(a, b), where a is its mean distance to the other rows of its cluster, and
    b the lowest mean distance to the rows of another cluster. It is 0 for a row alone in its cluster, so that splitting
    single rows off does not raise the mean. Distances are computed once for all numbers: in time n² d, and memory n
    times the largest number.

    Args:
        points: (n, d) standardized rows from which the tree was computed.
        tree: (n - 1, 4) linkage matrix.
        numbers: numbers of clusters to compare.

    Raises:
        ClusterError: a number is below 2 or above n - 1.

    Source: Rousseeuw 1987, J. Comput. Appl. Math. 20. The tolerance: docs/decisions/0055.

    >>> points = np.array([[0.0], [1.0], [10.0], [11.0]])
    >>> tree = np.array([[0.0, 1.0, 1.0, 2.0], [2.0, 3.0, 1.0, 2.0], [4.0, 5.0, 10.0, 4.0]])
    >>> silhouette_number(points, tree, [2, 3]).number
    2
    """
    n = len(points)
    if not (numbers and min(numbers) >= 2 and max(numbers) <= n - 1):
        raise ClusterError(
            "number of clusters",
            found=f"numbers {list(numbers)} for {many(n, 'row')}",
            required=f"numbers from 2 to {n - 1}",
            remedy="Choose fewer clusters, or cluster more proteins.",
        )
    finest = labels_of(tree, cut_number(tree, max(numbers))) - 1  # consecutive along the leaves
    sums = _sums(np.ascontiguousarray(points, np.float64), finest)
    scores = {}
    for number in sorted(numbers):
        labels = labels_of(tree, cut_number(tree, number)) - 1
        _, first = np.unique(finest, return_index=True)
        starts = np.flatnonzero(np.diff(labels[first], prepend=-1))  # of the coarse clusters among the finest
        scores[number] = _mean_silhouette(np.add.reduceat(sums, starts, axis=1), labels)
    least = max(scores.values()) - _TOLERANCE
    return Choice(max(number for number in scores if scores[number] >= least), scores)


def _sums(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Sum of the distances of each row to the rows of each cluster: (n, clusters)."""
    members = np.eye(labels.max() + 1)[labels]
    squares = np.einsum("ij,ij->i", points, points)
    sums = np.empty((len(points), members.shape[1]))
    for start in range(0, len(points), _BLOCK):
        block = slice(start, start + _BLOCK)
        distances = squares[block, None] + squares - 2 * (points[block] @ points.T)
        own = np.arange(len(distances))
        distances[own, start + own] = 0  # rounding leaves a rest
        sums[block] = np.sqrt(np.maximum(distances, 0, out=distances), out=distances) @ members
    return sums


def _mean_silhouette(sums: np.ndarray, labels: np.ndarray) -> float:
    """The mean silhouette, from the sum of the distances of each row to each cluster."""
    rows, sizes = np.arange(len(labels)), np.bincount(labels)
    own = sums[rows, labels] / np.maximum(sizes[labels] - 1, 1)
    means = sums / sizes
    means[rows, labels] = np.inf
    other = means.min(1)
    larger = np.maximum(own, other)
    value = np.divide(
        other - own, larger, out=np.zeros(len(labels)), where=(larger > 0) & (sizes[labels] > 1)
    )
    return float(value.mean())
