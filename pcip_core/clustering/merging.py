"""Agglomerative trees: repeatedly merge the two clusters with the lowest cost, by one of three criteria.

The dissimilarity of each pair of clusters is stored once, as float32: n (n - 1) / 2 values of 4 bytes.
"""

from __future__ import annotations

import numpy as np

from pcip_core.clustering.distances import upper_blocks


class Ward:
    """Merge the clusters that add the least scatter about cluster means, and thus the least to the total cost.

    The dissimilarity (`apart`) is the scatter of the union minus the scatter of its parts.
    """

    by_means = True  # the dissimilarity follows from the means of the clusters

    def of_rows(self, squares: np.ndarray) -> np.ndarray:
        """Compute the dissimilarities of single rows from their squared distances, in place."""
        squares /= 2
        return squares

    def of_union(self, a: float, b: float, others: np.ndarray, apart: tuple[np.ndarray, ...]) -> np.ndarray:
        """Compute the dissimilarity of a union to each cluster, (slots,), by the Lance-Williams formula.

        Args:
            a, b: numbers of rows of the two parts of the union.
            others: (slots,) number of rows of each cluster.
            apart: dissimilarities of the first part to each cluster, of the second part to each cluster, and between
                the two parts.
        """
        first, second, within = apart
        union = (a + others) * first + (b + others) * second - others * within
        return np.maximum(union / (a + b + others), 0.0)

    def cost(self, rows: np.ndarray, scatter: np.ndarray, apart: np.ndarray) -> np.ndarray:
        """Compute the cost of clusters, (slots,).

        Args:
            rows: (slots,) number of rows of each cluster.
            scatter: (slots,) total scatter of its two parts.
            apart: (slots,) dissimilarity of its two parts.
        """
        return apart


class Average(Ward):
    """Merge the clusters with the smallest mean distance between their rows, which is the dissimilarity."""

    by_means = False

    def of_rows(self, squares: np.ndarray) -> np.ndarray:
        return np.sqrt(squares, out=squares)

    def of_union(self, a: float, b: float, others: np.ndarray, apart: tuple[np.ndarray, ...]) -> np.ndarray:
        first, second, _ = apart
        return (a * first + b * second) / (a + b)


def merge_all(points: np.ndarray, criterion: Ward) -> np.ndarray:
    """Compute all merges as a scipy linkage matrix, in the order of merging.

    If a criterion is not reducible, a union can be nearer to a third cluster than its parts, so the nearest-neighbour
    chain algorithm does not yield this tree. Here each cluster stores its nearest cluster, or a lower bound of the loss
    of that merge, which is made exact when it is the minimum. Every merge is thus the best of all pairs, within the
    rounding of float32 (relative error 6e-8 per step). Where the criterion allows it, the losses of the merges are
    computed from the means of the clusters in float64.

    Args:
        points: (n, d) float64, n at least 2. Modified in place.
        criterion: the cost of a merge.

    Returns:
        (n - 1, 4) linkage matrix, with losses instead of heights in the third column.

    >>> merge_all(np.array([[0.0], [1.0], [10.0]]), Average()).tolist()
    [[0.0, 1.0, 1.0, 2.0], [2.0, 3.0, 9.5, 3.0]]
    """
    return _Merging(points, criterion).run()


