"""The published file is brought up to date with what has changed, and made again when it is damaged."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pytest

from pcip_core.errors import StoreError
from pcip_core.store.partitions import Store
from pcip_core.store.publish import connect, publish
from pcip_core.store.publishing import update
from pcip_core.store.publishing.books import Key
from pcip_core.store.publishing.snapshot import Snapshot
from pcip_core.store.publishing.spare import spare_of
from tests.core.store import small
from tests.core.store.small import ask, shards_of, whole_of


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter:
    """Which partitions publishing has read the rows of, without those that describe a whole screen."""
    seen: Counter = Counter()
    real = Snapshot.rows

    def counted(self: Snapshot, key: Key) -> pa.Table:
        seen.update([key] if key[2] else [])
        return real(self, key)

    monkeypatch.setattr(Snapshot, "rows", counted)
    return seen


# -- bringing it up to date -----------------------------------------------------------------------------


def test_only_changed_partitions_are_read(filled: Store, path: Path, reads: Counter) -> None:
    before = path.stat().st_ino
    assert not publish(filled, path).changed
    assert path.stat().st_ino == before
    assert not reads
    small.commit_features(filled, "scr", "plate_2", seed=1)
    result = publish(filled, path)
    assert (result.loaded, result.dropped, result.stale, result.rebuilt) == (1, 0, [], False)
    assert reads == {("scr", f"cell_features_{small.SET}", "plate_2"): 1}
    reads.clear()
    small.commit_plate(filled, "scr", "plate_10")
    assert publish(filled, path).loaded == 10
    assert {shard for _, _, shard in reads} == {"plate_10", "plate_2"}, "also what the spare lacks"
    assert reads.total() == 11
    assert shards_of(path) == {"plate_1": 15, "plate_10": 15, "plate_2": 15}


def test_incremental_equals_from_nothing(filled: Store, path: Path, tmp_path: Path) -> None:
    small.commit_plate(filled, "scr", "plate_3")
    publish(filled, path)
    small.commit_features(filled, "scr", "plate_1", seed=5)
    filled.remove("scr", "cells", "plate_2")
    filled.remove("scr", f"cell_features_{small.SET}", "plate_2")
    small.commit_whole(filled, "scr")
    publish(filled, path)
    publish(filled, tmp_path / "fresh.duckdb")
    assert whole_of(path) == whole_of(tmp_path / "fresh.duckdb")


def test_partitions_that_are_as_they_were_are_not_opened(
    filled: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.commit_features(filled, "scr", "plate_1", seed=3)
    publish(filled, path)  # the first that sees the files where they are now
    opened = []
    real = Snapshot.schema

    def schema(self: Snapshot, key: Key) -> pa.Schema:
        opened.append(key[1:])
        return real(self, key)

    monkeypatch.setattr(Snapshot, "schema", schema)
    assert not publish(filled, path).changed
    assert opened == []
    small.commit_features(filled, "scr", "plate_2", seed=4)
    assert publish(filled, path).loaded == 1
    assert opened == [(f"cell_features_{small.SET}", "plate_2")]


def test_a_removed_partition_goes(filled: Store, path: Path) -> None:
    for table in filled.tables("scr"):
        filled.remove("scr", table, "plate_1")
    assert publish(filled, path).dropped == 10
    for table in ("cells", "images", "fields", "quarantine", f"cell_features_{small.SET}"):
        assert list(shards_of(path, f"scr.{table}")) == ["plate_2"]
    assert ask(path, "SELECT n_images, n_cells FROM main.screens") == [(3, 15)]


def test_tables_and_screens_that_are_gone(filled: Store, path: Path) -> None:
    small.fill(filled, "other")
    publish(filled, path)
    for shard in ("plate_1", "plate_2"):
        for table in ("quarantine_fields", "quarantine_crops", f"cell_features_{small.SET}"):
            filled.remove("scr", table, shard)
    publish(filled, path)
    with pytest.raises(duckdb.CatalogException):
        ask(path, "FROM scr.quarantine")
    assert ask(path, "SELECT screen FROM main.feature_sets") == [("other",)]
    for table in filled.tables("scr"):
        for shard in filled.shards("scr", table) or [None]:
            filled.remove("scr", table, shard)
    assert publish(filled, path).dropped > 0
    assert ask(path, "SELECT DISTINCT schema_name FROM duckdb_tables() ORDER BY 1") == [("main",), ("other",)]
    assert ask(path, "SELECT screen FROM main.screens") == [("other",)]


def test_another_dimension(filled: Store, path: Path) -> None:
    """Until all shards are made again, the newest vectors are there and the others are named."""
    table = f"cell_features_{small.SET}"
    small.commit_features(filled, "scr", "plate_1", dim=12)
    result = publish(filled, path)
    assert result.stale == [f"scr.{table} plate_2"]
    assert f"left out until recomputed: scr.{table} plate_2" in str(result)
    assert shards_of(path, f"scr.{table}") == {"plate_1": 15}
    assert ask(path, "SELECT dim, n_cells FROM main.feature_sets") == [(12, 15)]
    small.commit_features(filled, "scr", "plate_2", dim=12)
    assert publish(filled, path).stale == []
    assert shards_of(path, f"scr.{table}") == {"plate_1": 15, "plate_2": 15}
    assert ask(path, f"SELECT DISTINCT typeof(features) FROM scr.{table}") == [("FLOAT[12]",)]


def test_vectors_that_were_left_out_come_back_when_the_newer_ones_go(filled: Store, path: Path) -> None:
    table = f"cell_features_{small.SET}"
    small.commit_features(filled, "scr", "plate_1", dim=12)
    publish(filled, path)
    filled.remove("scr", table, "plate_1")
    publish(filled, path)
    assert shards_of(path, f"scr.{table}") == {"plate_2": 15}
    assert ask(path, "SELECT dim FROM main.feature_sets") == [(small.DIM,)]


def test_a_whole_table_is_replaced_whole_also_when_its_rows_name_shards(filled: Store, path: Path) -> None:
    for count in (4, 3):
        filled.commit("scr", {"umap": pl.DataFrame({"shard": ["plate_1"] * count, "x": [0.0] * count})})
        publish(filled, path)
        assert ask(path, "SELECT shard, count(*) FROM scr.umap GROUP BY ALL") == [("plate_1", count)]
    assert "shard" not in str(ask(path, f"DESCRIBE scr.protein_features_{small.SET}"))


def test_a_new_column_and_another_type(filled: Store, path: Path) -> None:
    filled.commit("scr", {"notes": pl.DataFrame({"a": [1]})}, shard="p1")
    filled.commit("scr", {"notes": pl.DataFrame({"a": [2]})}, shard="p2")
    publish(filled, path)
    filled.commit("scr", {"notes": pl.DataFrame({"a": [2.5], "b": ["x"]})}, shard="p2")
    publish(filled, path)
    assert ask(path, "SELECT a, b, shard FROM scr.notes ORDER BY a") == [(1.0, None, "p1"), (2.5, "x", "p2")]


def test_the_count_of_cells_is_ours_whatever_the_users_table_says(filled: Store, path: Path) -> None:
    images = filled.read("scr", "images", shards=["plate_1"])
    claimed = images.with_columns(n_cells=pl.lit("many"))
    filled.commit("scr", {"images": claimed}, shard="plate_1")
    assert publish(filled, path).loaded == 1
    assert ask(path, "SELECT DISTINCT n_cells FROM scr.images") == [(small.CELLS,)]


def test_the_file_does_not_grow_with_each_publish(store: Store, path: Path) -> None:
    small.commit_plate(store, "scr", "plate_2", dim=2_000)
    small.commit_plate(store, "scr", "plate_1", dim=2_000)
    sizes = []
    for seed in range(6):
        small.commit_features(store, "scr", "plate_1", dim=2_000, seed=seed)
        publish(store, path)
        sizes.append(path.stat().st_size)
    assert sizes[-1] <= 1.5 * sizes[3]


# -- damage ---------------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_opened_is_made_again(filled: Store, path: Path) -> None:
    before = whole_of(path)
    whole = path.read_bytes()
    with duckdb.connect(str(path.with_name("foreign.duckdb"))) as con:
        con.execute("CREATE TABLE mine AS SELECT 1 AS a")
    foreign = path.with_name("foreign.duckdb").read_bytes()
    for content in (b"", b"garbage" * 1000, whole[:5000], whole[:100] + b"x" * 9000 + whole[9100:], foreign):
        path.write_bytes(content)
        assert publish(filled, path).rebuilt
        assert whole_of(path) == before


def fail_updates(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Have the first updates of a screen find a damaged file, and the one after them none."""
    real, outcomes = update.update_screen, iter([True] * times + [False])

    def damaged(*args: object) -> None:
        if next(outcomes):
            raise duckdb.IOException("Corrupt database file: computed checksum does not match")
        real(*args)

    monkeypatch.setattr(update, "update_screen", damaged)


