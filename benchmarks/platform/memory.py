"""The cost of the demo: peak memory of each asset, seconds of the whole and of a second run."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dagster as dg

from benchmarks.common.harness import Row
from pcip_assets.cli.run import open_instance
from pcip_assets.workspace import REPOSITORY, Workspace

DESCRIPTION = "time and peak memory of the demo, by asset"
SECONDS = 400
LONG = True
_NOUNS = (
    "fields",
    "crops",
    "encoder",
    "cell_features",
    "control_features",
    "protein_features",
    "knn_benchmark",
)


def run() -> list[Row]:
    """Run the demo twice in a workspace of its own, and read what its assets reported to Dagster."""
    with tempfile.TemporaryDirectory() as folder:
        first, again = (_demo(folder) for _ in range(2))
        instance = open_instance(Workspace(Path(folder)))
        rows = [
            _asset(instance, [name, noun])
            for name in ("simulated_human", "simulated_yeast")
            for noun in _NOUNS
        ]
    whole = Row(what="demo, from nothing (simulated images)", value=first, unit="s", n=1)
    repeat = Row(what="demo, everything fresh", value=again, unit="s", n=1)
    return [
        _bounded(whole, 480, "at most 8 minutes on 2 cores"),
        _bounded(repeat, 60, "under a minute"),
        *rows,
    ]


def _bounded(row: Row, most: float, aim: str) -> Row:
    return Row(**{**vars(row), "aim": aim, "held": row.value is not None and row.value <= most})


def _demo(folder: str) -> float:
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pcip_assets.cli", "demo"],
        cwd=REPOSITORY,
        env={**os.environ, "PCIP_DATA": folder},
        check=True,
    )
    return time.perf_counter() - start


def _asset(instance: dg.DagsterInstance, key: list[str]) -> Row:
    """The first run's report of one asset: the last event that made anything."""
    records = instance.fetch_materializations(dg.AssetKey(key), limit=100).records
    made = [record.asset_materialization.metadata for record in records if record.asset_materialization]
    first = max(made, key=lambda metadata: float(metadata["seconds"].value) if "seconds" in metadata else 0)
    memory = float(first["peak_memory_mb"].value)  # type: ignore[arg-type]
    return Row(
        what=f"{'/'.join(key)}: {float(first['seconds'].value):.1f} s, peak memory",  # type: ignore[arg-type]
        value=memory,
        unit="MiB",
        n=1,
    )
