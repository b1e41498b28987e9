"""Trees of proteins or cells by agglomerative clustering of their features."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from scipy.cluster import hierarchy

from pcip_core.analysis.distances import condensed_distances
from pcip_core.analysis.likelihood import likelihood_linkage
from pcip_core.errors import ClusterError, ShapeError
from pcip_core.evaluation.knn import standardize
from pcip_core.evaluation.usable import require_finite

Method = Literal["ward", "average", "maximum_likelihood"]
METHODS: tuple[Method, ...] = get_args(Method)
MOST_ROWS = 20_000
"""A tree needs n**2 float64 values and a little more: 3 to 4 GiB at this number."""


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
            clusters with variances of their own (`likelihood_linkage`).
        regularization: of `maximum_likelihood`: added to each cluster's variance, in variances of all data.
            At 1 no tree of 384 columns that was tried became a chain; less tells tight clusters from wide
            ones better in few columns (docs/decisions/0020-clusters.md).
        scale: centre and scale each column here first, as for the paper's heat map. False for a part of the
            proteins that was scaled together with all of them (Supplementary Figures 4 and 5).

    Returns:
        (n - 1, 4) linkage matrix as scipy's, heights never falling, so that `fcluster`, `dendrogram` and
        `leaves_list` take it. Heights are scipy's distances, or nats of log-likelihood lost so far.

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
    points = standardize(features) if scale else features.astype(np.float64)
    if method == "maximum_likelihood":
        return likelihood_linkage(points, regularization=regularization)
    tree = np.asarray(hierarchy.linkage(condensed_distances(points), method))
    tree[:, 2] = np.maximum.accumulate(tree[:, 2])  # rounding
    return tree


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