class _Pairs:
    """A value for each pair of n slots."""

    def __init__(self, n: int) -> None:
        self._values = np.empty(n * (n - 1) // 2, np.float32)
        self._place(n)

    def _place(self, n: int) -> None:
        slots = np.arange(n)
        self.n, self._start = n, slots * (2 * n - slots - 3) // 2 - 1  # slots i < j lie at start[i] + j

    def row(self, slot: int) -> np.ndarray:
        """Return the values of a slot with each slot: (n,) float64, infinite with itself."""
        row = np.empty(self.n)
        row[:slot] = self._values[self._start[:slot] + slot]
        row[slot] = np.inf
        row[slot + 1 :] = self._later(slot)
        return row

    def set_row(self, slot: int, row: np.ndarray) -> None:
        self._values[self._start[:slot] + slot] = row[:slot]
        self._later(slot)[:] = row[slot + 1 :]

    def set_rows(self, start: int, rows: np.ndarray) -> None:
        """Set the values of consecutive slots from `start` with all slots from `start`."""
        for at, row in enumerate(rows):
            self._later(start + at)[:] = row[at + 1 :]

    def _later(self, slot: int) -> np.ndarray:
        return self._values[self._start[slot] + slot + 1 : self._start[slot] + self.n]

    def keep(self, slots: np.ndarray) -> None:
        """Keep only these slots, given in ascending order. Works in place, as all values move forwards."""
        done = 0
        for at, slot in enumerate(slots[:-1]):
            kept = self._values[self._start[slot] + slots[at + 1 :]]
            self._values[done : done + len(kept)] = kept
            done += len(kept)
        self._values = self._values[:done]
        self._place(len(slots))


class _Merging:
    """The current clusters, each in the slot of one of its rows.

    Attributes:
        apart: dissimilarity of each pair of slots, by the criterion.
        means: (slots, d) mean of each cluster.
        rows, scatter, cost: (slots,) of each cluster; the cost is -infinite for empty slots.
        least, nearest: (slots,) loss of the merge with the nearest cluster, and the slot of that cluster.
        bound: (slots,) whether `least` is only a lower bound, because the nearest cluster has been merged.
        node: (slots,) number of the cluster in the tree.
    """

    def __init__(self, points: np.ndarray, criterion: Ward) -> None:
        n = len(points)
        self.criterion, self.means = criterion, points
        self.rows, self.scatter = np.ones(n), np.zeros(n)
        self.apart, self.nearest, self.least = _Pairs(n), np.zeros(n, int), np.full(n, np.inf)
        for start, squares in upper_blocks(points):
            block = criterion.of_rows(squares)  # (rows of the block, it and all later rows)
            self.apart.set_rows(start, block)
            np.fill_diagonal(block, np.inf)
            self._nearer(slice(start, start + len(block)), start + block.argmin(1), block.min(1))
            self._nearer(slice(start, n), start + block.argmin(0), block.min(0))
        self.cost = criterion.cost(self.rows, self.scatter, np.zeros(n))
        self.least = criterion.cost(self.rows * 2, self.scatter, self.least) - 2 * self.cost
        self.bound, self.node = np.zeros(n, bool), np.arange(n)

    def _nearer(self, slots: slice, others: np.ndarray, apart: np.ndarray) -> None:
        nearer = apart < self.least[slots]
        self.least[slots][nearer], self.nearest[slots][nearer] = apart[nearer], others[nearer]

    def _losses(self, slot: int, apart: np.ndarray) -> np.ndarray:
        """Compute the loss of merging a cluster with each: (slots,), infinite for itself and for empty slots."""
        union = self.criterion.cost(self.rows + self.rows[slot], self.scatter + self.scatter[slot], apart)
        return union - self.cost - self.cost[slot]

    def run(self) -> np.ndarray:
        """Merge all clusters, and return a linkage matrix of losses."""
        n = len(self.rows)
        tree = np.empty((n - 1, 4))
        for merge in range(n - 1):
            while self.bound[first := int(self.least.argmin())]:
                self._find_nearest(first, self._losses(first, self.apart.row(first)))
            second = int(self.nearest[first])
            parts = sorted((self.node[first], self.node[second]))
            loss = self._merge(first, second)
            self.node[first] = n + merge
            tree[merge] = *parts, loss, self.rows[first]
            left = n - merge - 1
            if 64 < left < 0.7 * len(self.rows):
                self._compact()
        return tree

    def _find_nearest(self, slot: int, losses: np.ndarray) -> None:
        self.nearest[slot] = losses.argmin()
        self.least[slot], self.bound[slot] = losses[self.nearest[slot]], False

    def _merge(self, first: int, second: int) -> float:
        """Put the union into the first slot, update the other clusters, and return the loss."""
        a, b = self.rows[first], self.rows[second]
        from_first, from_second = self.apart.row(first), self.apart.row(second)
        within = from_first[second]
        union = self.criterion.of_union(a, b, self.rows, (from_first, from_second, within))
        union[first] = np.inf
        self.apart.set_row(first, union)
        if self.criterion.by_means:
            between = self.means[second] - self.means[first]
            within = a * b / (a + b) * (between @ between)
            self.means[first] += b / (a + b) * between
        parts, costs = self.scatter[first] + self.scatter[second], self.cost[first] + self.cost[second]
        loss = self.criterion.cost(a + b, parts, within) - costs
        self.rows[first], self.scatter[first] = a + b, parts + within
        self.cost[first] = self.criterion.cost(a + b, parts + within, np.zeros(()))
        self.cost[second], self.least[second], self.bound[second] = -np.inf, np.inf, False

        losses = self._losses(first, union)
        self.bound |= ((self.nearest == first) | (self.nearest == second)) & np.isfinite(self.cost)
        nearer = losses < self.least
        self.least[nearer], self.nearest[nearer], self.bound[nearer] = losses[nearer], first, False
        self._find_nearest(first, losses)
        return float(loss)

    def _compact(self) -> None:
        """Remove the empty slots."""
        kept = np.flatnonzero(np.isfinite(self.cost))
        place = np.zeros(len(self.rows), int)
        place[kept] = np.arange(len(kept))
        self.apart.keep(kept)
        self.nearest, self.means = place[self.nearest[kept]], self.means[kept]
        self.rows, self.scatter, self.cost = self.rows[kept], self.scatter[kept], self.cost[kept]
        self.least, self.bound, self.node = self.least[kept], self.bound[kept], self.node[kept]
