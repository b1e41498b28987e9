"""kill -9 during `pcip run`, again and again in one workspace, and what is left each time."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.harness import Row
from benchmarks.faults import judging, small_screen
from benchmarks.faults import tally as outcomes
from benchmarks.faults.judging import Digests, Key, State
from benchmarks.faults.kill_points import NEW, KillPoint
from benchmarks.faults.processes import DONE, HUNG, KILLED, TOO_LARGE, TRACED, Place, call, run_pcip
from benchmarks.faults.tally import Tally

KILLS = 200
PER_WORKSPACE = 4  # the first of them in the first second of a fresh one
PLATES = 2
_DELAY_S = 0.5
_OUTCOMES = (
    *(outcomes.LOST, outcomes.TORN, outcomes.SILENT, outcomes.UNFINISHED, TRACED, HUNG, TOO_LARGE),
    outcomes.NO_START,
)  # fmt: skip


@dataclass(frozen=True)
class Reference:
    """What runs without a kill do, first with two plates, then with one more.

    Attributes:
        changes: number of plates -> changes of files and databases in that run, by part of the workspace.
        of_start: those before the first result in a fresh workspace.
        finished: number of plates -> state of the workspace after that run.
    """

    changes: Mapping[int, Mapping[str, int]]
    of_start: Mapping[str, int]
    finished: Mapping[int, State]

    @property
    def allowed(self) -> dict[Key, set[str]]:
        """Partition -> its digests after any of the runs."""
        allowed: dict[Key, set[str]] = {}
        for state in self.finished.values():
            for key, value in state.stored.items():
                allowed.setdefault(key, set()).add(value)
        return allowed

    @property
    def together(self) -> list[list[Key]]:
        """Partitions that are written by one commit."""
        return self.finished[PLATES + 1].together()

    def point(self, rng: random.Random, plates: int, *, fresh: bool) -> KillPoint:
        """Draw where to kill: each part of the workspace equally often, in a fresh one before the first result."""
        counts = self.of_start if fresh else {
            place: n for place, n in self.changes[plates].items() if place not in (NEW, "settings")
        }  # fmt: skip
        place = rng.choice(sorted(counts))
        share = rng.random() if fresh else rng.random() ** 2  # after a kill there is less to do
        return KillPoint(place, 1 + int(counts[place] * share), rng.choice((0.0, rng.uniform(0, _DELAY_S))))


def trial(folder: Path, reference: Reference, share: float, seed: int) -> Iterator[Row]:
    """All kills, one workspace after the other."""
    kills = max(PER_WORKSPACE, round(KILLS * share))
    tally, where, number = Tally("kills", *_OUTCOMES), Counter[str](), 0
    while where.total() < kills and number < kills:  # some runs end before their kill
        place = Place(folder / f"workspace_{number}")
        where += live(place, reference, random.Random(f"{seed} {number}"), tally)
        shutil.rmtree(place.folder)
        number += 1
    done = where.total()
    fresh = sum(n for part, n in where.items() if part.startswith("fresh"))
    yield Row(f"kills of a run in {number} workspaces: {_listed(where)}", done,
              n=done, aim=f">= {kills}", held=done >= kills)  # fmt: skip
    yield Row("kills in the first second of a fresh workspace, before its first result", fresh, n=done,
              aim="at least a fifth", held=fresh * 5 >= done)  # fmt: skip
    yield from tally.rows(done)


def _listed(where: Counter[str]) -> str:
    return ", ".join(f"{number} in {place}" for place, number in where.most_common())


def undisturbed(place: Place) -> Reference:
    """Run a screen, add a plate, and run it again."""
    place.folder.mkdir(parents=True)
    spec = small_screen.write_screen(place.folder, plates=PLATES)
    finished, counts = {}, {}
    for plates in (PLATES, PLATES + 1):
        if plates > PLATES:
            small_screen.add_plate(place.folder / "small_images", plates)
        ending = run_pcip(place, "run", spec, count=True)
        if ending.kind != DONE:
            raise RuntimeError(f"an undisturbed run ended: {ending.kind}\n{ending.output}")
        finished[plates] = call(judging.look, place.data)
        counts[plates] = json.loads(ending.note)
    shutil.rmtree(place.folder)
    changes = {plates: each["all"] for plates, each in counts.items()}
    return Reference(changes, counts[PLATES]["start"], finished)


def live(place: Place, reference: Reference, rng: random.Random, tally: Tally) -> Counter[str]:
    """Kill several runs in one workspace, then let one end; return how many were killed in which part."""
    place.folder.mkdir(parents=True)
    spec = small_screen.write_screen(place.folder, plates=PLATES)
    where, plates, before = Counter[str](), PLATES, Digests()
    for _ in range(2 * PER_WORKSPACE):
        if where.total() == PER_WORKSPACE:
            break
        fresh = not where
        point = reference.point(rng, plates, fresh=fresh)
        ending = run_pcip(place, "run", spec, point=point)
        case = f"{place.folder.name} {point}"
        if not tally.judge(case, ending, KILLED, DONE):
            tally.add(outcomes.NO_START, case, f"after {dict(where)}")
            return where
        if ending.kind == KILLED:
            where[f"fresh {point.place}" if fresh else point.place] += 1
        state = look(place, case, tally)
        if state is None:
            return where
        for outcome, found in judging.faults(state, before, reference.allowed, reference.together).items():
            for each in found:
                tally.add(outcome, case, each)
        before = state.stored
        if ending.kind == DONE:
            judge_finished(state, reference.finished[plates], case, tally)
            if plates > PLATES:
                return where
            plates += 1
            small_screen.add_plate(place.folder / "small_images", plates)
    ending, case = run_pcip(place, "run", spec), f"{place.folder.name}, the last run"
    if not tally.judge(case, ending, DONE):
        tally.add(outcomes.NO_START, case, f"after {dict(where)}")
    elif state := look(place, case, tally):
        judge_finished(state, reference.finished[plates], case, tally)
    return where


def look(place: Place, case: str, tally: Tally) -> State | None:
    """The state of a workspace; None, counted, if it cannot be opened or read."""
    try:
        return call(judging.look, place.data)
    except RuntimeError as error:
        tally.add(outcomes.NO_START, case, outcomes.last_lines(str(error)))
        return None


def judge_finished(state: State, expected: State, case: str, tally: Tally) -> None:
    """After a run that says that it succeeded: are all results there, as without a kill, and published?"""
    differing = sorted({*state.stored.items()} ^ {*expected.stored.items()})
    found = [f"{key} differs from an undisturbed run" for key in dict(differing)] + judging.unpublished(state)
    for each in found:
        tally.add(outcomes.SILENT, case, each)
