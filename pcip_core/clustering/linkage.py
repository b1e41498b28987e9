"""Trees of proteins or cells by agglomerative clustering of their features."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from pcip_core.clustering.likelihood import Likelihood
from pcip_core.clustering.merging import Average, Ward, merge_all
from pcip_core.errors import ClusterError, ShapeError
from pcip_core.features.checks import require_finite
from pcip_core.features.scaling import standardize
from pcip_core.words import many

Method = Literal["ward", "average", "maximum_likelihood"]
METHODS: tuple[Method, ...] = get_args(Method)
MOST_ROWS = 20_000
"""A tree needs slightly more than n**2 / 2 float32 values: about 1 GiB for this number of rows."""


def cluster_tree(
    features: np.ndarray,
    *,
    method: Method = "maximum_likelihood",
    regularization: float = 1.0,
    scale: bool = True,
) -> np.ndarray:
    """Cluster rows by agglomerative clustering: repeatedly merge two clusters.

    Args:
        features: (n, d) one row per protein (the mean over its cells) or per cell.
        method: `ward` merges the clusters that add the least scatter about cluster means; `average` merges the
            clusters with the smallest mean distance between their rows; `maximum_likelihood` merges the clusters that
            lose the least likelihood of Gaussian clusters with individual variances (`Likelihood`).
        regularization: for `maximum_likelihood`, the value added to the variance of each cluster, as a multiple of the
            variance of all data. With 1, none of the tested trees with 384 columns became a chain. With few columns, a
            smaller value separates tight from wide clusters better (docs/decisions/0020-clusters.md).
        scale: whether to standardize each column first, as for the paper's heat map. False for a subset of the
            proteins that was standardized together with all proteins (Supplementary Figures 4 and 5).

    Returns:
        (n - 1, 4) linkage matrix as from scipy, with non-decreasing heights, for `fcluster`, `dendrogram` and
        `leaves_list`. Heights are distances as in scipy, or the cumulative loss of log-likelihood in nats. Merges are
        chosen in float32 (`merge_all`), and the heights of `average` have float32 precision.

    Raises:
        ShapeError: the features are not two-dimensional.
        ClusterError: there are fewer than 2 or more than 20,000 rows, no columns, the method is unknown, or the
            regularization is not above 0.
        EvaluationError: a feature is not finite.

    >>> tree = cluster_tree(np.array([[0.0], [1.0], [10.0]]), method="average", scale=False)
    >>> tree.round(3).tolist()
    [[0.0, 1.0, 1.0, 2.0], [2.0, 3.0, 9.5, 3.0]]

    Source: paper, "Proteome-wide clustering of human proteins" and Figure 4, with mean-centred and normalized
    columns.
    """
    if features.ndim != 2:
        raise ShapeError(
            "clustering",
            found=f"features {features.shape}",
            required="(rows, columns)",
            remedy="Pass one row of features per protein or cell.",
        )
    _require_sizes(features, method, regularization)
    require_finite("clustering", features)
    points = standardize(features) if scale else features - features.mean(0, dtype=np.float64)
    spread = float(np.sqrt(np.vdot(points, points) / points.size)) or 1.0
    points /= spread  # so that float32 holds their squared distances
    if method == "maximum_likelihood":
        tree = merge_all(points, Likelihood(points.shape[1], regularization))
        tree[:, 2] = np.maximum(tree[:, 2], 0.0).cumsum()  # rounding can make losses negative
        return tree
    if method == "ward":
        tree = merge_all(points, Ward())
        tree[:, 2] = spread * np.sqrt(2 * tree[:, 2])
    else:
        tree = merge_all(points, Average())
        tree[:, 2] *= spread
    return _by_height(tree)


def _by_height(tree: np.ndarray) -> np.ndarray:
    """Sort the merges of a tree by height, with no merge below its children."""
    n, height = len(tree) + 1, np.concatenate([np.zeros(len(tree) + 1), tree[:, 2]])
    children = tree[:, :2].astype(int)
    for merge, pair in enumerate(children):
        height[n + merge] = max(height[n + merge], *height[pair])  # rounding
    order = height[n:].argsort(kind="stable")
    number = np.arange(2 * n - 1)
    number[n + order] = np.arange(n, 2 * n - 1)
    return np.column_stack([np.sort(number[children], axis=1), height[n:], tree[:, 3]])[order]


def _require_sizes(features: np.ndarray, method: str, regularization: float) -> None:
    """Raise a ClusterError unless these arguments allow a tree."""
    n, columns = features.shape
    if not 2 <= n <= MOST_ROWS or columns < 1:
        raise ClusterError(
            "clustering",
            found=f"{many(n, 'row')} of {many(columns, 'column')}",
            required=f"2 to {MOST_ROWS:,} rows and at least one column",
            remedy="Cluster proteins instead of cells, or a sample of the cells."
            if n > MOST_ROWS
            else "Cluster more proteins or cells.",
        )
    if method not in METHODS or not regularization > 0:
        raise ClusterError(
            "clustering",
            found=f"method {method!r}, regularization {regularization}",
            required=f"one of the methods {', '.join(METHODS)}, and a regularization above 0",
            remedy="Choose one of these methods, or increase the regularization (the default is 1).",
        )
