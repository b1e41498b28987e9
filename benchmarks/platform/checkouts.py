"""Memory and processor time of every asset of `pcip bench scale`, here and in another checkout of pcip, side by side.

`PCIP_BENCH_AGAINST` names the other checkout. It runs with this environment's Python and packages, on the same number of
cells. Both checkouts make the same asset at the same time, each in a process with one thread, so that a busy machine slows
both alike. The numbers are random, as in `pcip bench scale`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.common.harness import Row
from benchmarks.platform.scale import A_SHARD, LANES, SIZES
from pcip_assets.workspace import REPOSITORY

DESCRIPTION = "assets at 400,000 cells, here and in the checkout PCIP_BENCH_AGAINST: memory, processor time"
SECONDS = 900
LONG = True
SIZE, MOST = SIZES[-1], 1.1  # cells; times the figure of the other checkout
_MODULES = ("benchmarks.platform.scale", "benchmarks.scale")  # where the steps are, by version


def run() -> list[Row]:
    """Each step in both checkouts at once."""
    other = os.environ.get("PCIP_BENCH_AGAINST")
    if not other or not Path(other).is_dir():
        return [Row("not run: PCIP_BENCH_AGAINST names no folder with another checkout", None)]
    steps = {"publish, into a new file": ("publish",)}
    for lane in LANES:
        steps |= lane
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as theirs:
        folders = {REPOSITORY: ours, Path(other).resolve(): theirs}
        for step, asked in {"fill": ("fill", "0", str(SIZE // A_SHARD)), **steps}.items():
            with ThreadPoolExecutor(2) as pool:
                here, there = pool.map(lambda item, asked=asked: _measured(*item, *asked), folders.items())
            if step != "fill":
                rows += _rows(step, here, there)
            print(step, here, there, file=sys.stderr, flush=True)
    return rows


def _rows(step: str, here: dict[str, float] | None, there: dict[str, float] | None) -> Iterator[Row]:
    if here is None or there is None:
        where = "here" if here is None else "in the other checkout"
        yield Row(f"{step}: it does not run {where}", None)
        return
    for key, what, unit in (("peak_mb", "peak memory", "MiB"), ("seconds", "processor time", "s")):
        yield Row(
            f"{step}: {what}, {SIZE:,} cells (random)", here[key], unit, n=1,
            against="the other checkout", against_value=there[key], ratio=here[key] / there[key],
            aim=f"at most {MOST} times", held=here[key] <= MOST * there[key],
        )  # fmt: skip


def _measured(checkout: Path, folder: str, *asked: str) -> dict[str, float] | None:
    """Peak memory and seconds of one step in a checkout; None if the step fails or does not exist there."""
    module = next(name for name in _MODULES if (checkout / f"{name.replace('.', '/')}.py").is_file())
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, "-m", module, folder, *asked],
        cwd=checkout,
        env={**os.environ, **threads, "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
    )
    return None if done.returncode else json.loads(done.stdout.splitlines()[-1])
