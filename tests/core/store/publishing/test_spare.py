"""The former version of the published file is updated and published again, but only if nobody can notice."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import polars as pl
import pytest

from pcip_core.store.partitions import Store
from pcip_core.store.publish import publish
from pcip_core.store.publishing import spare as spares
from pcip_core.store.publishing.spare import spare_of
from pcip_core.store.vectors import feature_table
from tests.core.store import small
from tests.core.store.small import ask, shards_of, whole_of
from tests.core.store.writers import FORKSERVER, KILLED, publish_until

VECTORS = f"scr.cell_features_{small.SET}"
ROWS = f"SELECT cell_id, features, shard FROM {VECTORS} ORDER BY ALL"


def change(store: Store, seed: int, shard: str = "plate_1") -> None:
    """Replace the features of one plate."""
    small.commit_features(store, "scr", shard, seed=seed)


def published(store: Store, path: Path, seed: int) -> None:
    """Publish another change."""
    change(store, seed)
    assert not publish(store, path).rebuilt


@pytest.fixture
def twice(filled: Store, path: Path) -> Store:
    """A store that was published once more, so that there is a spare."""
    published(filled, path, 100)
    assert spare_of(path).is_file()
    return filled


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that publishing has copied."""
    seen: list[Path] = []
    real = spares.copy

    def counted(file: Path, to: Path) -> None:
        seen.append(file)
        real(file, to)

    monkeypatch.setattr("pcip_core.store.publish.copy", counted)
    return seen


# -- when it is used ------------------------------------------------------------------------------------


def test_the_files_take_turns(twice: Store, path: Path, copies: list[Path]) -> None:
    """A user who is not the superuser needs the right to write for that; the published file has none."""
    two = {path.stat().st_ino, spare_of(path).stat().st_ino}
    for seed in range(3):
        before = path.stat().st_ino
        published(twice, path, seed)
        assert path.stat().st_ino != before
        assert {path.stat().st_ino, spare_of(path).stat().st_ino} == two
        assert {file.stat().st_mode & 0o777 for file in (path, spare_of(path))} == {0o444}
    assert copies == []


def test_many_publications_equal_a_file_made_from_nothing(twice: Store, path: Path, tmp_path: Path) -> None:
    """Plates come, change and go, and with them columns, lengths of vectors and a screen."""
    steps: list[Callable[[], object]] = [
        lambda: (small.commit_plate(twice, "scr", "plate_3"), small.commit_plate(twice, "other", "plate_1")),
        lambda: [twice.remove("scr", table, "plate_1") for table in twice.tables("scr")],
        lambda: (
            change(twice, 2, "plate_2"),
            twice.commit("scr", {"notes": pl.DataFrame({"a": [1]})}, shard="p"),
        ),
        lambda: (
            shutil.rmtree(twice.root / "other"),
            [small.commit_features(twice, "scr", plate, dim=12) for plate in ("plate_2", "plate_3")],
        ),
        lambda: (small.commit_plate(twice, "scr", "plate_1", dim=12), small.commit_whole(twice, "scr")),
        lambda: twice.commit("scr", {"notes": pl.DataFrame({"a": ["y"], "b": [1.5]})}, shard="p"),
    ]
    for step in steps:
        step()
        assert not publish(twice, path).rebuilt
    publish(twice, tmp_path / "fresh.duckdb")
    assert whole_of(path) == whole_of(tmp_path / "fresh.duckdb")


def test_written_bytes_grow_with_the_change_and_not_with_the_store(tmp_path: Path) -> None:
    written = {}
    for shards in (2, 8):
        store, path = Store(tmp_path / f"store_{shards}"), tmp_path / f"{shards}.duckdb"
        for shard in range(shards):
            commit_vectors(store, shard, 0)
        publish(store, path)
        for seed in (1, 2):
            commit_vectors(store, 0, seed)
            publish(store, path)
        commit_vectors(store, 1, 3)
        before = bytes_written()
        publish(store, path)
        written[shards] = bytes_written() - before
        assert path.stat().st_size > 1.5e6 * shards
    assert written[8] < 1.1 * written[2]


def commit_vectors(store: Store, shard: int, seed: int) -> None:
    """A megabyte and a half of features."""
    n = 1_000
    ids = {
        "cell_id": [f"{shard}_{cell}" for cell in range(n)],
        "image_id": ["i"] * n,
        "encoder_version": ["v"] * n,
    }
    vectors = np.random.default_rng([shard, seed]).normal(size=(n, 384)).astype(np.float32)
    store.commit("scr", {"cell_features_x": feature_table(ids, vectors)}, shard=f"plate_{shard}")


def bytes_written() -> int:
    """What this process has written to files."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["wchar"])


# -- when it is not -------------------------------------------------------------------------------------


class Reader(NamedTuple):
    """A reader of the version that was published when it began."""

    rows: list[tuple]
    ask: Callable[[], list[tuple]]


def test_readers_of_any_version_see_unchanged_rows(twice: Store, path: Path) -> None:
    """Of one process that has lost its lock, by closing another descriptor of the file, and of this process."""
    script = """
import sys, duckdb
con = duckdb.connect(sys.argv[1], read_only=True)
open(sys.argv[1], "rb").close()
con.execute("SET memory_limit = '20MB'")
for line in sys.stdin:
    print(con.execute(sys.argv[2]).fetchall(), flush=True)
