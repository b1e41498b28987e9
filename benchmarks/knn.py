"""Is kNN faster than scikit-learn's at the paper's size, within 2 GiB, and are the labels the same?"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time

import numpy as np

from benchmarks.harness import Row
from pcip_core.evaluation.knn import leave_one_out_knn, standardize

DESCRIPTION = "leave-one-out kNN of 30,889 cells against scikit-learn's brute force: time, memory, labels"
_CELLS, _COLUMNS, _CLASSES = 30_889, 384, 17  # the paper's cells and classes, conv4's columns
_KS = (1, 5, 11, 25, 50)
_REPEATS = 2


def run() -> list[Row]:
    """Medians of alternating repeats, both sides in one process; memory of ours in a process of its own."""
    features, labels = _random_cells()
    ours, theirs = [], []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        expected = _by_scikit_learn(features, labels)
        theirs.append(time.perf_counter() - start)
        start = time.perf_counter()
        predicted = leave_one_out_knn(features, labels, ks=_KS)
        ours.append(time.perf_counter() - start)
    ratios = [their / our for their, our in zip(theirs, ours, strict=True)]
    ratio = statistics.median(ratios)
    equal = float(np.mean([predicted[k] == expected[k] for k in _KS]))
    peak = _peak_memory()
    size = f"{_CELLS} x {_COLUMNS} random features, {_CLASSES} classes, k = {_KS}"
    return [
        Row(
            what=f"leave-one-out kNN, {size}",
            value=statistics.median(ours),
            unit="s",
            against="scikit-learn's brute force on the same standardized features",
            against_value=statistics.median(theirs),
            ratio=ratio,
            n=_REPEATS,
            spread=(min(ours), max(ours)),
            aim="at least 2 times faster",
            held=ratio >= 2,
        ),
        Row(what="peak memory of kNN", value=peak, unit="GiB", n=1, aim="< 2 GiB", held=peak < 2),
        Row(
            what="share of labels equal to scikit-learn's",
            value=equal,
            n=_CELLS * len(_KS),
            aim="1",
            held=equal == 1,
        ),
    ]


def _random_cells() -> tuple[np.ndarray, np.ndarray]:
    """Random features whose classes differ a little, the largest class 20 times the smallest."""
    rng = np.random.default_rng(0)
    share = np.geomspace(1, 20, _CLASSES)
    labels = rng.choice(_CLASSES, _CELLS, p=share / share.sum())
    means = 0.2 * rng.normal(size=(_CLASSES, _COLUMNS))
    return (means[labels] + rng.normal(size=(_CELLS, _COLUMNS))).astype(np.float32), labels


def _by_scikit_learn(features: np.ndarray, labels: np.ndarray) -> dict[int, np.ndarray]:
    """One search for all k; without points of its own, kneighbors leaves each cell out."""
    from scipy import stats
    from sklearn.neighbors import NearestNeighbors

    model = NearestNeighbors(n_neighbors=max(_KS), algorithm="brute").fit(standardize(features))
    nearest = labels[model.kneighbors(return_distance=False)]
    return {k: stats.mode(nearest[:, :k], axis=1).mode for k in _KS}  # the first of equally frequent


def _peak_memory() -> float:
    """GiB of a process that makes the features and predicts."""
    code = "from benchmarks import knn; print(knn.measured_alone())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(done.stdout)


def measured_alone() -> float:
    """Peak memory of this process, GiB, after predicting."""
    features, labels = _random_cells()
    leave_one_out_knn(features, labels, ks=_KS)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
