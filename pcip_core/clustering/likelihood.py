"""The likelihood of Gaussian clusters, each with a variance of its own, as a criterion of merging."""

from __future__ import annotations

import numpy as np

from pcip_core.clustering.merging import Ward


class Likelihood(Ward):
    """Merge the two clusters whose union loses least log-likelihood of the partition.

    Clusters are spherical Gaussians with a mean and a variance of their own. A partition's classification
    log-likelihood is, but for a constant, minus half the criterion

        sum over clusters k of  n_k d log(tr(W_k) / (n_k d) + r),

    with n_k rows, d columns and W_k the cluster's scatter about its mean. A single row has tr(W_k) = 0, so
    that r must be above 0: it is `regularization` times the variance of all data, tr(W) / (n d). Fraley adds
    her term, of the same scale, to tr(W_k) instead; in hundreds of columns it vanishes beside tr(W_k), a row
    then joins whatever cluster has many rows, and the tree becomes one chain. As r is added to the variance,
    no merge gains likelihood. With one variance for all clusters the criterion would be Ward's.

    Args:
        columns: d.
        added: r, above 0.

    Source: paper, Figure 4 ("maximum likelihood agglomerative hierarchical clustering", not defined there);
    Banfield and Raftery 1993, Biometrics 49; Fraley 1998, SIAM J. Sci. Comput. 20.
    """

    def __init__(self, columns: int, added: float) -> None:
        self.columns, self.added = columns, added

    def cost(self, rows: np.ndarray, scatter: np.ndarray, apart: np.ndarray) -> np.ndarray:
        """(slots,) half the criterion's term of clusters."""
        return 0.5 * self.columns * rows * np.log((scatter + apart) / (rows * self.columns) + self.added)
