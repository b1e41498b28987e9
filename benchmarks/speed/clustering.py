"""Clustering of a proteome on a laptop: time, memory, agreement with scipy, and the quality of maximum likelihood."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.common.harness import Row
from pcip_core.clustering.clusters import cut_number, labels_of
from pcip_core.clustering.linkage import METHODS, Method, cluster_tree
from pcip_core.clustering.micro import micro_clusters
from pcip_core.features.scaling import standardize

DESCRIPTION = (
    "trees of 12,000 proteins: time and memory against scipy; maximum likelihood against Ward on blobs"
)
SECONDS = 120
_PROTEINS, _COLUMNS = 12_000, 384  # the paper's 11,995 proteins, and its conv3's columns
_MANY = (25_000, 50_000, 100_000)  # rows that are grouped first
_SEEDS = 10
_LESS = (0.3, 0.1, 0.03)  # than the regularization by default
_BLOBS = {
    "20 columns, standard deviations 0.2, 0.2, 2, 2 and 0.5": (20, 1.0, (0.2, 0.2, 2.0, 2.0, 0.5)),
    "20 columns, standard deviations of 1": (20, 1.0, (1.0,) * 5),
    "384 columns, standard deviations 0.2, 0.2, 2, 2 and 0.5": (384, 0.3, (0.2, 0.2, 2.0, 2.0, 0.5)),
    "384 columns, standard deviations of 1": (384, 0.3, (1.0,) * 5),
}
"""What they are -> columns, standard deviation of the centres, and that of each blob."""


def run() -> list[Row]:
    """Each tree once, in a process of its own."""
    size = f"{_PROTEINS:,} x {_COLUMNS}"
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.npy" for name in ("scipy", "ward", "maximum_likelihood")}
        measured = {name: _alone(name, file) for name, file in files.items()}
        expected, found = np.load(files["scipy"]), np.load(files["ward"])
    rows = []
    for name in ("ward", "maximum_likelihood"):
        seconds, peak = measured[name]
        rows += [
            Row(
                what=f"tree by {name}, {size}",
                value=seconds,
                unit="s",
                against="scipy.cluster.hierarchy.linkage by ward on the same standardized features",
                against_value=measured["scipy"][0],
                ratio=measured["scipy"][0] / seconds,
                n=1,
                aim="< 60 s, and at most 1.1 times scipy's time",
                held=seconds < min(60, 1.1 * measured["scipy"][0]),
            ),
            Row(
                what=f"peak memory of the tree by {name}, {size}",
                value=peak,
                unit="GiB",
                against="scipy's by ward",
                against_value=measured["scipy"][1],
                ratio=measured["scipy"][1] / peak,
                n=1,
                aim="< 4 GiB, and half of scipy's",
                held=peak < min(4, 0.5 * measured["scipy"][1]),
            ),
        ]
    same = float(np.isclose(found, expected, rtol=1e-6).all(1).mean())
    rows.append(
        Row(
            what="share of Ward's merges that are scipy's, at the same height",
            value=same,
            n=len(found),
            aim="1",
            held=same == 1,
        )
    )
    rows += _grouped_first()
    less = [_on_blobs(what, regularization) for what in _BLOBS for regularization in _LESS]
    return rows + [_on_blobs(what) for what in _BLOBS] + less


def _grouped_first() -> list[Row]:
    """Rows that no tree can hold, by groups of them (docs/explanation/analyses.md), each size in its own process."""
    rows, before = [], None
    with tempfile.TemporaryDirectory() as folder:
        for count in _MANY:
            seconds, peak = _alone("grouped", Path(folder) / "tree.npy", count)
            rows.append(
                Row(
                    what=f"{count:,} x {_COLUMNS}: groups by k-means, their tree by ward; peak {peak:.2f} GiB",
                    value=seconds,
                    unit="s",
                    against=None if before is None else "half as many rows",
                    against_value=before,
                    ratio=None if before is None else seconds / before,
                    n=1,
                )
            )
            before = seconds
    return rows


def _on_blobs(what: str, regularization: float = 1.0) -> Row:
    """Mean adjusted Rand index over seeds of the five clusters with the five blobs."""
    from sklearn.metrics import adjusted_rand_score

    columns, apart, spreads = _BLOBS[what]
    methods: tuple[Method, ...] = ("maximum_likelihood", "ward")
    scores: dict[str, list[float]] = {method: [] for method in methods}
    for seed in range(_SEEDS):
        rng = np.random.default_rng(seed)
        labels = np.repeat(np.arange(5), (60, 40, 80, 100, 120))
        points = (apart * rng.normal(size=(5, columns)))[labels]
        points = points + np.array(spreads)[labels, None] * rng.normal(size=points.shape)
        for method in methods:
            tree = cluster_tree(points, method=method, regularization=regularization)
            scores[method].append(float(adjusted_rand_score(labels, labels_of(tree, cut_number(tree, 5)))))
    ours, ward = (float(np.mean(scores[method])) for method in methods)
    differ = len(set(spreads)) > 1 and regularization == 1
    return Row(
        what=f"adjusted Rand index of maximum likelihood, regularization {regularization:g}, "
        f"5 blobs of 400 points, {what}",
        value=ours,
        against="ward",
        against_value=ward,
        ratio=ours / ward,
        n=_SEEDS,
        spread=(min(scores["maximum_likelihood"]), max(scores["maximum_likelihood"])),
        aim="above Ward's" if differ else None,
        held=ours > ward if differ else None,
    )


def _alone(name: str, file: Path, count: int = _PROTEINS) -> tuple[float, float]:
    """Seconds and peak GiB of a process that makes the features and this tree, which it saves."""
    code = "import sys; from benchmarks.speed import clustering; clustering.measured_alone(*sys.argv[1:])"
    command = [sys.executable, "-c", code, name, str(file), str(count)]
    seconds, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), float(peak)


def measured_alone(name: str, file: str, count: str) -> None:
    """Make a tree, save it, and print the seconds that took and this process's peak memory in GiB."""
    features = _proteins(int(count))
    start = time.perf_counter()
    if name == "scipy":
        from scipy.cluster.hierarchy import linkage

        tree = linkage(standardize(features), "ward")
    elif name == "grouped":
        tree = cluster_tree(micro_clusters(features)[0], method="ward", scale=False)
    else:
        tree = cluster_tree(features, method=next(method for method in METHODS if method == name))
    seconds = time.perf_counter() - start
    np.save(file, tree)
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def _proteins(count: int) -> np.ndarray:
    """Random features of 40 overlapping groups in few directions, with noise."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(16, _COLUMNS))
    means = rng.normal(size=(40, 16))[rng.integers(0, 40, count)]
    places = means + 0.5 * rng.normal(size=(count, 16))
    return (places @ directions + rng.normal(size=(count, _COLUMNS))).astype(np.float32)