def test_damage_behind_a_readable_bookkeeping_is_found_when_it_matters(
    filled: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_updates(monkeypatch, 1)
    small.commit_features(filled, "scr", "plate_1", seed=3)
    result = publish(filled, path)
    assert result.rebuilt
    assert shards_of(path, f"scr.cell_features_{small.SET}") == {"plate_1": 15, "plate_2": 15}


def test_a_file_and_its_spare_that_cannot_be_updated_are_made_again(
    filled: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The partitions that neither of them lacks are read too."""
    for seed in (3, 4):
        small.commit_features(filled, "scr", "plate_1", seed=seed)
        publish(filled, path)
    assert spare_of(path).is_file()
    fail_updates(monkeypatch, 2)
    small.commit_features(filled, "scr", "plate_1", seed=5)
    assert publish(filled, path).rebuilt
    before = whole_of(path)
    path.unlink()
    monkeypatch.undo()
    publish(filled, path)
    assert whole_of(path) == before


def test_a_link_to_the_published_file_stays_a_link(filled: Store, path: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    target = path.rename(tmp_path / "disk" / "published.duckdb")
    path.symlink_to(target)
    assert publish(filled, path).rebuilt  # without its digest, it may be somebody else's
    small.commit_features(filled, "scr", "plate_1", seed=3)
    assert publish(filled, path).loaded == 1
    assert path.readlink() == target
    assert not publish(filled, path).changed
    assert not publish(filled, target).changed


def test_what_cannot_be_opened_is_said(path: Path) -> None:
    with pytest.raises(StoreError, match=r"feature_store\.duckdb: found no such file.*Run a screen first"):
        connect(path)
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(StoreError, match=r"cannot open .*pcip publish --rebuild"):
        connect(path)


def test_a_damaged_partition_leaves_the_published_file_as_it_was(filled: Store, path: Path) -> None:
    before = path.read_bytes()
    small.commit_features(filled, "scr", "plate_1", seed=3)
    next((filled.root / "scr" / "cells").rglob("part.parquet")).write_bytes(b"garbage")
    with pytest.raises(
        StoreError, match=r"cells/shard=plate_.*part\.parquet: found a file that cannot be read"
    ):
        publish(filled, path)
    assert path.read_bytes() == before
    assert not list(path.parent.glob(".*.tmp*"))


def test_a_full_disk_is_said_with_what_is_not_published(filled: Store, path: Path) -> None:
    """The kernel refuses files of more than a megabyte, as a full disk would."""
    before = path.read_bytes()
    small.commit_features(filled, "scr", "plate_1", seed=3)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
    try:
        with pytest.raises(StoreError) as refused:
            publish(filled, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert re.search(
        rf"feature_store\.duckdb: found that it cannot be written \(.*\), so that "
        rf"scr\.cell_features_{small.SET} plate_1 in the store are not published; required: .*then: pcip publish$",
        str(refused.value),
    )
    assert path.read_bytes() == before
    assert not list(path.parent.glob(".*.tmp*"))
    assert publish(filled, path).loaded == 1


def test_what_a_killed_publisher_moved_out_of_memory_is_removed(filled: Store, path: Path) -> None:
    spilled = path.with_name(f".{path.name}.1234.tmp.tmp")
    spilled.mkdir()
    (spilled / "duckdb_temp_storage.tmp").write_bytes(b"x")
    assert not publish(filled, path).changed
    assert not spilled.exists()


def test_the_log_of_somebody_who_wrote_to_the_file_does_not_harm_the_next(filled: Store, path: Path) -> None:
    """A shell that was opened for writing and killed leaves a log that fits no other file."""
    shell = """
import duckdb, os, sys
con = duckdb.connect(sys.argv[1])
con.execute("CREATE TABLE mine (a INT)")
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", shell, str(path)], check=False, timeout=600)
    log = path.with_name(path.name + ".wal")
    assert log.is_file()
    small.commit_features(filled, "scr", "plate_1", seed=3)
    publish(filled, path)
    assert not log.exists()
    assert ask(path, "SELECT count(*) FROM scr.cells") == [(30,)]
