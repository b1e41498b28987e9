"""A clock that jumps between runs, and during them, made by Debian's libfaketime."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

from benchmarks.common.harness import Row
from benchmarks.faults import small_screen
from benchmarks.faults import tally as outcomes
from benchmarks.faults.kills import PLATES, Reference, judge_finished, look
from benchmarks.faults.processes import DONE, HUNG, TOO_LARGE, TRACED, UNCLEAR, Ending, Place, Program
from benchmarks.faults.tally import Tally

ROUNDS = 5
_DAYS = (-4000, -400, -1, 0, 1, 400, 4000)
_EVERY_S = 1.5
_OUTCOMES = (
    *(outcomes.LOST, outcomes.SILENT, outcomes.UNFINISHED, TRACED, UNCLEAR, HUNG, TOO_LARGE),
    outcomes.NO_START,
)  # fmt: skip


def trial(folder: Path, reference: Reference, share: float, seed: int) -> Iterator[Row]:
    """Runs before and after jumps back and forth; then one while the clock jumps."""
    library = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
    if library is None:
        yield Row("clock jumps: not tried, libfaketime is not here (apt-get install faketime)", None)
        return
    tally, rounds = Tally("clock jumps", *_OUTCOMES), max(1, round(ROUNDS * share))
    for number in range(rounds):
        _round(Place(folder / f"clock_{number}"), library, reference, random.Random(f"{seed} {number}"), tally)
    yield from tally.rows(3 * rounds)


def _round(place: Place, library: Path, reference: Reference, rng: random.Random, tally: Tally) -> None:
    place.folder.mkdir(parents=True)
    spec, clock = small_screen.write_screen(place.folder, plates=PLATES), place.folder / "clock"
    environment = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",  # reading the clock's file each time would take most of the time
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }

    def run(case: str, plates: int, *options: str) -> None:
        ending: Ending = Program(
            place, ["run", str(spec), *options], module="benchmarks.faults.faked_clock", environment=environment
        ).wait()
        if not tally.judge(case, ending, DONE):
            tally.add(outcomes.NO_START, case, ending.kind)
        elif state := look(place, case, tally):
            judge_finished(state, reference.finished[plates], case, tally)
            for problem in state.problems:
                tally.add(outcomes.UNFINISHED, case, problem)

    _set(clock, 400)
    run("400 days ahead", PLATES)
    small_screen.add_plate(place.folder / "small_images", PLATES + 1)
    _set(clock, -400)
    run("set back by 800 days, a plate added", PLATES + 1)
    stopped = threading.Event()

    def jump() -> None:
        while not stopped.wait(_EVERY_S):
            _set(clock, rng.choice(_DAYS))

    jumping = threading.Thread(target=jump)
    jumping.start()
    run("jumping during a training", PLATES + 1, "--retrain")
    stopped.set()
    jumping.join()


def _set(clock: Path, days: int) -> None:
    """Let the clock differ from the true one by some days."""
    beside = clock.with_suffix(".new")
    beside.write_text(f"{days:+d}d\n")
    beside.replace(clock)
