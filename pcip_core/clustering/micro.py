"""Micro-clusters, for more rows than a tree can hold: group the rows first, then cluster the groups."""

from __future__ import annotations

import numpy as np

from pcip_core.clustering.linkage import MOST_ROWS
from pcip_core.errors import ClusterError
from pcip_core.features.checks import require_finite
from pcip_core.features.means import group_means
from pcip_core.features.scaling import standardize
from pcip_core.words import many

_BATCH, _PASSES = 4096, 3


def micro_clusters(
    features: np.ndarray, *, most: int = 12_000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Group similar rows by mini-batch k-means, for clustering of the group means with `cluster_tree`.

    A cut of that tree assigns all rows to clusters: the cluster of a row is that of its group. All groups have equal
    weight in the tree, regardless of their size.

    Args:
        features: (n, d) one row per cell or protein. Columns are standardized here.
        most: maximum number of groups; the memory of the tree is quadratic in it.
        seed: seed of the initial centres and of the batches.

    Returns:
        means: (m, d) float64 mean of the standardized rows of each group, for `cluster_tree(means, scale=False)`.
        counts: (m,) number of rows of each group, at least 1.
        of_row: (n,) group of each row.

    Raises:
        ClusterError: there are fewer than two rows, or `most` is not between 2 and the maximum rows of a tree.
        EvaluationError: a feature is not finite.

    >>> means, counts, of_row = micro_clusters(np.array([[0.0], [2.0]]))
    >>> means.tolist(), counts.tolist(), of_row.tolist()
    ([[-1.0], [1.0]], [1, 1], [0, 1])
    """
    if len(features) < 2 or not 2 <= most <= MOST_ROWS:
        raise ClusterError(
            "micro-clusters",
            found=f"{many(len(features), 'row')}, at most {most} groups",
            required=f"at least two rows, and 2 to {MOST_ROWS:,} groups",
            remedy="Pass more rows, or another `most`.",
        )
    from sklearn.cluster import MiniBatchKMeans

    require_finite("micro-clusters", features)
    points = standardize(features).astype(np.float32)
    if len(points) <= most:
        of_row = np.arange(len(points))
    else:
        model = MiniBatchKMeans(
            most, init="random", n_init=1, batch_size=_BATCH, max_iter=_PASSES, max_no_improvement=None,
            reassignment_ratio=0, random_state=seed, compute_labels=True,
        )  # fmt: skip
        of_row = np.unique(model.fit(points).labels_, return_inverse=True)[1]  # without empty ones
    means, counts = group_means(points, of_row)
    return means, counts, of_row
