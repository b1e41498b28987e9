"""Publishing while others read, publish and die."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from pcip_core.errors import StoreError
from pcip_core.locks import locked
from pcip_core.store.partitions import Store
from pcip_core.store.publish import connect, publish
from pcip_core.store.vectors import features_of
from tests.core.store import small
from tests.core.store.small import ask, shards_of, whole_of
from tests.core.store.writers import FORKSERVER, publish_once

# -- others at work ---------------------------------------------------------------------------------------


@pytest.fixture
def reader(filled: Store, path: Path) -> Iterator[subprocess.Popen]:
    """Another process that has the published file open, and counts plates each time it is asked."""
    script = """
import sys, duckdb
con = duckdb.connect(sys.argv[1], read_only=True)
for how in sys.stdin:
    if how == "reopen\\n":
        con.close()
        con = duckdb.connect(sys.argv[1], read_only=True)
    print(con.execute("SELECT count(DISTINCT shard), count(*), count(features) FROM scr.cells JOIN "
                      "scr.cell_features_inpainting_conv4 USING (cell_id, shard)").fetchone(), flush=True)
"""
    arguments = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def told(reader: subprocess.Popen, how: str = "again") -> str:
    reader.stdin.write(how + "\n")
    reader.stdin.flush()
    return reader.stdout.readline().strip()


def test_an_open_reader_does_not_stop_a_publish_nor_a_publish_the_reader(
    filled: Store, path: Path, reader: subprocess.Popen
) -> None:
    assert told(reader) == "(2, 30, 30)"
    for plate in ("plate_3", "plate_4"):
        small.commit_plate(filled, "scr", plate)
        assert not publish(filled, path).rebuilt
        assert told(reader) == "(2, 30, 30)"
    assert told(reader, "reopen") == "(4, 60, 60)"


def test_a_reader_in_the_same_process_does_not_mislead_a_publish(filled: Store, path: Path) -> None:
    """DuckDB would give it the file that the reader has open, not the one that is published now."""
    plain = duckdb.connect(str(path), read_only=True)  # and with other settings than ours
    small.commit_plate(filled, "scr", "plate_3")
    assert not publish(filled, path).rebuilt
    for table in filled.tables("scr"):
        filled.remove("scr", table, "plate_3")
    assert publish(filled, path).dropped == 10
    assert plain.execute("SELECT count(*) FROM scr.cells").fetchone() == (30,)
    plain.close()
    assert shards_of(path) == {"plate_1": 15, "plate_2": 15}


def test_a_publication_opens_the_file_under_another_name(
    filled: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise another thread of the process could not open it meanwhile: DuckDB wants equal settings per name."""
    opened: list[str] = []

    def recorded(file: str = ":memory:", **settings: Any) -> duckdb.DuckDBPyConnection:
        opened.append(str(file))
        return original(file, **settings)

    original = duckdb.connect
    monkeypatch.setattr(duckdb, "connect", recorded)
    small.commit_plate(filled, "scr", "plate_3")
    assert not publish(filled, path).rebuilt
    path.with_suffix(".digest").unlink()  # as after a copy without it
    assert publish(filled, path).rebuilt
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    assert publish(filled, path).rebuilt
    assert len(opened) > 6
    assert str(path) not in opened


def test_a_connection_with_other_settings_in_the_same_process_is_named(filled: Store, path: Path) -> None:
    with (
        duckdb.connect(str(path), read_only=True),
        pytest.raises(StoreError, match=r"open with other settings.*con\.close\(\)"),
    ):
        connect(path)
    with connect(path) as con:
        assert con.execute("SELECT count(*) FROM scr.cells").fetchone() == (30,)


def test_publishers_queue(filled: Store, path: Path) -> None:
    small.commit_plate(filled, "scr", "plate_3")
    publishers = [FORKSERVER.Process(target=publish_once, args=(filled.root, path)) for _ in range(2)]
    with locked(path.with_suffix(".lock")):
        for process in publishers:
            process.start()
        time.sleep(1.0)
        assert all(process.is_alive() for process in publishers)
        assert shards_of(path) == {"plate_1": 15, "plate_2": 15}
    for process in publishers:
        process.join(600)
        assert process.exitcode == 0
    assert list(shards_of(path)) == ["plate_1", "plate_2", "plate_3"]


def test_a_publisher_that_is_killed_leaves_the_old_file(filled: Store, path: Path) -> None:
    """Killed at earlier and earlier moments of the writing: the last as soon as its unfinished file is there.

    That is tried again where the publisher was quicker than this process, and had finished its file.
    """
    for number in range(40):
        if number > 8 and list(path.parent.glob(".*.tmp*")):
            break
        for file in path.parent.glob(".*.tmp*"):
            file.unlink()
        small.commit_features(filled, "scr", "plate_1", seed=100 + number)
        process = FORKSERVER.Process(target=publish_once, args=(filled.root, path))
        process.start()
        while process.is_alive() and not list(path.parent.glob(".*.tmp*")):
            time.sleep(0.001)
        time.sleep(0.01 * max(8 - number, 0))
        process.kill()
        process.join()
        wanted = features_of(filled.read("scr", f"cell_features_{small.SET}", shards=["plate_1"]))
        found = np.array([row for (row,) in ask(path, f"SELECT features FROM scr.cell_features_{small.SET} "
                                                "WHERE shard = 'plate_1' ORDER BY cell_id")])  # fmt: skip
        assert found.shape == wanted.shape
        if process.exitcode == 0:
            assert np.array_equal(found.astype(np.float32), wanted)
    assert list(path.parent.glob(".*.tmp*"))
    publish(filled, path)
    assert not list(path.parent.glob(".*.tmp*"))
    fresh = path.with_name("fresh.duckdb")
    publish(filled, fresh)
    assert whole_of(path) == whole_of(fresh)


def test_nothing_is_left_beside_the_file(filled: Store, path: Path) -> None:
    kept = {"feature_store.duckdb", "feature_store.digest", "feature_store.lock", "store"}
    assert {file.name for file in path.parent.iterdir()} == kept
    assert re.fullmatch(
        r"\d+ partitions loaded, 0 dropped", str(publish(filled, path.with_name("second.duckdb")))
    )
