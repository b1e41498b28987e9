"""Kills, crowds, full disks, jumping clocks and hostile inputs: what pcip makes of them. All of it is local."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.common.harness import Row
from benchmarks.faults import clocks, crowds, disks, fuzz, kills, pages, processes
from benchmarks.faults.processes import Place

DESCRIPTION = "what kills, crowds, full disks, jumping clocks and hostile inputs leave: results lost, hangs, tracebacks"
SECONDS = 3600
LONG = True
SHARE = "PCIP_BENCH_SHARE"  # of all trials, by default 1
SEED = "PCIP_BENCH_SEED"


def run() -> list[Row]:
    """All trials, or the share of them that PCIP_BENCH_SHARE names."""
    share, seed = float(os.environ.get(SHARE, "1")), int(os.environ.get(SEED, "0"))
    rows = [Row("share of all trials that was run", share), Row("seed", seed)]
    with tempfile.TemporaryDirectory(prefix="pcip_faults_") as folder:
        for row in _trials(Path(folder), share, seed):
            rows.append(row)
    return rows


def _trials(folder: Path, share: float, seed: int) -> Iterator[Row]:
    processes.prepare()
    reference = kills.undisturbed(Place(folder / "undisturbed"))
    trials = {
        "kills": lambda: kills.trial(folder / "kills", reference, share, seed),
        "pages": lambda: pages.trial(folder / "pages", reference, share, seed),
        "runs": lambda: crowds.of_runs(folder / "runs", reference, share),
        "store": lambda: crowds.of_the_store(folder / "store", share),
        "disks": lambda: disks.trial(folder / "disks", reference, share, seed),
        "clocks": lambda: clocks.trial(folder / "clocks", reference, share, seed),
        "fuzz": lambda: fuzz.trial(folder / "fuzz", share, seed),
    }
    for name, trial in trials.items():
        begin = time.monotonic()
        yield from trial()
        print(f"{name} took {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
