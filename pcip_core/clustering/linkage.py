"""Trees of proteins or cells by agglomerative clustering of their features."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from pcip_core.clustering.likelihood import Likelihood
from pcip_core.clustering.merging import Average, Ward, merge_all
from pcip_core.errors import ClusterError, ShapeError
from pcip_core.features.checks import require_finite
from pcip_core.features.scaling import standardize

Method = Literal["ward", "average", "maximum_likelihood"]
METHODS: tuple[Method, ...] = get_args(Method)
MOST_ROWS = 20_000
"""A tree needs half of n**2 float32 values and a little more: about 1 GiB at this number."""


def cluster_tree(
    features: np.ndarray,
    *,
    method: Method = "maximum_likelihood",
    regularization: float = 1.0,
    scale: bool = True,
) -> np.ndarray:
    """Cluster rows from the bottom up, each time merging two clusters.

    Args:
        features: (n, d) a row a protein (its mean over cells) or a cell.
        method: `ward` merges what adds least scatter about cluster means; `average`, what is nearest in mean
            distance of the rows of both; `maximum_likelihood`, what costs least likelihood of Gaussian
            clusters with variances of their own (`Likelihood`).
        regularization: of `maximum_likelihood`: added to each cluster's variance, in variances of all data.
            At 1 no tree of 384 columns that was tried became a chain; less tells tight clusters from wide
            ones better in few columns (docs/decisions/0020-clusters.md).
        scale: centre and scale each column here first, as for the paper's heat map. False for a part of the
            proteins that was scaled together with all of them (Supplementary Figures 4 and 5).

    Returns:
        (n - 1, 4) linkage matrix as scipy's, heights never falling, so that `fcluster`, `dendrogram` and
        `leaves_list` take it. Heights are scipy's distances, or nats of log-likelihood lost so far. What
        merges is chosen by float32 (`merge_all`); heights of an average are of float32 too.

    Raises:
        ShapeError: features are not a table of numbers.
        ClusterError: one row or none, more than 20,000 rows, no columns, an unknown method, or a
            regularization that is not above 0.
        EvaluationError: a feature is not finite.

    Source: paper, "Proteome-wide clustering of human proteins" and Figure 4; columns are mean-centred and
    normalized there.
    """
    if features.ndim != 2:
        raise ShapeError(
            "clustering",
            found=f"features {features.shape}",
            required="(rows, columns)",
            remedy="Pass one row of features a protein or cell.",
        )
    _require_sizes(features, method, regularization)
    require_finite("clustering", features)
    points = standardize(features) if scale else features - features.mean(0, dtype=np.float64)
    spread = float(np.sqrt(np.vdot(points, points) / points.size)) or 1.0
    points /= spread  # so that float32 holds their squared distances
    if method == "maximum_likelihood":
        tree = merge_all(points, Likelihood(points.shape[1], regularization))
        tree[:, 2] = np.maximum(tree[:, 2], 0.0).cumsum()  # below 0 by rounding
        return tree
    if method == "ward":
        tree = merge_all(points, Ward())
        tree[:, 2] = spread * np.sqrt(2 * tree[:, 2])
    else:
        tree = merge_all(points, Average())
        tree[:, 2] *= spread
    return _by_height(tree)


def _by_height(tree: np.ndarray) -> np.ndarray:
    """The same tree with its merges in the order of their heights, none below that of a child."""
    n, height = len(tree) + 1, np.concatenate([np.zeros(len(tree) + 1), tree[:, 2]])
    children = tree[:, :2].astype(int)
    for merge, pair in enumerate(children):
        height[n + merge] = max(height[n + merge], *height[pair])  # rounding
    order = height[n:].argsort(kind="stable")
    number = np.arange(2 * n - 1)
    number[n + order] = np.arange(n, 2 * n - 1)
    return np.column_stack([np.sort(number[children], axis=1), height[n:], tree[:, 3]])[order]


def _require_sizes(features: np.ndarray, method: str, regularization: float) -> None:
    """Raise a ClusterError unless a tree of these rows can be made."""
    n, columns = features.shape
    if not 2 <= n <= MOST_ROWS or columns < 1:
        raise ClusterError(
            "clustering",
            found=f"{n} rows of {columns} columns",
            required=f"2 to {MOST_ROWS:,} rows and a column or more",
            remedy="Cluster proteins instead of cells, or a sample of the cells."
            if n > MOST_ROWS
            else "Cluster more proteins or cells.",
        )
    if method not in METHODS or not regularization > 0:
        raise ClusterError(
            "clustering",
            found=f"method {method!r}, regularization {regularization}",
            required=f"a method of {', '.join(METHODS)}, and a regularization above 0",
            remedy="Name one of these methods, or raise the regularization (1 is the default).",
        )
