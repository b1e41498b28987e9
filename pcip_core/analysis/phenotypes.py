"""The phenotypes of the cells of one protein, by hierarchical clustering (paper, Figure 6)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import fcluster, leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import pdist, squareform

from pcip_core.errors import EvaluationError
from pcip_core.features.blocks import Columns, columns_of
from pcip_core.features.checks import require_finite, require_rows
from pcip_core.words import many

MOST_CELLS = 5_000
"""Distances between all pairs of cells are in memory: 200 MB for this number."""
_MOST_ORDERED = 1_000  # optimal leaf ordering takes 5 s for this number; the time grows with its cube


@dataclass(frozen=True)
class Phenotype:
    """One cluster of cells.

    Attributes:
        cluster: number of the cluster from 1, the largest first.
        cells: ids of its cells, in the order of the leaves.
        share: share of all clustered cells.
        representatives: ids of the cells with the least mean distance to the cluster's other cells, the medoid first.
        rows: positions of the representatives among the cells given.
    """

    cluster: int
    cells: list[str]
    share: float
    representatives: list[str]
    rows: list[int]


@dataclass(frozen=True)
class Phenotypes:
    """The phenotypes of the cells of one protein.

    Attributes:
        linkage: (n - 1, 4) in scipy's format, with optimal leaf ordering (up to 1,000 cells).
        leaves: (n,) positions of the cells from left to right.
        cluster: (n,) number of each cell's cluster, from 1.
        phenotypes: one per cluster, the largest first.
        silhouettes: number of clusters -> mean silhouette, for the numbers tried; empty if the number was given.
        plane: (n, 2) positions along the first two principal components of the cells, each with the sign that makes
            its value of largest magnitude positive.
    """

    linkage: np.ndarray
    leaves: np.ndarray
    cluster: np.ndarray
    phenotypes: list[Phenotype]
    silhouettes: dict[int, float]
    plane: np.ndarray


def phenotypes(
    features: np.ndarray,
    cells: Sequence[str],
    *,
    reference: Columns | None = None,
    components: int | None = None,
    clusters: int | None = None,
    most: int = 6,
    least_silhouette: float = 0.0,
    representatives: int = 3,
) -> Phenotypes:
    """Cluster the cells of one protein by Ward's linkage of Euclidean distances.

    Args:
        features: (n, d) of the protein's cells.
        cells: n ids.
        reference: means and standard deviations to centre and scale the columns: those of all cells of the screen,
            so that columns are weighted by their variation in the given cells. By default those of the given
            cells, which give an almost constant column the same weight as one that separates two phenotypes.
        components: number of leading principal components of the given cells to use; by default all features.
        clusters: number of clusters; by default the number from 2 to `most` with the highest mean silhouette.
        most: largest number of clusters to try.
        least_silhouette: if no number of clusters reaches it, all cells form one cluster. The silhouette cannot
            show that there is only one phenotype, and is well above 0 by chance for few cells.
        representatives: number of representatives per cluster.

    Raises:
        ShapeError: lengths differ.
        EvaluationError: a value is not finite, there are fewer than 3 cells or more than `MOST_CELLS`, or
            fewer cells than `clusters`.

    Source: paper, "Clustering of single cells organizes spatial variability in proteins".
    """
    where = "phenotypes"
    require_rows(where, features, cells=np.asarray(cells))
    require_finite(where, features)
    n = len(features)
    if not 3 <= n <= MOST_CELLS or not 1 <= (clusters or 1) <= n or most < 2:
        raise EvaluationError(
            where,
            found=f"{many(n, 'cell')}, {clusters or f'2 to {most}'} clusters",
            required=f"3 to {MOST_CELLS} cells, and no more clusters than cells",
            remedy="Cluster the cells of one protein (or a sample of them), or choose fewer clusters.",
        )
    points = (columns_of(features) if reference is None else reference).standardized(features)
    if components is not None:
        points = principal_components(points, components)
    pairwise = pdist(points)
    tree = linkage(pairwise, "ward")  # Ward's method requires Euclidean distances
    if n <= _MOST_ORDERED:
        tree = optimal_leaf_ordering(tree, pairwise)
    leaves = leaves_list(tree)
    distances = squareform(pairwise)
    silhouettes: dict[int, float] = {}
    if clusters is None:
        clusters, silhouettes = _best_number(tree, distances, most)
        if not silhouettes or silhouettes[clusters] < least_silhouette:
            clusters = 1
    cluster = _by_size(fcluster(tree, clusters, "maxclust"))
    made = []
    for number in range(1, int(cluster.max()) + 1):
        members = leaves[cluster[leaves] == number]
        mean = distances[np.ix_(members, members)].sum(1) / max(len(members) - 1, 1)
        chosen = members[np.argsort(mean, kind="stable")[:representatives]]
        made.append(
            Phenotype(
                cluster=number,
                cells=[cells[row] for row in members],
                share=len(members) / n,
                representatives=[cells[row] for row in chosen],
                rows=[int(row) for row in chosen],
            )
        )
    return Phenotypes(tree, leaves, cluster, made, silhouettes, _plane(points))


def principal_components(points: np.ndarray, count: int) -> np.ndarray:
    """(n, d) -> (n, count or fewer) positions along the first principal components, unscaled."""
    centred = points - points.mean(0)
    left, size, _ = np.linalg.svd(centred, full_matrices=False)
    return left[:, :count] * size[:count]


def sample_of(cells: Sequence[str], most: int = MOST_CELLS, *, seed: int = 0) -> np.ndarray:
    """Positions of at most `most` cells, in order; the choice depends only on the seed and the id of each cell."""
    if len(cells) <= most:
        return np.arange(len(cells))
    keys = [hashlib.blake2b(f"{seed} {cell}".encode(), digest_size=8).digest() for cell in cells]
    return np.sort(np.array(sorted(range(len(cells)), key=keys.__getitem__)[:most], int))


def _plane(points: np.ndarray) -> np.ndarray:
    """(n, d) -> (n, 2): the first two principal components; 0 for a missing one."""
    plane = np.zeros((len(points), 2))
    plane[:, : min(2, *points.shape)] = principal_components(points, 2)
    farthest = plane[np.abs(plane).argmax(0), [0, 1]]
    return np.where(farthest < 0, -plane, plane)


def _best_number(tree: np.ndarray, distances: np.ndarray, most: int) -> tuple[int, dict[int, float]]:
    """The number of clusters with the highest mean silhouette, and the silhouettes of all numbers tried."""
    from sklearn.metrics import silhouette_score

    silhouettes: dict[int, float] = {}
    for number in range(2, min(most, len(distances) - 1) + 1):
        labels = fcluster(tree, number, "maxclust")
        if 2 <= len(np.unique(labels)) < len(labels):  # fewer than `number` if cells are equal
            silhouettes[number] = float(silhouette_score(distances, labels, metric="precomputed"))
    best = max(silhouettes, key=lambda number: (silhouettes[number], -number), default=1)
    return best, silhouettes


def _by_size(labels: np.ndarray) -> np.ndarray:
    """Labels renumbered from 1, the largest cluster first; ties are broken by the first cell."""
    names, first, member, counts = np.unique(
        labels, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.lexsort((first, -counts))
    number = np.empty(len(names), int)
    number[order] = np.arange(1, len(names) + 1)
    return number[member]
