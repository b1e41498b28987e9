"""Several machines share the folder of a store: nothing rests on their clocks, nor on names that they remember.

PCIP_SHARED_FOLDERS names two mounts of one folder of a server, separated by ":". Without it, both are one local folder,
which shows that the trial works, and nothing about the server.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from pcip_core import locks
from pcip_core.locks import locked, owned, sweep
from pcip_core.store.partitions import Store
from tests.core.store.writers import commit_version


def test_two_machines_add_plates_at_once(tmp_path: Path) -> None:
    mounts = os.environ.get("PCIP_SHARED_FOLDERS", f"{tmp_path}:{tmp_path}").split(":")
    name = uuid.uuid4().hex
    command = [sys.executable, "-m", "benchmarks.faults.shared_folder"]
    machines = [
        subprocess.Popen(
            [*command, f"{mount}/{name}", *names, "4"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for mount, names in zip(mounts, (("a", "b"), ("b", "a")), strict=True)
    ]
    try:
        for machine, said in [(machine, machine.communicate(timeout=900)[0]) for machine in machines]:
            assert machine.returncode == 0, said
            assert "partitions torn: 0; plates late: 0; plates not published: 0" in said
        store = Store(Path(mounts[0]) / name)
        shards = store.shards("shared_screen", "notes")
        assert {f"{each}_{number}" for each in "ab" for number in range(4)} < set(shards)
        commit_version(store, 1)
        assert not list((Path(mounts[0]) / name / "scr" / ".staging").iterdir())
    finally:
        for machine in machines:
            machine.kill()
        shutil.rmtree(Path(mounts[0]) / name, ignore_errors=True)


@pytest.mark.parametrize("ahead_s", [-7200.0, 7200.0])
def test_a_clock_that_is_wrong_sweeps_nothing_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead_s: float
) -> None:
    """A new folder, whose owner is about to lock it, and one whose owner died long ago."""
    for name in ("new", "dead"):
        (tmp_path / name).mkdir()
    os.utime(tmp_path / "dead", (0, 0))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + ahead_s)
    sweep(tmp_path.glob("*"))
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_file_that_stays_while_it_is_open_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS keeps the name of an open file as .nfs..., so that its folder cannot be removed until it is closed."""
    real, kept = shutil.rmtree, []

    def as_nfs(folder: Path, *, ignore_errors: bool) -> None:
        open_files = {os.path.realpath(number) for number in Path("/proc/self/fd").iterdir()}
        if str(folder / "owner") in open_files:
            kept.append(folder)
        else:
            real(folder, ignore_errors=ignore_errors)

    monkeypatch.setattr(locks.shutil, "rmtree", as_nfs)
    store = Store(tmp_path)
    commit_version(store, 1)
    with store.scratch("scr"), pytest.raises(ValueError, match="x"), owned(tmp_path / "failed"):
        raise ValueError("x")
    dead = tmp_path / "scr" / ".staging" / "dead"
    dead.mkdir()
    os.utime(dead, (0, 0))
    commit_version(store, 2)
    assert len(kept) >= 3
    assert not (tmp_path / "failed").exists()
    assert not list((tmp_path / "scr" / ".staging").iterdir())


def test_a_folder_is_looked_up_anew_after_the_lock_and_before_each_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening a folder makes a client of NFS ask the server; all that is looked up must be in one that was opened."""
    store, opened = Store(tmp_path), []
    commit_version(store, 1)
    monkeypatch.setattr(locks.os, "open", _noting(os.open, opened))
    with locked(tmp_path / "scr" / ".lock"):
        assert opened[-1] == str(tmp_path / "scr")
    opened.clear()
    store.read_with_array("scr", "notes", "crops", "s")
    places = {str(tmp_path / "scr" / each) for each in ("", "notes", "notes/shard=s")}
    assert places <= set(opened)
    opened.clear()
    with store.frozen("scr") as parts:
        assert len(parts) == 2
    assert {str(tmp_path / "scr" / table / "shard=s") for table in ("notes", "others")} <= set(opened)


def _noting(real, opened: list[str]):
    def noted(path, *arguments, **options):
        opened.append(str(path))
        return real(path, *arguments, **options)

    return noted
