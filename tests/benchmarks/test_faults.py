"""The trials of `pcip bench faults` notice what they look for: each fault is made here by hand."""

from __future__ import annotations

import dataclasses
import json
import random
import sys
from pathlib import Path

import polars as pl
import pytest

from benchmarks.faults import crowds, judging, kills, processes, small_screen
from benchmarks.faults.judging import State
from benchmarks.faults.kill_points import Changes, KillPoint
from benchmarks.faults.tally import LOST, OUTCOMES, Tally, last_lines
from pcip_core.spec.loading import load_screen
from pcip_core.store.partitions import Store
from pcip_core.store.publish import publish

CELLS, IMAGES, SCORES = ("s", "cells", "a"), ("s", "images", "a"), ("s", "benchmarks", "")
WHOLE = State({CELLS: "1", IMAGES: "2", SCORES: "3"}, {CELLS: "x", IMAGES: "x", SCORES: "y"},
              {CELLS: "1", IMAGES: "2"}, {CELLS: "x", IMAGES: "x", SCORES: "y"})  # fmt: skip
ALLOWED = {key: {value} for key, value in WHOLE.stored.items()}


def found(state: State, before: dict[judging.Key, str] | None = None) -> dict[str, int]:
    faults = judging.faults(state, before or {}, ALLOWED, WHOLE.together())
    return {kind: len(each) for kind, each in faults.items() if each}


def test_a_whole_workspace_has_no_faults() -> None:
    assert found(WHOLE, WHOLE.stored) == {}
    assert judging.unpublished(WHOLE) == []


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"stored": {CELLS: "1", IMAGES: "2"}}, "lost"),
        ({"stored": {**WHOLE.stored, CELLS: "other"}}, "silent"),
        ({"published": {CELLS: "other"}}, "silent"),
        ({"commits": {CELLS: "x", IMAGES: "z"}}, "torn"),
        ({"commits": {CELLS: "x"}}, "torn"),
        ({"published_commits": {CELLS: "z", IMAGES: "x"}}, "torn"),
        ({"problems": ["a run is STARTED"]}, "unfinished"),
    ],
)
def test_each_fault_of_a_workspace_is_found(changes: dict[str, object], kind: str) -> None:
    state = dataclasses.replace(WHOLE, **changes)  # type: ignore[arg-type]
    before = {SCORES: "3"} if kind == "lost" else {CELLS: "1"} if "stored" not in changes else {}
    assert found(state, before) == {kind: 1}


def test_tables_may_stay_as_they_were() -> None:
    older = dataclasses.replace(WHOLE, stored={**WHOLE.stored, CELLS: "older"})
    assert found(older, {CELLS: "older"}) == {}


def test_what_is_not_published_is_found() -> None:
    assert len(judging.unpublished(dataclasses.replace(WHOLE, published_commits={}))) == 3
    assert len(judging.unpublished(dataclasses.replace(WHOLE, published={CELLS: "other"}))) == 1


def test_a_digest_depends_on_rows_and_not_on_their_order() -> None:
    frame = pl.DataFrame({"a": [1, 2], "b": ["x", None], "root": ["/1", "/1"]})
    assert judging.digest(frame) == judging.digest(frame[::-1].with_columns(root=pl.lit("/2")))
    assert judging.digest(frame) != judging.digest(frame.with_columns(a=pl.col("a") + 1))


# -- kill points ------------------------------------------------------------------------------------------


def test_changes_are_counted_by_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, scratch, killed = tmp_path / "data", tmp_path / "tmp", []
    changes = Changes(data, scratch, tmp_path / "note", KillPoint("store", 2, 0.25))
    monkeypatch.setattr(changes, "_kill", lambda text, delay_s: killed.append((text, delay_s)))
    for path in ("local.yaml", "dagster/x", "store/a", "feature_store.duckdb", "store/b"):
        changes._audit("os.rename", (str(data / path), "", -1, -1))
    changes._audit("open", (str(data / "store" / "read"), "r", 0))
    changes._audit("os.remove", (str(tmp_path / "elsewhere"), -1))
    changes._audit("os.mkdir", (str(scratch / "pcip_1"), 511, -1))
    assert changes.counts == {
        **{"settings": 1, "dagster": 1, "store": 2, "published file": 1, "new databases": 1}
    }
    assert killed == [(f"store: os.rename {data / 'store/b'}", 0.25)]
    changes.write_counts()
    assert json.loads((tmp_path / "note").read_text())["start"] == {"settings": 1, "dagster": 1}


