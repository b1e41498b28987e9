"""How many clusters a tree is best cut into: the number that is found again in part of the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pcip_core.clustering.clusters import cut_number, labels_of
from pcip_core.clustering.linkage import Method, cluster_tree
from pcip_core.errors import ClusterError


@dataclass(frozen=True)
class Stability:
    """What `stable_number` found.

    Attributes:
        number: of clusters, the most stable.
        scores: number -> mean adjusted Rand index over the repeats.
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
    """The number of clusters whose partition changes least when part of the data is left out.

    Each repeat draws a share of the columns, or of the rows, without replacement, makes a tree of them, cuts it
    into each number and compares the partition with that of the whole tree on the same rows, by the adjusted
    Rand index (1: the same; 0: as by chance). The number with the highest mean wins; of equal ones the
    largest. Very few clusters are often stable whatever the data: look at `scores`, and let `numbers` begin
    where a cut is of use.

    Args:
        features: (n, d), scaled as in `cluster_tree`.
        tree: the whole tree by the same method; made here when absent.
        numbers: of clusters to try.
        resample: `columns` asks whether clusters rest on a few features, `rows` whether on a few proteins.
        share: of columns or rows drawn, above 0 and below 1.
        repeats: each costs a tree.
        seed: of the draws.
        method, regularization: as in `cluster_tree`.
        progress: called with the number of repeats done.

    Raises:
        ClusterError: a number is above the rows drawn or below 2, or share or repeats are out of range; and
            as `cluster_tree`.
    """
    from sklearn.metrics import adjusted_rand_score

    n, columns = features.shape
    drawn = max(1, round(share * (columns if resample == "columns" else n)))
    least = n if resample == "columns" else drawn
    if not (0 < share < 1 and repeats >= 1 and numbers and min(numbers) >= 2 and max(numbers) <= least):
        raise ClusterError(
            "stability of clusters",
            found=f"numbers {list(numbers)}, share {share}, {repeats} repeats, {n} rows",
            required=f"numbers from 2 to {least}, a share between 0 and 1, and a repeat or more",
            remedy="Ask for fewer clusters, or cluster more proteins.",
        )
    made = {"method": method, "regularization": regularization}
    whole = cluster_tree(features, **made) if tree is None else tree  # type: ignore[arg-type]
    labels = {number: labels_of(whole, cut_number(whole, number)) for number in numbers}
    rng = np.random.default_rng(seed)
    found: dict[int, list[float]] = {number: [] for number in numbers}
    for repeat in range(repeats):
        part = np.sort(rng.permutation(columns if resample == "columns" else n)[:drawn])
        rows = np.arange(n) if resample == "columns" else part
        again = cluster_tree(features[:, part] if resample == "columns" else features[part], **made)  # type: ignore[arg-type]
        for number in numbers:
            partition = labels_of(again, cut_number(again, number))
            found[number].append(float(adjusted_rand_score(labels[number][rows], partition)))
        if progress is not None:
            progress(repeat + 1)
    scores = {number: float(np.mean(values)) for number, values in found.items()}
    best = max(scores.values())
    return Stability(max(number for number in scores if scores[number] >= best - 1e-12), scores)
