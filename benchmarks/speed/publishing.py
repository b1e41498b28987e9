"""Publications of one shard as the store grows, and questions to native tables and to views over Parquet.

The features are random. Each publication runs in its own process, which reports its seconds, without the imports, the
bytes that it wrote to files, and its peak memory.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from benchmarks.common.feature_tables import A_PROTEIN, AN_IMAGE, COLUMNS, random_features
from benchmarks.common.harness import Row
from benchmarks.platform.scale import peak_mb
from pcip_assets.workspace import REPOSITORY
from pcip_core.store.partitions import Store
from pcip_core.store.publish import publish
from pcip_core.store.schemas import CELLS, IMAGES
from pcip_core.store.vectors import feature_table

DESCRIPTION = (
    "one shard published in stores of 1, 4 and 16 GB: time, bytes written, memory; native tables and views"
)
SECONDS = 900
LONG = True
SIZES = (1.0, 4.0, 16.0)  # GB of vectors; PCIP_BENCH_GB chooses others
A_SHARD = 12_500  # cells, 19.2 MB of vectors
MOST = 1.5  # times the cost at the smallest size
_REPEATS = 3
_DISK, _SLACK = 3, 2  # GB of disk per GB of vectors (Parquet, the file, its spare), and in addition
_BLOCKS = 8  # of random vectors, which the shards share in turn
_SCREEN, _TABLE = "screen", "cell_features_inpainting_conv4"
_FIGURES = {  # of one publication: what it is, its unit, and whether it has an aim
    "seconds": ("time", "s", True),
    "cpu_seconds": ("processor time", "s", False),
    "megabytes": ("written to files", "MB", True),
    "peak_mb": ("peak memory", "MiB", False),
}

Cost = dict[str, float]  # of one publication, by the names of _FIGURES


def run() -> Iterator[Row]:
    """One store, which grows from size to size."""
    asked = os.environ.get("PCIP_BENCH_GB")
    sizes = [float(size) for size in asked.split(",")] if asked else list(SIZES)
    with tempfile.TemporaryDirectory() as folder:
        free = shutil.disk_usage(folder).free / 1e9
        fitting = [size for size in sizes if _DISK * size + _SLACK <= free]
        grown = Grown(Path(folder))
        least: dict[str, list[Cost]] = {}
        for size in fitting:
            yield from _at(grown, size, least, largest=size == fitting[-1] and size > fitting[0])
        for size in sizes[len(fitting) :]:
            need = _DISK * size + _SLACK
            yield Row(
                f"{size:g} GB: not run, for want of {need:.0f} GB of disk ({free:.0f} GB are free)", None
            )


class Grown:
    """A store of one screen and its published file."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.shards = folder, 0
        self.store, self.published = Store(folder / "store"), folder / "feature_store.duckdb"

    @property
    def gigabytes(self) -> float:
        """Size of the vectors."""
        return self.shards * A_SHARD * COLUMNS * 4 / 1e9

    def add(self) -> None:
        """Write a new shard."""
        self.write(self.shards)
        self.shards += 1

    def write(self, number: int, version: int = 0) -> None:
        """Write a shard, or another version of it."""
        shard, cell = f"plate_{number}", np.arange(A_SHARD)
        ids = {"cell_id": [f"{shard}_{row:07d}" for row in cell]}
        ids["image_id"] = [f"{shard}_{image:05d}" for image in cell // AN_IMAGE]
        features = feature_table(
            {**ids, "encoder_version": ["screen/1"] * A_SHARD}, _block((number + version) % _BLOCKS)
        )
        first = cell[::AN_IMAGE]
        proteins = [f"protein {number}.{protein}" for protein in first // A_PROTEIN]
        images = {"image_id": ids["image_id"][::AN_IMAGE], "protein": proteins, "shard": [shard] * len(first)}
        cells = CELLS.frame({**ids, "shard": [shard] * A_SHARD})
        self.store.commit(
            _SCREEN, {_TABLE: features, "images": IMAGES.frame(images), "cells": cells}, shard=shard
        )

    def publish(self) -> Cost:
        """Publish in a process of its own."""
        command = [sys.executable, "-m", "benchmarks.speed.publishing", str(self.folder)]
        done = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True)
        return json.loads(done.stdout)


@functools.cache
def _block(number: int) -> np.ndarray:
    return random_features(A_SHARD, number)


# -- publications -------------------------------------------------------------------------------------


def _at(grown: Grown, size: float, least: dict[str, list[Cost]], *, largest: bool) -> Iterator[Row]:
    """All figures of one size; `least` holds the costs at the smallest."""
    while grown.gigabytes < size:
        grown.add()
    whole = grown.publish()
    if not least:
        yield Row(f"first publication of {size:g} GB (random)", whole["seconds"], "s", n=1)
    for _ in range(2):  # until the spare holds what was added, too
        grown.add()
        grown.publish()
    added, replaced = [], []
    for version in range(1, _REPEATS + 1):
        grown.add()
        added.append(grown.publish())
        grown.write(version, version)
        replaced.append(grown.publish())
    for what, costs in (("added to", added), ("replaced in", replaced)):
        reference = least.setdefault(what, costs)
        yield from _costs(
            f"one shard of {A_SHARD:,} cells {what} {size:g} GB (random)", costs, reference, largest
        )
    yield _copied(grown, size, added)
    yield from _questions(grown, size)


def _costs(what: str, costs: list[Cost], reference: list[Cost], largest: bool) -> Iterator[Row]:  # noqa: FBT001
    for name, (figure, unit, has_aim) in _FIGURES.items():
        values = [cost[name] for cost in costs]
        value, against = (statistics.median(cost[name] for cost in some) for some in (costs, reference))
        aimed = largest and has_aim
        yield Row(
            f"{what}: {figure}", value, unit, n=len(values),
            against="the smallest store", against_value=against, ratio=value / against,
            spread=(min(values), max(values)), aim=f"within {MOST} times" if aimed else None,
            held=value <= MOST * against if aimed else None,
        )  # fmt: skip


def _copied(grown: Grown, size: float, added: list[Cost]) -> Row:
    """A publication for which the spare cannot be used, because somebody reads it."""
    what = (
        f"one shard added to {size:g} GB while the former version is being read, so that the file is copied"
    )
    if shutil.disk_usage(grown.folder).free / 1e9 < size + _SLACK:  # the version that is read, in addition
        return Row(f"{what}: not run, for want of disk", None)
    with duckdb.connect(str(grown.published), read_only=True):
        for _ in range(2):
            grown.add()
            cost = grown.publish()
    against = statistics.median(publication["seconds"] for publication in added)
    return Row(what, cost["seconds"], "s", n=1, against="with the spare", against_value=against,
               ratio=cost["seconds"] / against)  # fmt: skip


# -- questions ----------------------------------------------------------------------------------------


def _questions(grown: Grown, size: float) -> Iterator[Row]:
    """The same questions to the native tables, and to views of the same names over the partitions."""
    views = grown.folder / "views.duckdb"
    views.unlink(missing_ok=True)
    with duckdb.connect(str(views)) as con:
        con.execute(f"CREATE SCHEMA {_SCREEN}")
        for table in (_TABLE, "images"):
            files = f"read_parquet('{grown.store.root}/{_SCREEN}/{table}/*/part.parquet')"
            vectors = f"REPLACE (features::FLOAT[{COLUMNS}] AS features)" if table == _TABLE else ""
            con.execute(f"CREATE VIEW {_SCREEN}.{table} AS SELECT * {vectors} FROM {files}")
    table = f"{_SCREEN}.{_TABLE}"
    means = ", ".join(f"avg(features[{column}])" for column in range(1, COLUMNS + 1))
    wanted = f"(SELECT features FROM {table} WHERE cell_id = 'plate_1_0000007')"
    for what, sql in (
        ("ten most similar cells", f"SELECT cell_id, array_distance(features, {wanted}) AS distance FROM {table} "
         "ORDER BY distance, cell_id LIMIT 10"),
        ("mean by protein", f"SELECT protein, {means} FROM {table} JOIN {_SCREEN}.images USING (image_id) GROUP BY 1"),
        ("all cells of one image", f"SELECT cell_id, features FROM {table} WHERE image_id = 'plate_1_00003'"),
    ):  # fmt: skip
        repeats = _REPEATS if size <= 1 else 1
        ours, theirs = zip(
            *((_asked(grown.published, sql), _asked(views, sql)) for _ in range(repeats)), strict=True
        )
        assert ours[0][1].equals(theirs[0][1]), what
        seconds, against = ([second for second, _ in times] for times in (ours, theirs))
        value, other = statistics.median(seconds), statistics.median(against)
        yield Row(
            f"{what}, {size:g} GB (random), native table, opened anew", value, "s", n=repeats,
            spread=(min(seconds), max(seconds)), against="view over Parquet", against_value=other, ratio=other / value,
        )  # fmt: skip
    views.unlink()


def _asked(file: Path, sql: str) -> tuple[float, pl.Series]:
    """Seconds until the answer is there, and its first column."""
    start = time.perf_counter()
    with duckdb.connect(str(file), read_only=True) as con:
        con.execute("SET enable_progress_bar = false")
        answer = con.sql(sql).pl()
        seconds = time.perf_counter() - start
    column = answer.to_series()
    return seconds, column if "distance" in answer else column.sort()


# -- in a process of its own --------------------------------------------------------------------------


def main(folder: str) -> None:
    """Publish, and print the cost."""
    before, start, processor = _megabytes_written(), time.perf_counter(), time.process_time()
    publish(Store(Path(folder) / "store"), Path(folder) / "feature_store.duckdb")
    cost = {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - processor,
        "megabytes": _megabytes_written() - before,
        "peak_mb": peak_mb(),
    }
    print(json.dumps(cost))


def _megabytes_written() -> float:
    """What this process has written to files, on Linux."""
    io = Path("/proc/self/io")
    lines = dict(line.split(": ") for line in io.read_text().splitlines()) if io.is_file() else {}
    return int(lines.get("wchar", 0)) / 1e6


if __name__ == "__main__":
    main(*sys.argv[1:])
