"""Agglomerative clustering by the likelihood of Gaussian clusters, each with a variance of its own."""

from __future__ import annotations

import numpy as np

from pcip_core.analysis.distances import squared_distances


def likelihood_linkage(points: np.ndarray, *, regularization: float) -> np.ndarray:
    """Merge, each time, the two clusters whose union loses least log-likelihood of the partition.

    Clusters are spherical Gaussians with a mean and a variance of their own. A partition's classification
    log-likelihood is, but for a constant, minus half the criterion

        sum over clusters k of  n_k d log(tr(W_k) / (n_k d) + r),

    with n_k rows, d columns and W_k the cluster's scatter about its mean. A single row has tr(W_k) = 0, so
    that r must be above 0: it is `regularization` times the variance of all data, tr(W) / (n d). Fraley adds
    her term, of the same scale, to tr(W_k) instead; in hundreds of columns it vanishes beside tr(W_k), a row
    then joins whatever cluster has many rows, and the tree becomes one chain. As r is added to the variance,
    no merge gains likelihood. With one variance for all clusters the criterion would be Ward's.

    A union may be nearer to a third cluster than its parts were (the criterion is not reducible), so that
    chains of nearest neighbours do not give this tree. Here each cluster keeps its nearest one, or a lower
    bound of the loss to it that is made exact when it is the least of all: every merge is the best there is,
    as of comparing all pairs each time.

    Args:
        points: (n, d), n at least 2.
        regularization: above 0, without unit.

    Returns:
        (n - 1, 4) linkage matrix as scipy's. Heights are the log-likelihood (nats) that all merges up to this
        one have lost, so that they never fall.

    Memory: n**2 float64 values, and a quarter of that once more (12,000 rows: 1.4 GiB).

    Source: paper, Figure 4 ("maximum likelihood agglomerative hierarchical clustering", not defined there);
    Banfield and Raftery 1993, Biometrics 49; Fraley 1998, SIAM J. Sci. Comput. 20.
    """
    gain = squared_distances(points)  # (n, n): scatter that a union has above its parts', as Ward's
    gain /= 2
    np.fill_diagonal(gain, np.inf)
    variance = float(np.square(points - points.mean(0)).mean())
    added = regularization * (variance if variance > 0 else 1.0)
    return _Merging(gain, points.shape[1], added).run()


class _Merging:
    """The clusters that are left, each in the slot of one of its rows.

    Attributes:
        gain: (slots, slots) scatter that a union would have above the sum of its two parts'.
        rows, scatter, term: (slots,) n_k, tr(W_k) (infinite once merged away), and half the criterion's term.
        least, nearest: (slots,) loss to the nearest cluster and its slot.
        bound: (slots,) whether `least` is a lower bound only, its cluster having been merged away.
        node: (slots,) the cluster's number in the tree.
    """

    def __init__(self, gain: np.ndarray, columns: int, added: float) -> None:
        n = len(gain)
        self.gain, self.columns, self.added = gain, columns, added
        self.rows, self.scatter = np.ones(n), np.zeros(n)
        self.term = self._term(self.rows, self.scatter)
        self.nearest = gain.argmin(1)
        self.least = self._term(2.0, gain[np.arange(n), self.nearest]) - 2 * self.term
        self.bound = np.zeros(n, bool)
        self.node = np.arange(n)

    def _term(self, rows: np.ndarray | float, scatter: np.ndarray) -> np.ndarray:
        """Half the criterion's term of clusters."""
        return 0.5 * self.columns * rows * np.log(scatter / (rows * self.columns) + self.added)

    def _losses(self, slot: int) -> np.ndarray:
        """(slots,) log-likelihood lost by merging this cluster with each; infinite for itself and for what is gone."""
        union = self._term(self.rows + self.rows[slot], (self.scatter + self.scatter[slot]) + self.gain[slot])
        return union - (self.term + self.term[slot])

    def run(self) -> np.ndarray:
        """All merges, as a linkage matrix."""
        n = len(self.rows)
        tree, lost = np.empty((n - 1, 4)), 0.0
        for merge in range(n - 1):
            while self.bound[first := int(self.least.argmin())]:
                losses = self._losses(first)
                self.nearest[first] = losses.argmin()
                self.least[first], self.bound[first] = losses[self.nearest[first]], False
            second = int(self.nearest[first])
            lost += max(float(self.least[first]), 0.0)  # rounding
            parts = sorted((self.node[first], self.node[second]))
            self._merge(first, second)
            self.node[first] = n + merge
            tree[merge] = *parts, lost, self.rows[first]
            left = n - merge - 1
            if 64 < left < len(self.rows) / 2:
                self._compact()
        return tree

    def _merge(self, first: int, second: int) -> None:
        """Put the union into the first slot, and tell the others of it."""
        a, b, within = self.rows[first], self.rows[second], self.gain[first, second]
        gain = (a + self.rows) * self.gain[first] + (b + self.rows) * self.gain[second] - self.rows * within
        gain = np.maximum(gain / (a + b + self.rows), 0.0)
        gain[first] = np.inf
        self.gain[first] = self.gain[:, first] = gain
        self.rows[first] += b
        self.scatter[first] += self.scatter[second] + within
        self.term[first] = self._term(self.rows[first], self.scatter[first])
        self.scatter[second], self.term[second], self.least[second] = np.inf, 0.0, np.inf
        self.bound[second] = False

        losses = self._losses(first)
        self.bound |= ((self.nearest == first) | (self.nearest == second)) & np.isfinite(self.scatter)
        nearer = losses < self.least
        self.least[nearer], self.nearest[nearer], self.bound[nearer] = losses[nearer], first, False
        self.nearest[first] = losses.argmin()
        self.least[first], self.bound[first] = losses[self.nearest[first]], False

    def _compact(self) -> None:
        """Drop the slots of what has been merged away."""
        kept = np.flatnonzero(np.isfinite(self.scatter))
        place = np.zeros(len(self.rows), int)
        place[kept] = np.arange(len(kept))
        self.gain = self.gain[np.ix_(kept, kept)]
        self.nearest = place[self.nearest[kept]]
        self.rows, self.scatter, self.term = self.rows[kept], self.scatter[kept], self.term[kept]
        self.least, self.bound, self.node = self.least[kept], self.bound[kept], self.node[kept]
