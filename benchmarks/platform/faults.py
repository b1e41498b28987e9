"""Kills, crowds, full disks, jumping clocks and hostile inputs: what pcip makes of them. All of it is local."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.common.harness import Row
from benchmarks.faults import clocks, crowds, disks, fuzz, kills, pages, processes
from benchmarks.faults.processes import Place

DESCRIPTION = (
    "what kills, crowds, full disks, jumping clocks and hostile inputs leave: results lost, hangs, tracebacks"
)
SECONDS = 3600
LONG = True
SHARE = "PCIP_BENCH_SHARE"  # of all trials, by default 1
SEED = "PCIP_BENCH_SEED"  # by default 0
_AT_ONCE = 2


def run() -> list[Row]:
    """All trials, or the share of them that PCIP_BENCH_SHARE names; two at a time, because most use one core."""
    share, seed = float(os.environ.get(SHARE, "1")), int(os.environ.get(SEED, "0"))
    with tempfile.TemporaryDirectory(prefix="pcip_faults_") as folder, ThreadPoolExecutor(_AT_ONCE) as pool:
        begun = [
            pool.submit(_timed, name, trial) for name, trial in _trials(Path(folder), share, seed).items()
        ]
        rows = [row for trial in begun for row in trial.result()]
    return [Row("share of all trials that was run", share), *rows]


def _trials(folder: Path, share: float, seed: int) -> dict[str, Callable[[], Iterator[Row]]]:
    """Name -> trial, the longest first."""
    processes.prepare()
    reference = kills.undisturbed(Place(folder / "undisturbed"))
    return {
        "kills": lambda: kills.trial(folder / "kills", reference, share, seed),
        "disks": lambda: disks.trial(folder / "disks", reference, share, seed),
        "pages": lambda: pages.trial(folder / "pages", reference, share, seed),
        "store": lambda: crowds.of_the_store(folder / "store", share),
        "clocks": lambda: clocks.trial(folder / "clocks", reference, share, seed),
        "runs": lambda: crowds.of_runs(folder / "runs", reference, share),
        "fuzz": lambda: fuzz.trial(folder / "fuzz", share, seed),
    }


def _timed(name: str, trial: Callable[[], Iterator[Row]]) -> list[Row]:
    begin = time.monotonic()
    rows = list(trial())
    print(f"{name} took {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    return rows
