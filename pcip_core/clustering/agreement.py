"""Where two trees of the same rows agree, and the rows about which they do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pcip_core.clustering.clusters import cut_number, labels_of


@dataclass(frozen=True)
class Agreement:
    """The comparison of two partitions.

    Attributes:
        rand: adjusted Rand index of the two partitions that were compared.
        number: number of clusters of the nearest cut at which the trees differ; None: the partitions differ themselves,
            or no such cut was found.
        rand_of_number: adjusted Rand index of that cut; otherwise `rand`.
        first, second: (n,) labels of the partitions that differ, or of those that were compared. Corresponding clusters
            of a cut have the same label.
        moved: rows that are not in corresponding clusters of `first` and `second`.
    """

    rand: float
    number: int | None
    rand_of_number: float
    first: np.ndarray
    second: np.ndarray
    moved: np.ndarray


def compared(
    first_tree: np.ndarray, second_tree: np.ndarray, first: np.ndarray, second: np.ndarray
) -> Agreement:
    """Compare two partitions; if they are the same, find the nearest cut at which their trees differ.

    Cuts into up to twice as many clusters, and down to two, are tried, from the number of clusters outwards.

    Args:
        first_tree, second_tree: (n - 1, 4) linkage matrices of the same rows.
        first, second: (n,) labels of the partitions.

    >>> first = np.array([[0.0, 1.0, 1.0, 2.0], [2.0, 3.0, 2.0, 2.0], [4.0, 5.0, 9.0, 4.0]])
    >>> second = np.array([[0.0, 1.0, 1.0, 2.0], [3.0, 4.0, 2.0, 3.0], [2.0, 5.0, 9.0, 4.0]])
    >>> found = compared(first, second, np.array([1, 1, 2, 3]), np.array([1, 1, 2, 3]))
    >>> found.rand, found.number, found.moved.tolist()
    (1.0, 2, [3])
    """
    from sklearn.metrics import adjusted_rand_score

    rand = float(adjusted_rand_score(first, second))
    if (moved := not_corresponding(first, second)).size:
        return Agreement(rand, None, rand, first, second, moved)
    n, number = len(first), len(np.unique(first))
    most = min(2 * number, n - 1)
    for step in range(1, max(number - 1, most - number + 1)):
        for other in (number + step, number - step):
            if not 2 <= other <= most:
                continue
            one, two = (labels_of(tree, cut_number(tree, other)) for tree in (first_tree, second_tree))
            if (moved := not_corresponding(one, two)).size:
                rand_of_cut = float(adjusted_rand_score(one, two))
                return Agreement(rand, other, rand_of_cut, one, renumbered(one, two), moved)
    return Agreement(rand, None, rand, first, second, moved)


def not_corresponding(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The rows outside of the pairs of clusters, one of each partition, that have most rows in common.

    >>> not_corresponding(np.array(["a", "a", "b", "b"]), np.array([7, 7, 7, 5])).tolist()
    [2]
    """
    one, other, partner = _partners(first, second)
    return np.flatnonzero(partner[one] != other)


def renumbered(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The labels of a partition, each exchanged for that of the corresponding cluster of another with as many clusters.

    Args:
        first, second: (n,) labels of as many clusters; the same row is the same thing.

    >>> renumbered(np.array([1, 1, 2, 2, 2]), np.array([2, 2, 1, 1, 2])).tolist()
    [1, 1, 2, 2, 1]
    """
    _, other, partner = _partners(first, second)
    labels: np.ndarray = np.unique(first)[np.argsort(partner)][other]
    return labels


def _partners(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number of each row's cluster in both partitions, and the corresponding cluster of each of the first; -1: none."""
    from scipy.optimize import linear_sum_assignment

    _, one = np.unique(first, return_inverse=True)
    _, other = np.unique(second, return_inverse=True)
    common = np.zeros((one.max() + 1, other.max() + 1), np.int64)
    np.add.at(common, (one, other), 1)
    rows, columns = linear_sum_assignment(common, maximize=True)
    partner = np.full(len(common), -1)
    partner[rows] = columns
    return one, other, partner
