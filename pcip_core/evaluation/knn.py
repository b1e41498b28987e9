"""k nearest neighbours, leaving each cell (or its whole group) out, by exact distances."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pcip_core.errors import EvaluationError
from pcip_core.evaluation.neighbours import nearest_others
from pcip_core.evaluation.usable import neighbours_left
from pcip_core.features.checks import require_finite, require_rows
from pcip_core.features.scaling import standardize


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
    require_rows("kNN", features, labels, groups)
    left = neighbours_left(groups, n) if n else 0
    if min(ks) < 1 or max(ks) > left:
        raise EvaluationError(
            "kNN",
            found=f"k in {sorted(ks)} and {left} neighbours for the cell with fewest",
            required="each k at least 1 and at most the neighbours left",
            remedy="Choose smaller k (benchmark.ks), or score more cells.",
        )
    require_finite("kNN", features)
    classes, votes_for = np.unique(labels, return_inverse=True)
    blocks = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    nearest = nearest_others(standardize(features), blocks, ks, progress=progress)  # (n, max k)
    predicted, votes, counted = {}, np.zeros((n, len(classes)), np.int64), 0
    for k in sorted(set(ks)):
        cast = np.arange(n)[:, None] * len(classes) + votes_for[nearest[:, counted:k]]
        votes += np.bincount(cast.ravel(), minlength=votes.size).reshape(votes.shape)
        predicted[k], counted = classes[votes.argmax(1)], k
    return predicted
