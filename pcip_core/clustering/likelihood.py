"""The likelihood of Gaussian clusters with individual variances, as a merging criterion."""

from __future__ import annotations

import numpy as np

from pcip_core.clustering.merging import Ward


class Likelihood(Ward):
    """Merge the two clusters whose union loses the least log-likelihood of the partition.

    Clusters are spherical Gaussians with individual means and variances. The classification log-likelihood of a
    partition is, up to a constant, minus half of the criterion

        sum over clusters k of  n_k d log(tr(W_k) / (n_k d) + r),

    with n_k rows, d columns and W_k the scatter of the cluster about its mean. A single row has tr(W_k) = 0, so r must
    be above 0: it is `regularization` times the variance of all data, tr(W) / (n d). Fraley instead adds a term of the
    same scale to tr(W_k). With hundreds of columns, this term is negligible relative to tr(W_k); single rows then join
    the cluster with the most rows, and the tree becomes a chain. Because r is added to the variance, no merge increases
    the likelihood. With a common variance for all clusters, the criterion would be that of Ward.

    Args:
        columns: d.
        added: r, above 0.

    Source: paper, Figure 4 ("maximum likelihood agglomerative hierarchical clustering", not defined there);
    Banfield and Raftery 1993, Biometrics 49; Fraley 1998, SIAM J. Sci. Comput. 20.
    """

    def __init__(self, columns: int, added: float) -> None:
        self.columns, self.added = columns, added

    def cost(self, rows: np.ndarray, scatter: np.ndarray, apart: np.ndarray) -> np.ndarray:
        """Compute half of the term of each cluster in the criterion: (slots,)."""
        return 0.5 * self.columns * rows * np.log((scatter + apart) / (rows * self.columns) + self.added)
