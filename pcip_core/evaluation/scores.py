"""How good predictions are: accuracy, balanced accuracy, and the recall of each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pcip_core.evaluation.knn import leave_one_out_knn


def class_scores(truth: np.ndarray, predicted: np.ndarray) -> list[dict[str, Any]]:
    """Score predictions.

    Args:
        truth, predicted: (n,) classes.

    Returns:
        Rows with label (None: over all), metric, value and n, the cells it is the value of:
        `balanced_accuracy` (the mean of the classes' recalls), `accuracy`, and `recall` for each class.
    """
    hit = truth == predicted
    recalls = [
        {"label": str(label), "metric": "recall", "value": float(hit[truth == label].mean()), "n": int(n)}
        for label, n in zip(*np.unique(truth, return_counts=True), strict=True)
    ]
    balanced = float(np.mean([row["value"] for row in recalls]))
    overall = [("balanced_accuracy", balanced), ("accuracy", float(hit.mean()))]
    rows = [{"label": None, "metric": metric, "value": value, "n": len(truth)} for metric, value in overall]
    return rows + recalls


def knn_scores(
    features: np.ndarray, labels: np.ndarray, *, groups: np.ndarray | None, ks: Sequence[int]
) -> list[dict[str, Any]]:
    """`class_scores` of k nearest neighbours for each k, with classifier and parameter (`k=11`) in each row.

    Raises:
        EvaluationError: as `leave_one_out_knn`.
    """
    predicted = leave_one_out_knn(features, labels, ks=ks, groups=groups)
    return [
        {"classifier": "knn", "parameter": f"k={k}", **row}
        for k in ks
        for row in class_scores(labels, predicted[k])
    ]
