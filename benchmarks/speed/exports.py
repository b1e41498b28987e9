"""Exports of the paper's number of cells: time, peak memory and size, each in a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import psutil

from benchmarks.common.feature_tables import (
    AN_IMAGE,
    COLUMNS,
    FEATURE_SET,
    SCREEN,
    SHARDS,
    TABLE,
    random_features,
)
from benchmarks.common.harness import Row
from pcip_assets.cli.bench.run import FOLDER
from pcip_core.exports.cells import ExportedCells
from pcip_core.store.partitions import Store
from pcip_core.store.schemas import CELLS, IMAGES, SCREENS
from pcip_core.store.vectors import feature_table

DESCRIPTION = "1,165,713 x 384 simulated features to h5ad and Parquet: time, peak memory, size"
SECONDS = 75
SIZES = (100_000, 1_165_713)  # the second: the paper's yeast screen
KINDS = ("h5ad", "parquet")
_LIMIT_MB = 2048
_NEEDS = 6e9  # bytes of disk
_RUN = "import sys; from benchmarks.speed import exports; exports.export_one(*sys.argv[1:])"


def run() -> list[Row]:
    """Each size in a folder of its own, which holds the store and one export at a time."""
    rows: list[Row] = []
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            if psutil.disk_usage(folder).free < _NEEDS:
                rows.append(Row(f"{size:,} cells: not run, for want of 6 GB of disk", None))
                continue
            write_store(Store(Path(folder) / "store"), size)
            for kind in KINDS:
                rows += _measured(Path(folder), kind, size)
    return rows


def _measured(folder: Path, kind: str, size: int) -> Iterator[Row]:
    """Rows of one export, in a process of its own; the aim is for the larger size."""
    target = folder / f"cells.{kind}"
    command = [sys.executable, "-c", _RUN, str(folder / "store"), kind, str(target)]
    done = subprocess.run(command, cwd=FOLDER.parent, capture_output=True, text=True, check=True)
    measured = json.loads(done.stdout)
    what, judged = f"{size:,} x {COLUMNS} to {kind}", size == SIZES[-1]
    yield Row(f"{what}: time", measured["seconds"], "s", n=1)
    yield Row(
        f"{what}: peak memory of the process", measured["peak_mb"], "MiB", n=1,
        aim=f"< {_LIMIT_MB} MiB" if judged else None, held=measured["peak_mb"] < _LIMIT_MB if judged else None,
    )  # fmt: skip
    on_disk = target.stat().st_size / 2**20
    yield Row(f"{what}: size", on_disk, "MiB", against="the vectors alone",
              against_value=size * COLUMNS * 4 / 2**20, ratio=on_disk / (size * COLUMNS * 4 / 2**20))  # fmt: skip
    target.unlink()


def export_one(store: str, kind: str, target: str) -> None:
    """In a process of its own: write one export, and print its time and peak memory as JSON."""
    from pcip_core.exports.anndata_file import write_h5ad
    from pcip_core.exports.profiles import write_parquet

    start = time.perf_counter()
    write = {"h5ad": write_h5ad, "parquet": write_parquet}[kind]
    write(ExportedCells(Store(Path(store)), SCREEN, FEATURE_SET), Path(target))
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux
    print(json.dumps({"seconds": seconds, "peak_mb": peak / 1024}))


def write_store(store: Store, size: int) -> None:
    """A screen of random features, with its cells and images; each shard has those of the first in other columns."""
    row = {"screen": SCREEN, "organism": "simulated", "channels": ["nucleus:structural", "protein:protein"]}
    spec = {"simulated": True, "feature_set": FEATURE_SET, "spec": f"name: {SCREEN}\n"}
    store.commit(SCREEN, {"screen": SCREENS.frame([{**row, **spec}])})
    vectors = random_features(size // SHARDS + 1, 0)
    for number in range(SHARDS):
        count = size // SHARDS + (number < size % SHARDS)
        shard, cell = f"plate_{number}", np.arange(count)
        images = [f"{shard}_{image:05d}" for image in cell // AN_IMAGE]
        ids = {"cell_id": [f"{shard}_{each:07d}" for each in cell], "image_id": images}
        columns = {name: np.linspace(0, 1000, count) for name in ("y_px", "x_px", "area_px")}
        extremes = pl.Series([[0.0, 1.0]] * count, dtype=pl.List(pl.Float32))
        cells = CELLS.frame(
            {
                **ids,
                **columns,
                "field": (cell % 4).astype(str).tolist(),
                "intensity_min": extremes,
                "intensity_max": extremes,
                "shard": [shard] * count,
            }
        )
        first = images[::AN_IMAGE]
        of_images = IMAGES.frame(
            {
                "image_id": first,
                "protein": [f"protein {number}.{each // 14}" for each in range(len(first))],
                "plate": [shard] * len(first),
                "well": [f"A{each % 24 + 1:02d}" for each in range(len(first))],
                "localization": [["Nucleus"]] * len(first),
                "shard": [shard] * len(first),
            }
        )
        features = feature_table(
            {**ids, "encoder_version": ["screen/1"] * count}, np.roll(vectors[:count], number, axis=1)
        )
        tables = {"images": of_images, "cells": cells, TABLE: features}
        store.commit(SCREEN, tables, shard=shard)
