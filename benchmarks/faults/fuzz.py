"""Hostile specs, tables, images, OME-Zarr plates, HDF5 archives and Harmony indices, with limits of time and memory."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import resource
import shutil
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from benchmarks.common import hostile
from benchmarks.common.harness import Row
from benchmarks.faults import small_screen
from benchmarks.faults import tally as outcomes
from benchmarks.faults.processes import HUNG, MEMORY_MB, TOO_LARGE, TRACED
from benchmarks.faults.tally import Tally
from pcip_core.errors import PcipError

CASES = {"specs": 650, "tables": 450, **dict.fromkeys(hostile.KINDS, 900 // len(hostile.KINDS))}
LIMIT_S, WALL_S = 10.0, 40.0  # processor time; and wall time, on a machine that does much else
_SAFETY = 12 << 30  # bytes of address space: the limit is on resident memory, which is measured
_WORN_MB = 500.0  # a worker that holds this much after a case is replaced
_POLL_S = 0.01
_SPAWN = multiprocessing.get_context("spawn")  # a fork of the other trials would hold their memory too
_WRONG = {"lost": outcomes.LOST, "leaked": outcomes.SILENT, "stopped": outcomes.LOST}


@dataclass(frozen=True)
class Case:
    """One input: its kind, its number, and for specs and tables its file."""

    kind: str
    number: int
    name: str = ""
    content: bytes = b""

    def __str__(self) -> str:
        return f"{self.kind} {self.number}"


def trial(folder: Path, share: float, seed: int) -> Iterator[Row]:
    """All cases, one after the other."""
    tally = Tally("fuzzed inputs", outcomes.LOST, outcomes.SILENT, TRACED, HUNG, TOO_LARGE)
    cases = list(draw(share, seed))
    peak = _work_through(cases, folder, tally)
    for kind, n in Counter(case.kind for case in cases).items():
        yield Row(
            f"fuzzed inputs: {kind} refused with a reason, of all", tally.counts[f"{kind} refused"], n=n
        )
    yield Row("fuzzed inputs: largest resident memory", peak, "MB", n=len(cases),
              aim=f"<= {MEMORY_MB:g} MB", held=peak <= MEMORY_MB)  # fmt: skip
    yield from tally.rows(len(cases))


def draw(share: float, seed: int) -> Iterator[Case]:
    """The cases of a seed; a share of them for a smaller trial, those made by hand and those at random alike."""
    from benchmarks.common import fuzz  # its package hypothesis is installed for development only

    specs = fuzz.specs(seed, max(1, round(CASES["specs"] * share)))
    yield from (Case("specs", number, "spec.yaml", spec) for number, spec in enumerate(specs))
    tables = fuzz.tables(seed, max(1, round(CASES["tables"] * share)))
    yield from (Case("tables", number, name, table) for number, (name, table) in enumerate(tables))
    for kind in hostile.KINDS:
        numbers = random.Random(f"{seed} {kind}").sample(
            range(CASES[kind]), max(1, round(CASES[kind] * share))
        )
        yield from (Case(kind, number) for number in sorted(numbers))


def _work_through(cases: list[Case], folder: Path, tally: Tally) -> float:
    """Give cases to a worker, one by one; a new one follows each that exceeds a limit. Returns the peak in MB."""
    worker, largest = None, 0.0
    for case in cases:
        worker = worker or Worker(folder)
        outcome, detail, peak = worker.attempt(case)
        largest = max(largest, peak)
        if outcome in ("read", "used", "refused"):
            tally.count(f"{case.kind} {outcome}")
        else:
            tally.add(_WRONG.get(outcome, outcome), str(case), detail)
        if outcome in (HUNG, TOO_LARGE) or not worker.is_fit():
            worker.end()
            worker = None
    if worker is not None:
        worker.end()
    shutil.rmtree(folder, ignore_errors=True)
    return largest


class Worker:
    """A process that reads one case after the other."""

    def __init__(self, folder: Path) -> None:
        self._ours, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(theirs, folder), daemon=True)
        self._process.start()
        theirs.close()
        self._ours.recv()  # it has imported everything
        self._watched = psutil.Process(self._process.pid)

    def attempt(self, case: Case) -> tuple[str, str, float]:
        """Outcome, detail and peak memory in MB of one case."""
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")  # forget the peak of the last case
        begin, cpu = time.monotonic(), sum(self._watched.cpu_times()[:2])
        self._ours.send(case)
        peak = 0.0
        while not self._ours.poll(_POLL_S):  # true also at the end of the process
            peak = self._peak_mb()
            if peak > MEMORY_MB:
                return TOO_LARGE, f"{peak:.0f} MB", peak
            used = 0.0
            with contextlib.suppress(psutil.Error):
                used = sum(self._watched.cpu_times()[:2]) - cpu
            if used > LIMIT_S or time.monotonic() - begin > WALL_S:
                return HUNG, f"{used:.0f} s of processor time, {time.monotonic() - begin:.0f} s in all", peak
        try:
            outcome, detail = self._ours.recv()
        except EOFError:
            self._process.join()
            return TRACED, f"the process died ({self._process.exitcode})", peak
        peak = self._peak_mb()
        return (TOO_LARGE, f"{peak:.0f} MB", peak) if peak > MEMORY_MB else (outcome, detail, peak)

    def is_fit(self) -> bool:
        """Whether it lives and holds little memory."""
        with contextlib.suppress(psutil.Error):
            return self._process.is_alive() and self._watched.memory_info().rss < _WORN_MB * 2**20
        return False

    def end(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.join()

    def _peak_mb(self) -> float:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
        return 0.0


def _serve(connection: Connection, folder: Path) -> None:
    """The worker: answer each case with its outcome and a detail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # warnings of libraries
        os.dup2(nowhere, stream)
    resource.setrlimit(resource.RLIMIT_AS, (_SAFETY, _SAFETY))
    folder.mkdir(parents=True, exist_ok=True)
    small_screen.write_screen(folder, plates=1)
    (folder / "small_images").rename(folder / "images")  # as the generator of specs expects
    connection.send("ready")
    while True:
        case = connection.recv()
        try:
            connection.send(_outcome(case, folder))
        except Exception:
            connection.send((TRACED, outcomes.last_lines(traceback.format_exc())))


def _outcome(case: Case, folder: Path) -> tuple[str, str]:
    if case.kind in hostile.KINDS:
        outcome = hostile.attempt(case.kind, case.number, folder / "hostile")
        return outcome.result, f"{outcome.case}: {outcome.detail}"
    from benchmarks.common import fuzz

    path = folder / case.name
    path.write_bytes(case.content)
    use: Any = fuzz.use_spec if case.kind == "specs" else fuzz.use_table
    try:
        use(path)
    except PcipError as error:
        return "refused", str(error)
    return "used", ""
