"""Maps of cells or proteins in two dimensions."""

from __future__ import annotations

import contextlib
import functools
import warnings

import numpy as np
from threadpoolctl import threadpool_limits

from pcip_core.errors import EvaluationError
from pcip_core.features.checks import require_finite
from pcip_core.features.scaling import standardize
from pcip_core.words import many

LEAST_PROTEINS, MOST_PROTEINS = 8, 20_000  # limits of a map; UMAP of more proteins takes minutes
_PROTEIN_NEIGHBOURS = 20  # as in the paper


def umap_embedding(
    features: np.ndarray, *, neighbours: int = 30, min_distance: float = 0.3, seed: int = 0
) -> np.ndarray:
    """UMAP of vectors: coordinates in which similar vectors are near each other.

    Args:
        features: (n, d). Each column is centred and scaled here, as for the paper's kNN.
        neighbours: size of the local neighbourhood (paper: 30 for cells, 20 for proteins).
        min_distance: smallest distance between points (paper: 0.3).
        seed: random seed; with a seed, umap-learn is reproducible and runs on one thread.

    Returns:
        (n, 2) float32, without unit.

    Raises:
        EvaluationError: a feature is not finite, or there are too few vectors.

    Source: paper, Figure 3 and Supplementary Figure 3 (Euclidean distance).
    """
    n = len(features)
    if n < neighbours + 2:
        raise EvaluationError(
            "UMAP",
            found=f"{many(n, 'vector')}",
            required=f"{neighbours + 2} or more, for {neighbours} neighbours",
            remedy="Map more cells or proteins, or choose fewer neighbours (baselines.umap).",
        )
    require_finite("UMAP", features)
    with (
        threadpool_limits(1, user_api="openmp"),
        warnings.catch_warnings(),
    ):  # keeps numba from changing the number of threads of torch
        warnings.filterwarnings("ignore", "n_jobs value")  # a seed implies one thread
        warnings.filterwarnings(
            "ignore", "Tensorflow not installed", ImportWarning
        )  # only for parametric UMAP
        from umap import UMAP  # loads numba, which takes seconds

        _keep_compiled()
        model = UMAP(
            n_neighbors=neighbours, min_dist=min_distance, metric="euclidean", random_state=seed, n_jobs=1
        )
        return np.asarray(model.fit_transform(standardize(features).astype(np.float32)), np.float32)


@functools.cache
def _keep_compiled() -> None:
    """Have numba keep three functions of umap-learn as it compiles them: this takes ten seconds in each process.

    numba keeps them beside umap-learn, or in the user's folder of caches, and compiles them anew for another
    processor or version.
    """
    from umap import umap_

    for function in (umap_.fast_knn_indices, umap_.smooth_knn_dist, umap_.compute_membership_strengths):
        with contextlib.suppress(RuntimeError):  # neither folder can be written
            function.enable_caching()


def protein_map(means: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """UMAP of proteins with 20 neighbours, as in the paper, or half the number of proteins if there are fewer than 40.

    Args:
        means: (n, d) mean features of the proteins.
        seed: as for `umap_embedding`.

    Returns:
        (n, 2) float32.

    Raises:
        EvaluationError: there are too few or too many proteins, or a feature is not finite.
    """
    n = len(means)
    if not LEAST_PROTEINS <= n <= MOST_PROTEINS:
        raise EvaluationError(
            "map of proteins",
            found=f"{many(n, 'protein', ',')}",
            required=f"{LEAST_PROTEINS} to {MOST_PROTEINS:,}",
            remedy="The other analyses need no map.",
        )
    return umap_embedding(means, neighbours=min(_PROTEIN_NEIGHBOURS, n // 2), seed=seed)


def evenly_from_groups(group: np.ndarray, most: int) -> np.ndarray:
    """A sample with equally many rows of each group, evenly spaced within each.

    Args:
        group: (n,) number of each row's group.
        most: largest size of the sample; if there are more groups, that many of them give one row each.

    Returns:
        The rows, group after group.

    >>> evenly_from_groups(np.array([0, 0, 0, 1, 1]), 4).tolist()
    [0, 2, 3, 4]
    """
    order = np.argsort(group, kind="stable")
    groups, starts, counts = np.unique(group[order], return_index=True, return_counts=True)
    chosen = _evenly(len(groups), most)
    each = max(most // max(len(chosen), 1), 1)
    rows = [order[starts[number] + _evenly(counts[number], each)] for number in chosen]
    return np.concatenate([np.zeros(0, np.int64), *rows])


def _evenly(n: int, most: int) -> np.ndarray:
    return np.linspace(0, n - 1, min(n, most)).astype(np.int64)
