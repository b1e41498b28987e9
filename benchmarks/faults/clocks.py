"""A clock that jumps between runs, and during them, made by Debian's libfaketime."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.common.harness import Row
from benchmarks.faults import small_screen
from benchmarks.faults import tally as outcomes
from benchmarks.faults.judging import State, unpublished
from benchmarks.faults.kills import PLATES, Reference, judge_finished, look
from benchmarks.faults.processes import DONE, HUNG, TOO_LARGE, TRACED, UNCLEAR, Place, Program
from benchmarks.faults.tally import Tally

ROUNDS = 5
_DAYS = (-4000, -400, -1, 0, 1, 400, 4000)
_EVERY_S = 1.5
_OUTCOMES = (
    *(outcomes.LOST, outcomes.SILENT, outcomes.UNFINISHED, TRACED, UNCLEAR, HUNG, TOO_LARGE),
    outcomes.NO_START,
)  # fmt: skip


def trial(folder: Path, reference: Reference, share: float, seed: int) -> Iterator[Row]:
    """A run while the clock jumps, then one after it was set back by years."""
    library = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
    if library is None:
        yield Row("clock jumps: not tried, libfaketime is not here (apt-get install faketime)", None)
        return
    tally, rounds = Tally("clock jumps", *_OUTCOMES), max(1, round(ROUNDS * share))
    for number in range(rounds):
        _round(
            Place(folder / f"clock_{number}"), library, reference, random.Random(f"{seed} {number}"), tally
        )
    yield from tally.rows(2 * rounds)


def _round(place: Place, library: Path, reference: Reference, rng: random.Random, tally: Tally) -> None:
    place.folder.mkdir(parents=True)
    spec, clock = small_screen.write_screen(place.folder, plates=PLATES), place.folder / "clock"
    environment = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",  # reading the clock's file each time would take most of the time
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }

    def run(case: str, *options: str) -> State | None:
        ending = Program(
            place,
            ["run", str(spec), *options],
            module="benchmarks.faults.faked_clock",
            environment=environment,
        ).wait()
        if not tally.judge(case, ending, DONE):
            tally.add(outcomes.NO_START, case, ending.kind)
            return None
        state = look(place, case, tally)
        for problem in state.problems if state is not None else ():
            tally.add(outcomes.UNFINISHED, case, problem)
        return state

    case = "a first run while the clock jumps"
    with _jumping(clock, rng):
        state = run(case)
    if state is not None:
        judge_finished(state, reference.finished[PLATES], case, tally)
    _set(clock, min(_DAYS))
    small_screen.add_plate(place.folder / "small_images", PLATES + 1)
    case = "trained again on one more plate after the clock was set back"
    state = run(case, "--retrain")
    for problem in unpublished(state) if state is not None else ():
        tally.add(outcomes.SILENT, case, problem)


@contextmanager
def _jumping(clock: Path, rng: random.Random) -> Iterator[None]:
    """Let the clock jump to and fro."""
    stopped = threading.Event()
    _set(clock, max(_DAYS))

    def jump() -> None:
        while not stopped.wait(_EVERY_S):
            _set(clock, rng.choice(_DAYS))

    jumping = threading.Thread(target=jump)
    jumping.start()
    try:
        yield
    finally:
        stopped.set()
        jumping.join()


def _set(clock: Path, days: int) -> None:
    """Let the clock differ from the true one by some days."""
    beside = clock.with_suffix(".new")
    beside.write_text(f"{days:+d}d\n")
    beside.replace(clock)
