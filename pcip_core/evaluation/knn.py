"""Classification by the exact k nearest neighbours, leaving out each cell or its group."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pcip_core.errors import EvaluationError
from pcip_core.evaluation.neighbours import nearest_others
from pcip_core.evaluation.usable import neighbours_left
from pcip_core.features.checks import require_finite, require_rows
from pcip_core.features.scaling import standardize
from pcip_core.words import many


def leave_one_out_knn(
    features: np.ndarray,
    labels: np.ndarray,
    *,
    ks: Sequence[int] = (11,),
    groups: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[int, np.ndarray]:
    """Predict each cell's label from its k nearest other cells.

    Args:
        features: (n, d). Each column is standardized here, as in the paper.
        labels: (n,) class of each cell, of any sortable type.
        ks: numbers of neighbours; all share one computation of the distances.
        groups: (n,) group of each cell (an image, a montage). Cells of the same group are never neighbours of each
            other. By default, only the cell itself is left out.
        weights: (d,) factor of each standardized column; by default 1.
        progress: called with the number of cells done, in proportion to the work.

    Returns:
        k -> (n,) predicted class. If classes have equally many votes, the first in sorted order wins, as in
        scikit-learn's KNeighborsClassifier. Among equally distant neighbours, the earlier cell counts as nearer.

    Raises:
        ShapeError: features, labels and groups differ in length.
        EvaluationError: a k exceeds the number of available neighbours, or a feature is not finite.

    >>> features = np.array([[0.0], [0.1], [1.0], [1.1], [1.2]])
    >>> leave_one_out_knn(features, np.array(["a", "a", "b", "b", "b"]), ks=(1, 3))[3].tolist()
    ['b', 'b', 'b', 'b', 'b']

    Source: paper, "Baseline Feature Extraction and Benchmarking" (k = 11, Euclidean distances).
    """
    n = len(features)
    require_rows("kNN", features, labels, groups)
    left = neighbours_left(groups, n) if n else 0
    if min(ks) < 1 or max(ks) > left:
        raise EvaluationError(
            "kNN",
            found=f"k in {sorted(ks)} and {many(left, 'neighbour')} for the cell with the fewest",
            required="each k at least 1 and at most the number of available neighbours",
            remedy="Choose a smaller k (benchmark.ks), or score more cells.",
        )
    require_finite("kNN", features)
    classes, votes_for = np.unique(labels, return_inverse=True)
    blocks = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    points = standardize(features) if weights is None else standardize(features) * weights
    nearest = nearest_others(points, blocks, ks, progress=progress)  # (n, max k)
    predicted, votes, counted = {}, np.zeros((n, len(classes)), np.int64), 0
    for k in sorted(set(ks)):
        cast = np.arange(n)[:, None] * len(classes) + votes_for[nearest[:, counted:k]]
        votes += np.bincount(cast.ravel(), minlength=votes.size).reshape(votes.shape)
        predicted[k], counted = classes[votes.argmax(1)], k
    return predicted
