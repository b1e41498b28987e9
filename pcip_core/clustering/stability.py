"""Choice of the number of clusters by stability: the number that is best reproduced in subsets of the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pcip_core.clustering.clusters import cut_number, labels_of
from pcip_core.clustering.linkage import Method, cluster_tree
from pcip_core.errors import ClusterError
from pcip_core.words import many


@dataclass(frozen=True)
class Stability:
    """The result of `stable_number`.

    Attributes:
        number: the most stable number of clusters.
        scores: number of clusters -> mean adjusted Rand index over the repeats.
    """

    number: int
    scores: dict[int, float]


def stable_number(
    features: np.ndarray,
    *,
    tree: np.ndarray | None = None,
    numbers: Sequence[int] = tuple(range(2, 21)),
    resample: Literal["columns", "rows"] = "columns",
    share: float = 0.7,
    repeats: int = 20,
    seed: int = 0,
    method: Method = "maximum_likelihood",
    regularization: float = 1.0,
    progress: Callable[[int], None] | None = None,
) -> Stability:
    """Find the number of clusters whose partition changes least when part of the data is omitted.

    Each repeat draws a share of the columns, or of the rows, without replacement, clusters it, cuts the tree into each
    number of clusters, and compares the partition with that of the full tree on the same rows by the adjusted Rand
    index (1: equal; 0: agreement by chance). The number with the highest mean index is chosen, and the largest among
    ties. Very small numbers of clusters are often stable for any data: inspect `scores`, and start `numbers` at the
    smallest useful number.

    Args:
        features: (n, d), standardized as in `cluster_tree`.
        tree: the full tree by the same method; computed here if None.
        numbers: numbers of clusters to compare.
        resample: `columns` tests whether clusters depend on few features, `rows` whether on few proteins.
        share: share of columns or rows to draw, above 0 and below 1.
        repeats: number of repeats; each computes a tree.
        seed: seed of the draws.
        method, regularization: as in `cluster_tree`.
        progress: called with the number of repeats done.

    Raises:
        ClusterError: a number is below 2 or above the number of rows drawn, share or repeats are out of range; or as
            for `cluster_tree`.

    >>> features = np.repeat([[0.0, 0.0], [5.0, 0.0], [0.0, 9.0]], 3, axis=0) + np.arange(9)[:, None] / 100
    >>> stable_number(features, numbers=(2, 3), resample="rows", repeats=3).number
    3
    """
    from sklearn.metrics import adjusted_rand_score

    n, columns = features.shape
    drawn = max(1, round(share * (columns if resample == "columns" else n)))
    least = n if resample == "columns" else drawn
    if not (0 < share < 1 and repeats >= 1 and numbers and min(numbers) >= 2 and max(numbers) <= least):
        raise ClusterError(
            "stability of clusters",
            found=f"numbers {list(numbers)}, share {share}, {repeats} repeats, {many(n, 'row')}",
            required=f"numbers from 2 to {least}, a share between 0 and 1, and at least one repeat",
            remedy="Choose fewer clusters, or cluster more proteins.",
        )
    settings = {"method": method, "regularization": regularization}
    whole = cluster_tree(features, **settings) if tree is None else tree  # type: ignore[arg-type]
    labels = {number: labels_of(whole, cut_number(whole, number)) for number in numbers}
    rng = np.random.default_rng(seed)
    indices: dict[int, list[float]] = {number: [] for number in numbers}
    for repeat in range(repeats):
        part = np.sort(rng.permutation(columns if resample == "columns" else n)[:drawn])
        rows = np.arange(n) if resample == "columns" else part
        again = cluster_tree(features[:, part] if resample == "columns" else features[part], **settings)  # type: ignore[arg-type]
        for number in numbers:
            partition = labels_of(again, cut_number(again, number))
            indices[number].append(float(adjusted_rand_score(labels[number][rows], partition)))
        if progress is not None:
            progress(repeat + 1)
    scores = {number: float(np.mean(values)) for number, values in indices.items()}
    best = max(scores.values())
    return Stability(max(number for number in scores if scores[number] >= best - 1e-12), scores)
