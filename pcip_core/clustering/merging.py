"""Agglomerative trees: each time the two clusters merge whose union costs least, by one of three criteria.

What all pairs of clusters have apart is held once a pair, as float32: n (n - 1) / 2 numbers of 4 bytes.
"""

from __future__ import annotations

import numpy as np

from pcip_core.clustering.distances import upper_blocks


class Ward:
    """Merge what adds least scatter about cluster means, and so least to the sum of the clusters' costs.

    Apart, for this criterion, is what the scatter of a union is above its parts'.
    """

    by_means = True  # what is apart follows from the clusters' means

    def of_rows(self, squares: np.ndarray) -> np.ndarray:
        """What single rows have apart, of their squared distances, which are written to."""
        squares /= 2
        return squares

    def of_union(self, a: float, b: float, others: np.ndarray, apart: tuple[np.ndarray, ...]) -> np.ndarray:
        """(slots,) what a union has apart from each cluster, by the formula of Lance and Williams.

        Args:
            a, b: rows of the union's parts.
            others: (slots,) rows of each cluster.
            apart: the first part from each, the second part from each, and the parts from each other.
        """
        first, second, within = apart
        union = (a + others) * first + (b + others) * second - others * within
        return np.maximum(union / (a + b + others), 0.0)

    def cost(self, rows: np.ndarray, scatter: np.ndarray, apart: np.ndarray) -> np.ndarray:
        """(slots,) of clusters of so many rows, made of parts of this scatter in sum and so far apart."""
        return apart


class Average(Ward):
    """Merge what is nearest in mean distance of the rows of both, which is what is apart."""

    by_means = False

    def of_rows(self, squares: np.ndarray) -> np.ndarray:
        return np.sqrt(squares, out=squares)

    def of_union(self, a: float, b: float, others: np.ndarray, apart: tuple[np.ndarray, ...]) -> np.ndarray:
        first, second, _ = apart
        return (a * first + b * second) / (a + b)


def merge_all(points: np.ndarray, criterion: Ward) -> np.ndarray:
    """All merges, as scipy's linkage matrix, in the order in which they were made.

    A union may be nearer to a third cluster than its parts were (where a criterion is not reducible), so that
    chains of nearest neighbours do not give this tree. Here each cluster keeps its nearest one, or a lower
    bound of the loss to it that is made exact when it is the least of all: every merge is the best there is,
    as of comparing all pairs each time, to the rounding of float32 (relative 6e-8 a step). Losses of the
    merges that are made are told from the clusters' means in float64, where the criterion allows it.

    Args:
        points: (n, d) float64, n at least 2. Written to.
        criterion: what a merge costs.

    Returns:
        (n - 1, 4), the third column losses rather than heights.
    """
    return _Merging(points, criterion).run()


class _Pairs:
    """A number for each two of n slots."""

    def __init__(self, n: int) -> None:
        self._values = np.empty(n * (n - 1) // 2, np.float32)
        self._place(n)

    def _place(self, n: int) -> None:
        slots = np.arange(n)
        self.n, self._start = n, slots * (2 * n - slots - 3) // 2 - 1  # slots i < j lie at start[i] + j

    def row(self, slot: int) -> np.ndarray:
        """(n,) float64 of a slot with each; infinite with itself."""
        row = np.empty(self.n)
        row[:slot] = self._values[self._start[:slot] + slot]
        row[slot] = np.inf
        row[slot + 1 :] = self._later(slot)
        return row

    def set_row(self, slot: int, row: np.ndarray) -> None:
        self._values[self._start[:slot] + slot] = row[:slot]
        self._later(slot)[:] = row[slot + 1 :]

    def set_rows(self, start: int, rows: np.ndarray) -> None:
        """Of some slots from `start` on with all from `start` on."""
        for at, row in enumerate(rows):
            self._later(start + at)[:] = row[at + 1 :]

    def _later(self, slot: int) -> np.ndarray:
        return self._values[self._start[slot] + slot + 1 : self._start[slot] + self.n]

    def keep(self, slots: np.ndarray) -> None:
        """Drop all slots but these, which rise; in place, as no number moves backwards."""
        done = 0
        for at, slot in enumerate(slots[:-1]):
            kept = self._values[self._start[slot] + slots[at + 1 :]]
            self._values[done : done + len(kept)] = kept
            done += len(kept)
        self._values = self._values[:done]
        self._place(len(slots))


class _Merging:
    """The clusters that are left, each in the slot of one of its rows.

    Attributes:
        apart: of each two slots, by the criterion.
        means: (slots, d)
        rows, scatter, cost: (slots,) of each cluster; the cost is -infinite once it is merged away.
        least, nearest: (slots,) loss to the nearest cluster and its slot.
        bound: (slots,) whether `least` is a lower bound only, its cluster having been merged away.
        node: (slots,) the cluster's number in the tree.
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
        """(slots,) cost of merging a cluster with each; infinite for itself and for what is gone."""
        union = self.criterion.cost(self.rows + self.rows[slot], self.scatter + self.scatter[slot], apart)
        return union - self.cost - self.cost[slot]

    def run(self) -> np.ndarray:
        """All merges, as a linkage matrix of losses."""
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
        """Put the union into the first slot, tell the others of it, and return what that cost."""
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
        """Drop the slots of what has been merged away."""
        kept = np.flatnonzero(np.isfinite(self.cost))
        place = np.zeros(len(self.rows), int)
        place[kept] = np.arange(len(kept))
        self.apart.keep(kept)
        self.nearest, self.means = place[self.nearest[kept]], self.means[kept]
        self.rows, self.scatter, self.cost = self.rows[kept], self.scatter[kept], self.cost[kept]
        self.least, self.bound, self.node = self.least[kept], self.bound[kept], self.node[kept]
