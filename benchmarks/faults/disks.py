"""Disks that are full at some moment of a run, and disks that cannot be written."""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.common.harness import Row
from benchmarks.faults import small_screen
from benchmarks.faults import tally as outcomes
from benchmarks.faults.kills import PLATES, Reference, judge_finished, look
from benchmarks.faults.processes import (
    DONE,
    HUNG,
    REFUSED,
    TOO_LARGE,
    TRACED,
    UNCLEAR,
    Place,
    run_pcip,
)
from benchmarks.faults.tally import Tally

FULL = 40  # disks: half of them from the beginning, half of them when a plate is added
_NEEDED_KB = 6_000  # of the small screen, at most
_ADDED_KB = 2_500  # of one more plate
_ROOM = "1g"
_OUTCOMES = (
    *(outcomes.LOST, outcomes.SILENT, outcomes.UNFINISHED, TRACED, UNCLEAR, HUNG, TOO_LARGE),
    outcomes.NO_START,
)  # fmt: skip


def trial(folder: Path, reference: Reference, share: float, seed: int) -> Iterator[Row]:
    """Full disks, then disks that cannot be written."""
    yield from full(folder / "full", reference, share, seed)
    yield from read_only(folder / "read_only", reference)


def full(folder: Path, reference: Reference, share: float, seed: int) -> Iterator[Row]:
    """A small disk fills up during a run; with more room, the next run must finish the work."""
    tally, cases = Tally("full disks", *_OUTCOMES), max(2, round(FULL * share / 2))
    can_mount = _can_mount(folder)

    def one(number: int) -> int:
        part = (number + random.Random(f"{seed} {number}").random()) / cases  # of the room that is needed
        place = Place(folder / f"disk_{number}")
        place.data.mkdir(parents=True)
        spec = small_screen.write_screen(place.folder, plates=PLATES)
        with _mounted(place.data) if can_mount else contextlib.nullcontext():
            failed = _fill(place, spec, reference, PLATES, int(_NEEDED_KB * part), tally, can_mount=can_mount)
            small_screen.add_plate(place.folder / "small_images", PLATES + 1)
            used = sum(file.stat().st_blocks for file in place.data.rglob("*") if file.is_file()) // 2
            size = int(_ADDED_KB * part) + (used if can_mount else 0)
            failed += _fill(place, spec, reference, PLATES + 1, size, tally, can_mount=can_mount)
        shutil.rmtree(place.folder)
        return failed

    failed = sum(one(number) for number in range(cases))
    how = (
        "a disk of 20 kB to 6 MB" if can_mount else "files of limited size, because only root can mount disks"
    )
    yield Row(
        f"full disks ({how}): runs that failed, of all", failed, n=2 * cases, aim="> 0", held=failed > 0
    )
    yield from tally.rows(2 * cases)


def _fill(
    place: Place,
    spec: Path,
    reference: Reference,
    plates: int,
    size_kb: int,
    tally: Tally,
    *,
    can_mount: bool,
) -> int:
    """Run with little room, then with enough; whether the first run failed."""
    case = f"{place.folder.name} of {size_kb} kB, {plates} plates"
    if can_mount:
        _mount("-o", f"remount,size={max(20, size_kb)}k", place.data)
        ending = run_pcip(place, "run", spec)
        _mount("-o", f"remount,size={_ROOM}", place.data)
    else:
        ending = run_pcip(place, "run", spec, file_limit_kb=max(20, size_kb // 10))
    tally.judge(case, ending, DONE, REFUSED)
    expected = reference.finished[plates]
    if ending.kind == DONE and (state := look(place, case, tally)):
        judge_finished(state, expected, case, tally)
    again = run_pcip(place, "run", spec)
    if not tally.judge(f"{case}, again", again, DONE):
        tally.add(outcomes.NO_START, case, again.kind)
    elif state := look(place, case, tally):
        judge_finished(state, expected, f"{case}, again", tally)
        for problem in state.problems:
            tally.add(outcomes.UNFINISHED, case, problem)
    return int(ending.kind != DONE)


def read_only(folder: Path, reference: Reference) -> Iterator[Row]:
    """Commands in a workspace that cannot be written, empty and finished; then it can be written again."""
    tally, place = Tally("read-only disks", *_OUTCOMES), Place(folder)
    place.data.mkdir(parents=True)
    spec = small_screen.write_screen(place.folder, plates=PLATES)
    can_mount, n = _can_mount(folder), 0
    with _mounted(place.data) if can_mount else contextlib.nullcontext():
        for moment in ("empty", "finished"):
            _set_writable(place.data, can_mount=can_mount, writable=False)
            commands = [("check", spec), ("run", spec), ("like", "small", "P0")]
            for command in commands if moment == "finished" else commands[:2]:
                ending = run_pcip(place, *command)
                tally.judge(f"{moment}, {command[0]}", ending, DONE, REFUSED)
                if command[0] == "run" and moment == "empty" and ending.kind == DONE:
                    tally.add(outcomes.SILENT, moment, "a run succeeded where nothing can be written")
                n += 1
            _set_writable(place.data, can_mount=can_mount, writable=True)
            if not tally.judge(f"{moment}, writable again", run_pcip(place, "run", spec), DONE):
                tally.add(outcomes.NO_START, moment, "")
            elif state := look(place, moment, tally):
                judge_finished(state, reference.finished[PLATES], moment, tally)
    yield from tally.rows(n)


def _mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True, capture_output=True)


@contextlib.contextmanager
def _mounted(folder: Path) -> Iterator[None]:
    """A disk in memory, in place of a folder."""
    _mount("-t", "tmpfs", "-o", f"size={_ROOM}", "pcip", folder)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


def _can_mount(folder: Path) -> bool:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _mounted(folder):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def _set_writable(folder: Path, *, can_mount: bool, writable: bool) -> None:
    if can_mount:
        _mount("-o", f"remount,{'rw' if writable else 'ro'}", folder)
        return
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200 if writable else path.stat().st_mode & ~0o222)
