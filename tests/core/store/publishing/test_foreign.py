"""Other programs that write to the published file are noticed, named, and undone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from pcip_core.store.partitions import Store
from pcip_core.store.publish import publish
from tests.core.store import small
from tests.core.store.small import ask, shards_of, whole_of


def test_the_file_is_published_read_only(filled: Store, path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o444
    small.commit_features(filled, "scr", "plate_1", seed=3)
    assert publish(filled, path).changed
    assert path.stat().st_mode & 0o777 == 0o444


def test_who_may_not_read_the_users_files_may_not_read_the_published_one(filled: Store, path: Path) -> None:
    path.unlink()
    before = os.umask(0o077)
    try:
        publish(filled, path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o400


@pytest.mark.parametrize("commits", [False, True])
def test_rows_that_somebody_deleted_come_back(filled: Store, path: Path, *, commits: bool) -> None:
    before = whole_of(path)
    path.chmod(0o644)
    with duckdb.connect(str(path)) as con:
        con.execute("DELETE FROM scr.cells WHERE shard = 'plate_2'")
    assert shards_of(path) == {"plate_1": 15}
    if commits:
        small.commit_features(filled, "scr", "plate_1", seed=3)
    result = publish(filled, path)
    assert result.rebuilt
    assert "feature_store.duckdb: found a file that another program" in str(result.warning)
    assert "duckdb -readonly" in str(result.warning)
    assert shards_of(path) == {"plate_1": 15, "plate_2": 15}
    assert commits or whole_of(path) == before
    assert publish(filled, path).warning is None


def test_what_is_only_in_the_log_of_another_program_is_undone(filled: Store, path: Path) -> None:
    """A shell that was killed leaves a log, which every reader would apply."""
    path.chmod(0o644)
    shell = """
import duckdb, os, sys
con = duckdb.connect(sys.argv[1])
con.execute("DELETE FROM scr.cells")
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", shell, str(path)], check=False, timeout=600)
    assert shards_of(path) == {}
    assert "feature_store.duckdb.wal" in str(publish(filled, path).warning)
    assert shards_of(path) == {"plate_1": 15, "plate_2": 15}


def test_a_program_that_holds_the_file_for_writing_is_named_and_loses_nothing_of_ours(
    filled: Store, path: Path
) -> None:
    path.chmod(0o644)
    script = """
import duckdb, sys
con = duckdb.connect(sys.argv[1])
print(flush=True)
for line in sys.stdin:
    con.execute("DELETE FROM scr.cells")
    con.close()
"""
    arguments = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdin
        holder.stdout.readline()
        small.commit_plate(filled, "scr", "plate_3")
        result = publish(filled, path)
        assert result.rebuilt
        assert f"open for writing: {os.path.realpath(sys.executable)} (PID {holder.pid})" in str(
            result.warning
        )
        holder.stdin.write("delete\n")
        holder.stdin.close()
        holder.wait(60)
    assert shards_of(path) == {"plate_1": 15, "plate_2": 15, "plate_3": 15}
    assert not publish(filled, path).changed


def test_a_copied_or_touched_workspace_is_nobodys_writing(filled: Store, path: Path, tmp_path: Path) -> None:
    os.utime(path, (1, 1))
    assert not publish(filled, path).changed
    copied = tmp_path / "copied"
    shutil.copytree(
        path.parent, copied, ignore=shutil.ignore_patterns("copied"), copy_function=shutil.copyfile
    )
    result = publish(Store(copied / "store"), copied / path.name)
    assert (result.changed, result.warning) == (False, None)


def test_a_publisher_killed_before_it_replaces_the_file_blames_nobody(
    filled: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(self: Path, target: Path) -> Path:
        if target == path:
            raise Killed
        return real(self, target)

    real = Path.replace
    small.commit_features(filled, "scr", "plate_1", seed=3)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(Killed):
            publish(filled, path)
    result = publish(filled, path)
    assert (result.loaded, result.rebuilt, result.warning) == (1, False, None)


def test_rebuild_on_request(filled: Store, path: Path) -> None:
    before = whole_of(path)
    with duckdb.connect(str(path.with_name("other.duckdb"))) as con:
        con.execute("CREATE TABLE mine AS SELECT 1 AS a")
    result = publish(filled, path, rebuild=True)
    assert (result.rebuilt, result.dropped, result.warning) == (True, 0, None)
    assert whole_of(path) == before
    assert ask(path, "SELECT count(*) FROM main.published") == [(result.loaded,)]
