"""Temporary folders are removed, also those of killed processes, and no others."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from pcip_core.locks import locked, temporary_folder


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files lie."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_temporary_folder_is_empty_and_is_removed_at_the_end(folder: Path) -> None:
    with temporary_folder() as files:
        assert list(files.iterdir()) == []
        (files / "weights").touch()
    assert list(folder.iterdir()) == []


def test_what_killed_processes_left_is_removed_and_nothing_else(folder: Path) -> None:
    with temporary_folder() as files:
        living = files.parent
        others = [folder / name for name in ("pcip_files_dead", "pcip_files_new", "pcip_data", "someone")]
        for other in others:
            other.mkdir()
            (other / "owner").touch()
        for other in (*others, living):
            if "new" not in other.name:
                os.utime(other, (0, 0))
        with temporary_folder():
            pass
        assert {path.name for path in folder.iterdir()} == {
            living.name,
            "pcip_files_new",
            "pcip_data",
            "someone",
        }
        with pytest.raises(BlockingIOError), locked(living / "owner", wait=False):
            pass


def test_a_link_and_a_folder_of_another_user_are_left_alone(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / "pcip_files_link").symlink_to(elsewhere)
    left = [folder / "pcip_files_link"]
    if os.geteuid() == 0:
        left.append(folder / "pcip_files_other")
        left[-1].mkdir()
        os.chown(left[-1], 1, 1)
    for path in (elsewhere, *left):
        os.utime(path, (0, 0), follow_symlinks=False)
    with temporary_folder():
        pass
    assert all(path.is_dir() for path in left)
    assert not any(elsewhere.iterdir())  # not even a lock


def test_a_group_that_shares_a_folder_shares_its_locks(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        with locked(tmp_path / "lock"):
            pass
    finally:
        os.umask(before)
    assert oct((tmp_path / "lock").stat().st_mode & 0o777) == "0o664"
