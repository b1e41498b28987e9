"""Maps of cells or proteins in two dimensions."""

from __future__ import annotations

import warnings

import numpy as np
from threadpoolctl import threadpool_limits

from pcip_core.errors import EvaluationError
from pcip_core.features.checks import require_finite
from pcip_core.features.scaling import standardize


def umap_embedding(
    features: np.ndarray, *, neighbours: int = 30, min_distance: float = 0.3, seed: int = 0
) -> np.ndarray:
    """Places of vectors on a map, near where they are alike, by UMAP.

    Args:
        features: (n, d). Each column is centred and scaled here, as for the paper's kNN.
        neighbours: what counts as near (paper: 30 for cells, 20 for proteins).
        min_distance: how close points may lie (paper: 0.3).
        seed: with one, umap-learn runs on one thread and is repeatable.

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
            found=f"{n} vectors",
            required=f"{neighbours + 2} or more, for {neighbours} neighbours",
            remedy="Map more cells or proteins, or choose fewer neighbours (baselines.umap).",
        )
    require_finite("UMAP", features)
    with (
        threadpool_limits(1, user_api="openmp"),
        warnings.catch_warnings(),
    ):  # numba leaves torch more threads
        warnings.filterwarnings("ignore", "n_jobs value")  # that a seed means one thread
        warnings.filterwarnings(
            "ignore", "Tensorflow not installed", ImportWarning
        )  # of another kind of UMAP
        from umap import UMAP  # loads numba, which takes seconds

        model = UMAP(
            n_neighbors=neighbours, min_dist=min_distance, metric="euclidean", random_state=seed, n_jobs=1
        )
        return np.asarray(model.fit_transform(standardize(features).astype(np.float32)), np.float32)
