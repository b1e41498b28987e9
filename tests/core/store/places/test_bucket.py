"""A store in an object store does as one in a folder, and takes no harm from faults of the server."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pcip_core.errors import StoreError
from pcip_core.store.partitions import Store
from tests.core.store.places.s3_server import Faults, S3Server, raw
from tests.core.store.writers import commit_version, version_of

NAMES = ["plate_1", "plate 2", "a/b%20", "~é#?*", "whole"]


@pytest.fixture(params=["folder", "bucket"])
def either(request: pytest.FixtureRequest, store: Store, tmp_path: Path) -> Store:
    """A store of each kind."""
    return store if request.param == "bucket" else Store(tmp_path / "store")


def test_both_kinds_hold_the_same(either: Store) -> None:
    assert either.screens() == []
    assert either.tables("scr") == []
    for version, shard in enumerate(NAMES):
        commit_version(either, version, shard)
    either.commit("scr", {"whole": pl.DataFrame({"v": [7]})}, provenance={"at": Path("/x")})
    assert either.screens() == ["scr"]
    assert either.tables("scr") == ["notes", "others", "whole"]
    assert sorted(either.shards("scr", "notes")) == sorted(NAMES)
    assert either.shards("scr", "whole") == []
    assert [version_of(either, shard) for shard in NAMES] == [0, 1, 2, 3, 4]
    assert either.read("scr", "others", shards=NAMES)["v"].to_list() == [0, 1, 2, 3, 4]
    assert either.scan("scr", "notes", shards=["whole"]).collect().height == 5
    assert either.read("scr", "whole")["v"].to_list() == [7]
    kept = either.provenance("scr", "whole")
    assert kept is not None
    assert (kept["at"], kept["commit_number"], kept["arrays"]) == ("/x", 6, {})
    assert either.has("scr", "whole")
    assert not either.has("scr", "whole", "plate_1")
    assert either.provenance("scr", "notes", "plate_9") is None
    with pytest.raises(StoreError, match="no such partition"):
        either.read("scr", "notes", shards=["plate_9"])
    with pytest.raises(StoreError, match="no column w"):
        either.read("scr", "notes", columns=["w"])
    either.remove("scr", "notes", "plate_1")
    either.remove("scr", "notes", "plate_1")
    assert not either.has("scr", "notes", "plate_1")
    assert either.read("scr", "others", shards=["plate_1"])["v"].to_list() == [0]
    assert len(either.shards("scr", "notes")) == 4


def test_arrays_from_a_scratch_folder_and_a_file_that_stays(either: Store) -> None:
    with either.scratch("scr") as folder:
        np.save(folder / "crops.npy", np.arange(3))
        either.commit(
            "scr", {"notes": pl.DataFrame({"v": [0] * 3})}, shard="s", arrays={"crops": folder / "crops.npy"}
        )
    assert not folder.exists()
    before = either.read_with_array("scr", "notes", "crops", "s")[1]
    with either.frozen("scr") as parts, either.scratch("scr") as folder:
        ((key, part),) = parts.items()
        held = either.hold(part.file, str(folder / "0"))
    assert key == ("notes", "s")
    with either.scratch("scr") as folder, either.frozen("scr") as parts:
        held = either.hold(parts[key].file, str(folder / "0"))
        stamp = parts[key].stamp
        if not isinstance(either.root, Path):  # a commit to a folder waits for the end of the block
            commit_version(either, 5)
            assert pl.read_parquet(held())["v"].to_list() == [0] * 3
    commit_version(either, 5)
    with either.frozen("scr") as parts:
        assert parts[key].stamp != stamp
    assert before.tolist() == [0, 1, 2]
    assert version_of(either) == 5


def test_an_update_sees_what_others_wrote_meanwhile(either: Store) -> None:
    other = Store(either.root)
    either.commit("scr", {"notes": pl.DataFrame({"v": [1]})})
    calls = []

    def made() -> pl.DataFrame:
        seen = either.read("scr", "notes")["v"].to_list()
        calls.append(seen)
        if len(calls) == 1 and not isinstance(either.root, Path):
            other.commit("scr", {"notes": pl.DataFrame({"v": [1, 2]})})
        return pl.DataFrame({"v": [*seen, 9]})

    before = either.shards("scr", "notes")
    either.update("scr", "notes", made)
    assert before == []
    assert either.read("scr", "notes")["v"].to_list() == ([1, 9] if len(calls) == 1 else [1, 2, 9])
    assert len(calls) == (1 if isinstance(either.root, Path) else 2)


@pytest.mark.parametrize(
    "faults",
    [
        Faults(refuse=0.2),
        Faults(forget=0.2, method="PUT GET"),
        Faults(cut=0.2, method="PUT GET"),
        Faults(forget=0.6, only=".manifests", method="PUT"),
        Faults(refuse=0.1, forget=0.1, cut=0.1, slow=0.3, method="PUT GET DELETE"),
    ],
    ids=["refused", "answers lost", "connections cut", "answers of manifests lost", "all"],
)
def test_faults_of_the_server_change_nothing(store: Store, server: S3Server, faults: Faults) -> None:
    server.faults = faults
    for version in range(8):
        commit_version(store, version, "s" if version % 2 else "t")
        assert version_of(Store(store.root), "s" if version % 2 else "t") == version
    server.faults = Faults()
    assert len(faults.done) > 3
    assert [version_of(store, shard) for shard in "st"] == [7, 6]
    assert store.provenance("scr", "others", "s") == store.provenance("scr", "notes", "s")


def test_large_arrays_are_put_in_parts_whatever_the_faults(store: Store, server: S3Server) -> None:
    values = np.random.default_rng(1).integers(0, 256, (12, 2**20), dtype=np.uint8)
    server.faults = Faults(forget=0.1, cut=0.1, refuse=0.1, method="PUT POST GET")
    store.commit("scr", {"notes": pl.DataFrame({"v": range(12)})}, shard="s", arrays={"crops": values})
    shutil.rmtree(os.environ["PCIP_CACHE"])
    read = store.read_with_array("scr", "notes", "crops", "s")[1]
    assert len(server.faults.done) > 0
    assert (read == values).all()


def test_a_store_goes_to_another_process(either: Store) -> None:
    commit_version(either, 3)
    assert version_of(pickle.loads(pickle.dumps(either))) == 3


def test_a_server_that_is_not_there_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "")
    with pytest.raises(
        StoreError, match=r"s3://nowhere/x: found an object store that does not .*AWS_ENDPOINT_URL"
    ):
        Store("s3://nowhere/x").screens()


def test_a_damaged_manifest_is_named(store: Store) -> None:
    commit_version(store, 1)
    raw().put("some/prefix/scr/.manifests/shard=s.json", b"{}")
    with pytest.raises(StoreError, match=r"shard=s\.json in .*found a manifest that cannot be read"):
        store.read("scr", "notes", shards=["s"])


def test_a_file_in_place_of_the_folder_names_the_bucket(store: Store, tmp_path: Path) -> None:
    commit_version(store, 3)
    (tmp_path / "store").write_text(f"{store.root}/\n")
    assert version_of(Store(tmp_path / "store")) == 3


@pytest.mark.parametrize("text", ["", "bucket/prefix", "s3://a b", "PAR1\udcff"])
def test_a_file_without_a_url_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "store").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(StoreError, match=r"store: found a file with .*required: the URL of an object store"):
        Store(tmp_path / "store")
