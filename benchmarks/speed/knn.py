"""Leave-one-out kNN against scikit-learn and faiss at the paper's size: speed, memory, and equality of the labels."""

from __future__ import annotations

import importlib.util
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.common.harness import Row
from pcip_core.evaluation.knn import leave_one_out_knn
from pcip_core.evaluation.neighbours import threads
from pcip_core.features.scaling import standardize

DESCRIPTION = (
    "leave-one-out kNN of 30,889 cells against scikit-learn, faiss and the bare matrix product; growth"
)
SECONDS = 110
_CELLS, _COLUMNS, _CLASSES = 30_889, 384, 17  # the paper's cells and classes, conv4's columns
_KS = (1, 5, 11, 25, 50)
_REPEATS = 5
_GROWTH = (_CELLS // 4, _CELLS // 2, _CELLS, 2 * _CELLS)
_SCREEN = 1_165_713  # cells of the paper's yeast screen
_SIZE = f"{_CELLS:,} x {_COLUMNS} random features, {_CLASSES} classes, k = {_KS}"


def run() -> list[Row]:
    """Medians of repeats in turns, all sides in one process; memory of ours in a process of its own."""
    features, labels = _random_cells()
    points = standardize(features)
    sides: dict[str, Callable[[], Any]] = {
        "ours": lambda: leave_one_out_knn(features, labels, ks=_KS),
        "scikit-learn": lambda: _by_scikit_learn(features, labels),
        "product": lambda: _product(points),
    }
    if importlib.util.find_spec("faiss"):
        sides["faiss"] = lambda: _by_faiss(points, labels)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    found: dict[str, Any] = {}
    for _ in range(_REPEATS):
        for name, side in sides.items():
            start = time.perf_counter()
            found[name] = side()
            seconds[name].append(time.perf_counter() - start)
    return [*_times(seconds), *_labels(found), *_growth()]


def _times(seconds: dict[str, list[float]]) -> Iterator[Row]:
    """Ours against each other side."""
    for name, what, least, aim in (
        (
            "scikit-learn",
            "scikit-learn's brute force on the same standardized features",
            2.5,
            ">= 2.5 times faster",
        ),
        (
            "faiss",
            "faiss, flat index, float32, on the same standardized features",
            1.3,
            ">= 1.3 times faster",
        ),
        ("product", "the product of all features with all, float32, by blocks", 1.0, "in less time"),
    ):
        if name not in seconds:
            yield Row("leave-one-out kNN against faiss: not run, faiss-cpu is not installed", None, aim=aim)
            continue
        ours, theirs = seconds["ours"], seconds[name]
        ratios = [their / our for their, our in zip(theirs, ours, strict=True)]
        ratio = statistics.median(ratios)
        yield Row(
            what=f"leave-one-out kNN, {_SIZE}, {threads()} threads",
            value=statistics.median(ours),
            unit="s",
            against=what,
            against_value=statistics.median(theirs),
            ratio=ratio,
            n=_REPEATS,
            spread=(min(ratios), max(ratios)),
            aim=aim,
            held=ratio >= least,
        )


def _labels(found: dict[str, Any]) -> Iterator[Row]:
    """Memory of ours, and the labels against those of the other sides."""
    peak = _peak_memory()
    yield Row(what="peak memory of kNN", value=peak, unit="GiB", n=1, aim="< 2 GiB", held=peak < 2)
    for name, aim in (("scikit-learn", "1"), ("faiss", None)):
        if name in found:
            equal = float(np.mean([found["ours"][k] == found[name][k] for k in _KS]))
            yield Row(
                what=f"share of labels equal to those of {name}"
                + ("" if aim else ", which rounds to float32"),
                value=equal,
                n=_CELLS * len(_KS),
                aim=aim,
                held=equal == 1 if aim else None,
            )


def _growth() -> Iterator[Row]:
    """Seconds as cells double, and what a whole screen would take by the square of the last step.

    PCIP_KNN_CELLS names one more size, such as 123556 (a minute) or 1165713, the whole screen.
    """
    last, before = 0.0, 0
    further = os.environ.get("PCIP_KNN_CELLS")
    for cells in (*_GROWTH, *([int(further)] if further else [])):
        features, labels = _random_cells(cells)
        start = time.perf_counter()
        leave_one_out_knn(features, labels, ks=_KS)
        seconds = time.perf_counter() - start
        yield Row(
            what=f"leave-one-out kNN, {cells:,} cells",
            value=seconds,
            unit="s",
            against=f"{before:,} cells" if last else None,
            against_value=last or None,
            ratio=seconds / last if last else None,
            n=1,
        )
        last, before = seconds, cells
    if before < _SCREEN:
        yield Row(
            what=f"leave-one-out kNN, {_SCREEN:,} cells: extrapolated from {before:,} by the square, not run",
            value=last * (_SCREEN / before) ** 2 / 3600,
            unit="h",
            n=1,
        )


def _random_cells(cells: int = _CELLS) -> tuple[np.ndarray, np.ndarray]:
    """Random features whose classes differ a little, the largest class 20 times the smallest."""
    rng = np.random.default_rng(0)
    share = np.geomspace(1, 20, _CLASSES)
    labels = rng.choice(_CLASSES, cells, p=share / share.sum())
    means = 0.2 * rng.normal(size=(_CLASSES, _COLUMNS))
    return (means[labels] + rng.normal(size=(cells, _COLUMNS))).astype(np.float32), labels


def _by_scikit_learn(features: np.ndarray, labels: np.ndarray) -> dict[int, np.ndarray]:
    """One search for all k; without points of its own, kneighbors leaves each cell out."""
    from sklearn.neighbors import NearestNeighbors

    model = NearestNeighbors(n_neighbors=max(_KS), algorithm="brute").fit(standardize(features))
    return _votes(labels[model.kneighbors(return_distance=False)])


def _votes(nearest: np.ndarray) -> dict[int, np.ndarray]:
    """Of (n, k) labels the most frequent of the first so many; the first of equally frequent."""
    from scipy import stats

    return {k: stats.mode(nearest[:, :k], axis=1).mode for k in _KS}


def _by_faiss(points: np.ndarray, labels: np.ndarray) -> dict[int, np.ndarray]:
    """All k and one more, as it finds each cell itself; by as many threads as ours uses."""
    import faiss

    faiss.omp_set_num_threads(threads())
    single = points.astype(np.float32)
    index = faiss.IndexFlatL2(single.shape[1])
    index.add(single)
    nearest = index.search(single, max(_KS) + 1)[1]
    own = nearest == np.arange(len(points))[:, None]
    own[~own.any(1), -1] = True  # a twin may have taken its place
    return _votes(labels[nearest[~own].reshape(len(points), -1)])


def _product(points: np.ndarray) -> None:
    """What no search without symmetry can do without."""
    single = points.astype(np.float32)
    block = np.empty((2048, len(single)), np.float32)
    for start in range(0, len(single), 2048):
        rows = single[start : start + 2048]
        np.dot(rows, single.T, out=block[: len(rows)])


def _peak_memory() -> float:
    """GiB of a process that makes the features and predicts."""
    code = "from benchmarks.speed import knn; print(knn.measured_alone())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(done.stdout)


def measured_alone() -> float:
    """Peak memory of this process, GiB, after predicting."""
    features, labels = _random_cells()
    leave_one_out_knn(features, labels, ks=_KS)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
