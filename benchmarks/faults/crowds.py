"""Many processes at once: writers and readers of one store, and runs that begin together in a fresh folder."""

from __future__ import annotations

import dataclasses
import time
import traceback
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.common.harness import Row
from benchmarks.faults import processes, small_screen
from benchmarks.faults import tally as outcomes
from benchmarks.faults.judging import Digests, State
from benchmarks.faults.kills import PLATES, Reference, judge_finished, look
from benchmarks.faults.processes import DONE, HUNG, TOO_LARGE, TRACED, Command, Place
from benchmarks.faults.tally import Tally
from pcip_core.store.partitions import Store
from pcip_core.store.publish import connect, publish

WRITERS, READERS, SECONDS = 8, 4, 600
RUNS, ROUNDS = 4, 5  # at once in a fresh folder, and one of them twice; how often
_SHARED = "shared"  # a shard that all writers write
_SCREEN = "crowd"
_BASE = 1_000_000  # versions of one writer


# -- writers and readers ------------------------------------------------------------------------------------


def of_the_store(folder: Path, share: float) -> Iterator[Row]:
    """Writers commit and publish versions of their own shard and of a shared one; readers look for mixtures."""
    tally = Tally("writers and readers", outcomes.LOST, outcomes.TORN, TRACED, HUNG)
    seconds = SECONDS * share
    root, path = folder / "store", folder / "feature_store.duckdb"
    for number in range(WRITERS):
        _commit(Store(root), number * _BASE, f"writer_{number}")
    _commit(Store(root), 0, _SHARED)
    publish(Store(root), path)
    end = time.time() + seconds
    pipes = {}
    for number in range(WRITERS + READERS):
        role = _write if number < WRITERS else _read
        ours, theirs = processes.pipe()
        pipes[number] = (ours, processes.start(role, theirs, root, path, number, end))
        theirs.close()
    counts, last = {_write: 0, _read: 0}, {}
    for number, (ours, process) in pipes.items():
        answered = ours.poll(max(0.0, end - time.time()) + 120)
        try:
            report = ours.recv() if answered else Report(0, {}, {})
        except EOFError:
            report = Report(0, {}, {TRACED: "it ended without a report"})
        process.kill()
        process.join()
        if not answered:
            tally.add(HUNG, f"process {number}", "it did not end 120 s after its time")
        for outcome, detail in report.problems.items():
            tally.add(outcome, f"process {number}", detail)
        counts[_write if number < WRITERS else _read] += report.done
        last |= {(number, shard): version for shard, version in report.last.items()}
    for detail in _lost(Store(root), path, last):
        tally.add(outcomes.LOST, "at the end", detail)
    what = f"{WRITERS} writers and {READERS} readers of one store for {seconds:.0f} s"
    yield Row(f"{what}: commits", counts[_write], n=WRITERS)
    yield Row(f"{what}: reads", counts[_read], n=READERS)
    yield from tally.rows(counts[_write])


@dataclasses.dataclass(frozen=True)
class Report:
    """What a writer or reader has done: how often, the last version of each shard, and the first problems."""

    done: int
    last: Mapping[str, int]
    problems: Mapping[str, str]


def _commit(store: Store, version: int, shard: str) -> None:
    """One version of a shard: every row and pixel is the version, and the number of rows follows from it."""
    rows = 1 + version % 7
    tables = {"notes": pl.DataFrame({"v": [version] * rows}), "others": pl.DataFrame({"v": [version]})}
    store.commit(_SCREEN, tables, shard=shard, arrays={"crops": np.full((rows, 32, 32), version, np.int64)})


def _write(connection: Connection, root: Path, path: Path, number: int, end: float) -> None:
    store, done, version = Store(root), 0, number * _BASE
    last: dict[str, int] = {}
    problems: dict[str, str] = {}
    while time.time() < end and not problems:
        version += 1
        try:
            for shard in (f"writer_{number}", _SHARED):
                _commit(store, version, shard)
                last[shard], done = version, done + 1
            publish(store, path)
        except Exception:
            problems[TRACED] = traceback.format_exc()
    connection.send(Report(done, last, problems))