def test_points_are_within_what_a_run_does() -> None:
    counts = {2: {"store": 10, "settings": 3}, 3: {"mlflow": 4}}
    reference = kills.Reference(counts, {"settings": 3}, {})
    rng = random.Random(0)
    for plates, place, most in ((2, "store", 10), (3, "mlflow", 4)):
        points = [reference.point(rng, plates, fresh=False) for _ in range(100)]
        assert {point.place for point in points} == {place}
        assert {point.number for point in points} == set(range(1, most + 1))
    assert {reference.point(rng, 2, fresh=True).place for _ in range(9)} == {"settings"}


# -- processes --------------------------------------------------------------------------------------------


def ending_of(code: str, monkeypatch: pytest.MonkeyPatch, **limits: float) -> str | None:
    for name, value in limits.items():
        monkeypatch.setattr(processes, name, value)
    process = processes._Popen([sys.executable, "-c", code])
    try:
        return processes._watch(process, 60, may_idle=False)[0]
    finally:
        process.kill()
        process.join()


def test_limits_of_time_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    idle = "import time; time.sleep(60)"
    assert ending_of(idle, monkeypatch, IDLE_S=0.3, IDLE_CPU_S=0.5) == processes.HUNG
    large = "x = bytearray(80 << 20); import time; time.sleep(60)"
    assert ending_of(large, monkeypatch, IDLE_S=30, MEMORY_MB=60) == processes.TOO_LARGE
    assert ending_of("pass", monkeypatch) is None


@pytest.mark.parametrize(
    ("code", "output", "kind"),
    [
        (0, "done", "done"),
        (1, "x: found y; required: z. Do this.", "refused"),
        (1, "No space left on device", "unclear"),
        (0, "Traceback (most recent call last):\n  File", "traceback"),
        (-11, "", "traceback"),
        (-9, "Traceback (most recent call last):", "killed"),
    ],
)
def test_kinds_of_endings(code: int, output: str, kind: str) -> None:
    assert processes._kind_of(code, output) == kind


def test_rows_count_and_examples_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    tally = Tally("trial", LOST, "hung")
    tally.add(LOST, "case 7", "a table is gone")
    rows = list(tally.rows(9))
    assert [(row.what, row.value, row.held) for row in rows] == [
        ("trial: results lost", 1, False),
        ("trial: hangs", 0, True),
    ]
    assert "trial, case 7: results lost: a table is gone" in capsys.readouterr().err
    assert set(tally.of) < set(OUTCOMES)
    assert last_lines("Traceback (most recent call last):\n  File\nError: x\nrest").endswith("\n    Error: x")


# -- screens and stores -----------------------------------------------------------------------------------


def test_a_plate_depends_on_its_number_alone(tmp_path: Path) -> None:
    first, second = (small_screen.write_screen(tmp_path / name, plates=n) for name, n in (("a", 3), ("b", 2)))
    small_screen.add_plate(tmp_path / "b" / "small_images", 3)
    assert load_screen(first).name == load_screen(second).name == "small"
    for file in (tmp_path / "a" / "small_images").rglob("*.*"):
        assert (tmp_path / "b" / file.relative_to(tmp_path / "a")).read_bytes() == file.read_bytes()


def test_a_lost_commit_is_found(tmp_path: Path) -> None:
    store, path = Store(tmp_path / "store"), tmp_path / "feature_store.duckdb"
    crowds._commit(store, 3, "shared")
    publish(store, path)
    assert list(crowds._lost(store, path, {(0, "shared"): 3})) == []
    (problem,) = crowds._lost(store, path, {(0, "shared"): 4})
    assert problem == "shared: committed [4], stored [3], published 3"
