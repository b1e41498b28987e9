"""More rows than a tree can hold: many small groups of them first, then a tree of the groups."""

from __future__ import annotations

import numpy as np

from pcip_core.clustering.linkage import MOST_ROWS
from pcip_core.errors import ClusterError
from pcip_core.features.checks import require_finite
from pcip_core.features.means import group_means
from pcip_core.features.scaling import standardize

_BATCH, _PASSES = 4096, 3


def micro_clusters(
    features: np.ndarray, *, most: int = 12_000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Group rows that lie near each other by mini-batch k-means, so that `cluster_tree` can take the means.

    A cut of that tree gives clusters of all rows: the cluster of a row is that of its group. Groups weigh alike
    in the tree, whatever they hold.

    Args:
        features: (n, d) a row a cell or protein. Columns are centred and scaled here.
        most: groups, at most; memory of the tree grows with its square.
        seed: of the rows that groups start from and of the batches.

    Returns:
        means: (m, d) float64 of the standardized rows of each group, for `cluster_tree(means, scale=False)`.
        counts: (m,) rows of each group, none of them empty.
        of_row: (n,) group of each row.

    Raises:
        ClusterError: fewer rows than two, or `most` is not from 2 to the rows that a tree can hold.
        EvaluationError: a feature is not finite.
    """
    if len(features) < 2 or not 2 <= most <= MOST_ROWS:
        raise ClusterError(
            "micro-clusters",
            found=f"{len(features)} rows, {most} groups at most",
            required=f"two rows or more, and 2 to {MOST_ROWS:,} groups",
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