def _read(connection: Connection, root: Path, path: Path, number: int, end: float) -> None:
    store, done = Store(root), 0
    seen: dict[str, int] = {}
    problems: dict[str, str] = {}
    while time.time() < end and not problems:
        try:
            for shard in store.shards(_SCREEN, "notes"):
                notes, crops = store.read_with_array(_SCREEN, "notes", "crops", shard)
                versions = {*notes["v"].to_list(), *np.unique(crops).tolist()}
                if len(versions) != 1 or notes.height != 1 + max(versions) % 7 or len(crops) != notes.height:
                    problems[outcomes.TORN] = f"the store has {versions} in {shard}"
            with connect(path) as con:
                query = "SELECT shard, v FROM {0}.notes UNION SELECT shard, v FROM {0}.others"
                published = con.execute(query.format(_SCREEN)).fetchall()
            if len(published) != len(dict(published)):
                problems[outcomes.TORN] = f"the published file has {sorted(published)}"
            for shard, version in published:
                if shard != _SHARED and version < seen.get(shard, 0):
                    problems[outcomes.LOST] = f"{shard} went back from {seen[shard]} to {version}"
                seen[shard] = version
            done += 1
        except Exception:
            problems[TRACED] = traceback.format_exc()
    connection.send(Report(done, {}, problems))


def _lost(store: Store, path: Path, last: Mapping[tuple[int, str], int]) -> Iterator[str]:
    """Shards that do not have the last version that a writer committed to them, here and in the published file."""
    publish(store, path)
    with connect(path) as con:
        published = dict(con.execute(f"SELECT shard, max(v) FROM {_SCREEN}.notes GROUP BY shard").fetchall())
    for shard in {shard for _, shard in last}:
        allowed = {version for (_, written), version in last.items() if written == shard}
        stored = store.read(_SCREEN, "others", shards=[shard])["v"].to_list()
        if stored[0] not in allowed or published.get(shard) != stored[0]:
            yield f"{shard}: committed {sorted(allowed)}, stored {stored}, published {published.get(shard)}"


# -- runs ---------------------------------------------------------------------------------------------------


def of_runs(folder: Path, reference: Reference, share: float) -> Iterator[Row]:
    """Several screens, and one of them twice, are run at the same moment in a fresh folder."""
    tally = Tally(
        f"{RUNS + 1} runs at once in a fresh folder, two of one screen",
        *(outcomes.LOST, outcomes.SILENT, outcomes.UNFINISHED, TRACED, processes.UNCLEAR, HUNG, TOO_LARGE),
        outcomes.NO_START,
    )  # fmt: skip
    rounds = max(1, round(ROUNDS * share))
    for number in range(rounds):
        place, case = Place(folder / f"crowd_{number}"), f"round {number}"
        place.folder.mkdir(parents=True)
        specs = [
            small_screen.write_screen(place.folder, name=f"small_{screen}", plates=PLATES)
            for screen in range(RUNS)
        ]
        commands = [Command(place, ["run", str(spec)]) for spec in [*specs, specs[0]]]
        for command in commands:
            tally.judge(case, command.wait(may_idle=True), DONE)
        if not tally.judge(case, processes.run_pcip(place, "run", specs[0]), DONE):
            tally.add(outcomes.NO_START, case, specs[0].name)
        state = look(place, case, tally)
        if state is not None:
            for problem in state.problems:
                tally.add(outcomes.UNFINISHED, case, problem)
            judge_finished(state, _of_each(reference.finished[PLATES], specs), case, tally)
    yield from tally.rows(rounds * (RUNS + 1))


def _of_each(expected: State, specs: list[Path]) -> State:
    """The results of one screen, for each of several that have its images."""
    stored: Digests = {
        (spec.stem, table, shard): digest
        for spec in specs
        for (_, table, shard), digest in expected.stored.items()
    }
    return dataclasses.replace(expected, stored=stored)
