"""Partitions come back as they were committed, and damage is named."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from pcip_core import locks
from pcip_core.errors import CropError, StoreError
from pcip_core.files import natural_key
from pcip_core.store.partitions import Store
from tests.core.store.small import files_of
from tests.core.store.writers import (
    commit_version,
    version_of,
)

WEIRD = ("plate 1", "a/b", "..", "../../out", ".", "shard=x", "Zellkern_ß_λ", "50%", "a\\b", "*", "²", "\n")


# -- what goes in comes out ---------------------------------------------------------------------------


def test_round_trip_of_every_kind_of_column(store: Store) -> None:
    table = pl.DataFrame(
        {
            "text": ["a", None, "ü"],
            "terms": pl.Series([["x", "y"], [], None], dtype=pl.List(pl.String)),
            "small": pl.Series([1, 2, 3], dtype=pl.Int32),
            "features": pl.Series(np.arange(6, dtype=np.float32).reshape(3, 2)),
        }
    )
    pixels = np.random.default_rng(0).integers(0, 255, (3, 2, 4, 4)).astype(np.uint8)
    store.commit("scr", {"notes": table}, shard="p1", arrays={"crops": pixels})
    assert store.read("scr", "notes").equals(table)
    assert store.read("scr", "notes", columns=["features"]).equals(table.select(["features"]))
    rows, crops = store.read_with_array("scr", "notes", "crops", "p1")
    assert rows.equals(table)
    assert np.array_equal(crops, pixels)
    assert crops.dtype == np.uint8
    assert isinstance(crops, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        crops[0] = 0


def test_what_is_there(store: Store) -> None:
    assert store.screens() == []
    assert store.shards("scr", "notes") == []
    assert store.provenance("scr", "notes", "p1") is None
    store.commit("scr", {"notes": pl.DataFrame({"a": [1]})}, shard="p1")
    store.commit("scr", {"scores": pl.DataFrame({"a": [1]})})
    store.commit("other", {"notes": pl.DataFrame({"a": [1]})}, shard="p1")
    assert store.screens() == ["other", "scr"]
    assert store.tables("scr") == ["notes", "scores"]
    assert store.shards("scr", "notes") == ["p1"]
    assert store.shards("scr", "scores") == []
    assert store.has("scr", "notes", "p1")
    assert store.has("scr", "scores")
    assert not store.has("scr", "notes")
    assert not store.has("scr", "notes", "p2")


def test_an_empty_shard_is_a_shard(store: Store) -> None:
    empty = pl.DataFrame({"a": pl.Series([], dtype=pl.Int64)})
    store.commit("scr", {"notes": empty}, shard="p1", arrays={"crops": np.empty((0, 2, 4, 4), np.uint8)})
    rows, crops = store.read_with_array("scr", "notes", "crops", "p1")
    assert rows.height == 0
    assert crops.shape == (0, 2, 4, 4)


def test_shards_are_in_natural_order_whatever_the_order_of_writing(store: Store) -> None:
    wanted = ["2", "10", "plate_1", "plate_2", "plate_2b", "plate_10", "²"]
    for shard in random.Random(0).sample(wanted, len(wanted)):
        store.commit("scr", {"notes": pl.DataFrame({"shard": [shard]})}, shard=shard)
    assert store.shards("scr", "notes") == wanted
    assert store.read("scr", "notes")["shard"].to_list() == wanted
    assert store.read("scr", "notes", shards=["plate_10", "2"])["shard"].to_list() == ["plate_10", "2"]


def test_the_natural_order_has_no_ties() -> None:
    assert sorted(["p2", "p02", "p002", "p1"], key=natural_key) == ["p1", "p002", "p02", "p2"]
    assert natural_key("p2") != natural_key("p02")


def test_partitions_that_lack_a_column_are_filled_with_nulls_but_types_must_agree(store: Store) -> None:
    store.commit("scr", {"notes": pl.DataFrame({"a": [1]})}, shard="p1")
    store.commit("scr", {"notes": pl.DataFrame({"a": [2], "b": ["x"]})}, shard="p2")
    assert store.read("scr", "notes").to_dicts() == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]
    store.commit("scr", {"notes": pl.DataFrame({"a": ["text"]})}, shard="p3")
    with pytest.raises(StoreError, match=r"scr\.notes: found columns of different types in shards p1 and p3"):
        store.read("scr", "notes")


@pytest.mark.parametrize("shard", WEIRD)
def test_a_weird_shard_stays_under_its_table_and_keeps_its_name(store: Store, shard: str) -> None:
    outside = set(store.root.parent.iterdir())
    store.commit("scr", {"notes": pl.DataFrame({"a": [1]})}, shard=shard, arrays={"crops": np.zeros((1, 2))})
    assert store.shards("scr", "notes") == [shard]
    assert store.read("scr", "notes", shards=[shard]).height == 1
    assert store.read_with_array("scr", "notes", "crops", shard)[1].shape == (1, 2)
    (part,) = files_of(store, "part.parquet")
    assert part.parent.parent == store.root / "scr" / "notes"
    assert set(store.root.parent.iterdir()) == outside | {store.root}
    store.remove("scr", "notes", shard)
    assert store.shards("scr", "notes") == []


@pytest.mark.parametrize("shard", ["", "x" * 250, "ü" * 50])
def test_a_shard_that_no_folder_can_be_named_after(store: Store, shard: str) -> None:
    with pytest.raises(StoreError, match="required: a name, of 255 characters or fewer"):
        store.commit("scr", {"notes": pl.DataFrame({"a": [1]})}, shard=shard)


@pytest.mark.parametrize("name", ["", "Cells", "../notes", "notes; --", "1cells", ".staging", "a b"])
def test_names_that_are_not_identifiers_are_refused(store: Store, name: str) -> None:
    table = pl.DataFrame({"a": [1]})
    with pytest.raises(StoreError, match="an invalid name of a table or screen"):
        store.commit(name, {"notes": table})
    with pytest.raises(StoreError, match="an invalid name of a table or screen"):
        store.commit("scr", {name: table})
    with pytest.raises(StoreError, match="an invalid name of a table or screen"):
        store.read(name, "notes")
    assert not files_of(store, "*.parquet")


def test_stray_files_and_folders_are_passed_over(store: Store) -> None:
    store.commit("scr", {"notes": pl.DataFrame({"a": [1]})}, shard="p1")
    for stray in (".ipynb_checkpoints", "lost+found", "scr/.cache", "scr/Old notes", "scr/notes/shard=p9"):
        (store.root / stray).mkdir()
    pq.write_table(pl.DataFrame({"a": [1]}).to_arrow(), store.root / "scr" / "Old notes" / "part.parquet")
    (store.root / "notes.txt").write_text("mine")
    assert store.screens() == ["scr"]
    assert store.tables("scr") == ["notes"]
    assert store.shards("scr", "notes") == ["p1"]


# -- arrays, provenance, removal -----------------------------------------------------------------------


def test_a_replaced_partition_drops_its_old_array(store: Store) -> None:
    for version in range(4):
        commit_version(store, version)
        assert version_of(store) == version
    assert len(files_of(store, "*.npy")) == 1
    assert not (store.root / "scr" / ".journal").exists()
    assert not list((store.root / "scr" / ".staging").iterdir())


def test_an_array_of_another_length_is_not_committed(store: Store) -> None:
    commit_version(store, 3)
    with pytest.raises(
        CropError, match=r"found 5 rows; required: as many rows as one of the tables: {'notes': 2}"
    ):
        store.commit(
            "scr", {"notes": pl.DataFrame({"v": [1, 2]})}, shard="s", arrays={"crops": np.zeros((5, 2, 2))}
        )
    assert version_of(store) == 3


def test_a_commit_that_fails_leaves_nothing(store: Store) -> None:
    commit_version(store, 3)
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        store.commit("scr", {"notes": pl.DataFrame({"v": [1]})}, arrays={"crops": np.array([{}], object)})
    assert not list((store.root / "scr" / ".staging").iterdir())
    assert version_of(store) == 3


def test_an_array_that_was_written_before_is_moved(store: Store) -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    with store.scratch("scr") as folder:
        np.save(folder / "crops.npy", pixels)
        with pytest.raises(CropError, match="found 3 rows"):
            store.commit(
                "scr", {"notes": pl.DataFrame({"a": [1]})}, shard="p1", arrays={"crops": folder / "crops.npy"}
            )
        store.commit(
            "scr",
            {"notes": pl.DataFrame({"a": [1, 2, 3]})},
            shard="p1",
            arrays={"crops": folder / "crops.npy"},
        )
        assert not (folder / "crops.npy").exists()
        (folder / "more").write_text("not committed")
    assert np.array_equal(store.read_with_array("scr", "notes", "crops", "p1")[1], pixels)
    assert list((store.root / "scr" / ".staging").iterdir()) == []


def test_a_folder_for_arrays_is_swept_only_when_its_owner_is_dead(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_SWEEP_AFTER_S", -1.0)
    with store.scratch("scr") as folder:
        left = folder.with_name("left")
        left.mkdir()
        (left / "crops.npy").write_bytes(b"of a killed process")
        store.commit("scr", {"notes": pl.DataFrame({"a": [1]})}, shard="p1")
        assert folder.is_dir()
        assert not left.exists()


def test_provenance_is_kept_with_each_table(store: Store) -> None:
    made = {"inputs_hash": "abc", "created_at": "2026-01-01", "n": 3, "path": Path("x"), "commit_id": "mine"}
    commit = store.commit(
        "scr", {"notes": pl.DataFrame({"a": [1]}), "others": pl.DataFrame({"a": [2]})}, shard="p",
        arrays={"crops": np.zeros((1, 2))}, provenance=made,
    )  # fmt: skip
    for table in ("notes", "others"):
        assert store.provenance("scr", table, "p") == {
            "inputs_hash": "abc",
            "created_at": "2026-01-01",
            "n": 3,
            "path": "x",
            "commit_id": commit,
            "commit_number": 1,
            "arrays": {"crops": f"{commit}.npy"},
        }


def test_an_array_goes_with_the_last_table_that_describes_it(store: Store) -> None:
    commit_version(store, 1)
    store.remove("scr", "others", "s")
    assert version_of(store) == 1
    store.remove("scr", "notes", "s")
    assert not files_of(store, "*.npy")
    assert store.screens() == []
    store.remove("scr", "notes", "s")  # it is not there: nothing happens


def test_a_damaged_partition_can_be_removed_and_made_again(store: Store) -> None:
    commit_version(store, 1)
    for part in files_of(store, "part.parquet"):
        part.write_bytes(b"no parquet")
    store.remove("scr", "notes", "s")
    assert store.shards("scr", "notes") == []
    commit_version(store, 2)
    assert version_of(store) == 2
    assert len(files_of(store, "*.npy")) == 1


# -- damage is named ----------------------------------------------------------------------------------


def test_what_is_not_there_is_named(store: Store) -> None:
    with pytest.raises(StoreError, match=r"scr\.notes: found no such partition.*pcip run scr"):
        store.read("scr", "notes")
    commit_version(store, 1)
    with pytest.raises(
        StoreError, match=r"scr\.notes shard p9: .*required: scr/notes/shard=p9/part\.parquet"
    ):
        store.read("scr", "notes", shards=["s", "p9"])
    with pytest.raises(StoreError, match="no shard"):
        store.read("scr", "notes", shards=[])
    with pytest.raises(StoreError, match=r"found no column area; required: columns among v"):
        store.read("scr", "notes", columns=["v", "area"])


def test_a_damaged_table_is_named_wherever_the_damage_is(store: Store) -> None:
    numbers = np.random.default_rng(0).permutation(5_000)
    store.commit("scr", {"notes": pl.DataFrame({"a": numbers})}, shard="p1")
    (part,) = files_of(store, "part.parquet")
    whole = part.read_bytes()
    rng = random.Random(0)
    damaged = [b"", b"junk" * 100, whole[:100], whole[:-1], whole[len(whole) // 2 :]]
    for _ in range(60):  # one flipped bit; most would be read as other numbers without the pages' checksums
        at = rng.randrange(len(whole))
        damaged.append(whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :])
    messages = []
    for content in damaged:
        part.write_bytes(content)
        try:
            assert store.read("scr", "notes")["a"].to_numpy().tolist() == numbers.tolist()
        except StoreError as error:
            messages.append(str(error))
    assert all("part.parquet" in text and "Remove the file. Run `pcip run scr`" in text for text in messages)
    assert len(messages) > 50  # a bit that no reader looks at may be harmless


def test_a_file_that_pcip_did_not_write(store: Store) -> None:
    store.commit("scr", {"notes": pl.DataFrame({"a": [1]})}, shard="p1")
    pq.write_table(pl.DataFrame({"a": [1]}).to_arrow(), files_of(store, "part.parquet")[0])
    with pytest.raises(StoreError, match="no provenance"):
        store.provenance("scr", "notes", "p1")


def test_missing_and_damaged_arrays_are_named(store: Store) -> None:
    commit_version(store, 5)
    (array,) = files_of(store, "*.npy")
    whole = array.read_bytes()
    for content in (b"", b"junk" * 100, b"PK\x03\x04", whole[:20], whole[:-1]):
        array.write_bytes(content)
        with pytest.raises(StoreError, match=array.name):
            store.read_with_array("scr", "notes", "crops", "s")
    np.save(array, np.zeros((3, 2)))
    with pytest.raises(CropError, match="found 3 rows; required: 6 rows, as in the table notes"):
        store.read_with_array("scr", "notes", "crops", "s")
    array.unlink()
    with pytest.raises(CropError, match="found no array file"):
        store.read_with_array("scr", "notes", "crops", "s")
    with pytest.raises(CropError, match="found no array file"):
        store.read_with_array("scr", "notes", "masks", "s")


def test_a_damaged_journal_is_named(store: Store) -> None:
    commit_version(store, 1)
    (store.root / "scr" / ".journal").write_text("{")
    with pytest.raises(StoreError, match=r"\.journal: found a journal that cannot be read"):
        store.read("scr", "notes")