"""
    arguments = [sys.executable, "-c", script, str(path), ROWS]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin
        assert other.stdout

        def asked() -> str:
            print(file=other.stdin, flush=True)
            return other.stdout.readline().strip()

        first, wanted = asked(), str(ask(path, ROWS))
        readers = []
        for seed in range(3):
            con = duckdb.connect(str(path), read_only=True)
            readers.append((con, con.execute(ROWS).fetchall()))
            published(twice, path, seed)
            assert asked() == first == wanted
            assert all(con.execute(ROWS).fetchall() == rows for con, rows in readers)
            for opened, _ in readers[:-1]:
                opened.close()  # DuckDB gives a process that has a file open that file again
            del readers[:-1]
        readers[-1][0].close()
        other.kill()


def test_a_spare_that_is_open_or_has_another_name_is_left_alone(
    twice: Store, path: Path, tmp_path: Path, copies: list[Path]
) -> None:
    for number in range(2):
        with spare_of(path).open("rb") as file:
            before = file.read()
            if number:  # a backup by hard links
                os.link(spare_of(path), tmp_path / "backup")
                file.close()
            published(twice, path, number)
            assert (tmp_path / "backup").read_bytes() == before if number else file.seek(0) == 0
            assert number or file.read() == before
        assert len(copies) == number + 1
    published(twice, path, 9)
    assert len(copies) == 2
    publish(twice, tmp_path / "fresh.duckdb")
    assert whole_of(path) == whole_of(tmp_path / "fresh.duckdb")


@pytest.mark.parametrize("of_what", ["rows", "content", "header"])
def test_a_spare_that_is_not_as_published_is_not_used(
    twice: Store, path: Path, copies: list[Path], of_what: str
) -> None:
    spare = spare_of(path)
    spare.chmod(0o644)
    if of_what == "rows":
        with duckdb.connect(str(spare)) as con:
            con.execute(f"UPDATE {VECTORS} SET cell_id = 'mine'")
    else:
        whole = spare.read_bytes()
        start = 3 * 4096 if of_what == "content" else 0
        spare.write_bytes(whole[:start] + b"x" * (len(whole) - start))
    published(twice, path, 1)
    assert copies == [path]
    assert shards_of(path, VECTORS) == {"plate_1": 15, "plate_2": 15}


def test_a_file_that_another_program_wrote_to_is_no_spare(twice: Store, path: Path) -> None:
    path.chmod(0o644)
    with duckdb.connect(str(path)) as con:
        con.execute("DELETE FROM scr.cells")
    assert publish(twice, path).rebuilt
    assert not spare_of(path).exists()


@pytest.mark.parametrize("lacking", ["room", "links", "leases", "one machine"])
def test_no_spare_is_kept_where_it_is_of_no_use(
    filled: Store, path: Path, monkeypatch: pytest.MonkeyPatch, copies: list[Path], lacking: str
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError

    if lacking == "room":
        usage = shutil.disk_usage(path)._replace(free=path.stat().st_size // 2)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    elif lacking == "links":
        monkeypatch.setattr(os, "link", refused)
    elif lacking == "one machine":
        monkeypatch.setattr("pcip_core.store.publishing.spare.shared_by_machines", lambda _: "nfs4")
    else:
        monkeypatch.setattr("fcntl.fcntl", refused)
    for seed in range(2):
        published(filled, path, seed)
        assert not spare_of(path).exists()
    assert copies == [path, path]


def test_a_publisher_that_is_killed_at_any_step_leaves_the_old_file_or_the_new(
    twice: Store, path: Path, tmp_path: Path
) -> None:
    table = f"cell_features_{small.SET}"
    vectors = f"SELECT features FROM scr.{table} WHERE shard = 'plate_1' ORDER BY cell_id"
    old = ask(path, vectors)
    for steps in range(40):
        change(twice, steps)
        new = [tuple(row) for row in twice.read("scr", table, shards=["plate_1"]).select("features").rows()]
        process = FORKSERVER.Process(target=publish_until, args=(twice.root, path, steps))
        process.start()
        process.join(600)
        shown = ask(path, vectors)
        assert shown in (old, [(tuple(row),) for (row,) in new])
        old = shown
        if process.exitcode != KILLED:
            break
    assert process.exitcode == 0
    assert steps >= 8
    published(twice, path, 1_000)
    assert spare_of(path).stat().st_nlink == 1
    assert not list(path.parent.glob(".*.tmp*"))
    publish(twice, tmp_path / "fresh.duckdb")
    assert whole_of(path) == whole_of(tmp_path / "fresh.duckdb")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has leases")
def test_who_opens_the_file_during_the_check_does_not_end_the_publisher(
    filled: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, opened = fcntl.fcntl, []

    def fcntl_then_open(descriptor: int, command: int, value: int) -> int:
        result = real(descriptor, command, value)
        if (command, value) == (fcntl.F_SETLEASE, fcntl.F_WRLCK):
            code = "import os, sys; os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK)"
            file = Path(f"/proc/self/fd/{descriptor}").readlink()
            other = subprocess.run([sys.executable, "-c", code, file], capture_output=True, check=False)
            opened.append(b"BlockingIOError" in other.stderr)
        return result

    monkeypatch.setattr(fcntl, "fcntl", fcntl_then_open)
    small.commit_features(filled, "scr", "plate_1", seed=3)
    assert publish(filled, path).loaded == 1
    assert opened == [True]  # it would have had to wait, and this process got a signal
