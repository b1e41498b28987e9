"""k nearest neighbours, leaving each cell (or its whole group) out, by exact distances."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pcip_core.errors import EvaluationError, ShapeError
from pcip_core.evaluation.neighbours import nearest_others


def standardize(features: np.ndarray) -> np.ndarray:
    """Each column with mean 0 and standard deviation 1 (constant columns become 0): (n, d) float64."""
    centred = features.astype(np.float64) - features.mean(0, dtype=np.float64)
    spread = centred.std(0)
    return centred / np.where(spread > 0, spread, 1.0)


def neighbours_left(groups: np.ndarray | None, cells: int) -> int:
    """How many candidate neighbours the worst-off cell has."""
    if groups is None:
        return cells - 1
    return cells - int(np.unique(groups, return_counts=True)[1].max())


def leave_one_out_knn(
    features: np.ndarray,
    labels: np.ndarray,
    *,
    ks: Sequence[int] = (11,),
    groups: np.ndarray | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[int, np.ndarray]:
    """Predict each cell's label from its k nearest other cells.

    Args:
        features: (n, d). Each column is centred and scaled here, as the paper does.
        labels: (n,) class of each cell, of any sortable type.
        ks: the numbers of neighbours; all share one pass over the distances.
        groups: (n,) cells of one group are never each other's neighbours (an image, a montage); by
            default only the cell itself is left out.
        progress: called with the number of cells done, in proportion to the work.

    Returns:
        k -> (n,) predicted class. Of classes with equally many votes the first in sorted order wins, as
        in scikit-learn's KNeighborsClassifier. Of neighbours equally far the earlier cell is the nearer.

    Raises:
        ShapeError: features, labels and groups differ in length.
        EvaluationError: a k exceeds the neighbours that are left, or a feature is not finite.

    Source: paper, "Baseline Feature Extraction and Benchmarking" (k = 11, Euclidean distances).
    """
    n = len(features)
    if features.ndim != 2 or len(labels) != n or (groups is not None and len(groups) != n):
        raise ShapeError(
            "kNN",
            found=f"features {features.shape}, {len(labels)} labels, "
            f"{'no' if groups is None else len(groups)} groups",
            required="one row of features, one label and one group a cell",
            remedy="Pass arrays of one length.",
        )
    left = neighbours_left(groups, n) if n else 0
    if min(ks) < 1 or max(ks) > left:
        raise EvaluationError(
            "kNN",
            found=f"k in {sorted(ks)} and {left} neighbours for the cell with fewest",
            required="each k at least 1 and at most the neighbours left",
            remedy="Choose smaller k (benchmark.ks), or score more cells.",
        )
    if not np.isfinite(features).all():
        raise EvaluationError(
            "kNN",
            found=f"{int((~np.isfinite(features)).any(1).sum())} cells with NaN or infinite features",
            required="finite features",
            remedy="Find the cells by the asset check `features_finite`.",
        )
    classes, votes_for = np.unique(labels, return_inverse=True)
    blocks = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    nearest = nearest_others(standardize(features), blocks, max(ks), progress=progress)  # (n, max k)
    predicted, votes, counted = {}, np.zeros((n, len(classes)), np.int32), 0
    for k in sorted(set(ks)):
        np.add.at(votes, (np.arange(n)[:, None], votes_for[nearest[:, counted:k]]), 1)
        predicted[k], counted = classes[votes.argmax(1)], k
    return predicted
