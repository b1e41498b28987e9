"""The cache holds what was used last, within its limit."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pcip_core.errors import StoreError, WriteError
from pcip_core.store.partitions import Store
from pcip_core.store.places.bucket import Bucket
from pcip_core.store.places.cache import Cache
from pcip_core.store.places.place import place_of
from tests.core.store.writers import commit_version, version_of


def fetched(cache: Cache, key: str, age: float) -> Path:
    """Ask for a file of 100 bytes, `age` seconds ago."""
    file = cache.get(key, lambda path: path.write_bytes(bytes(100)))
    os.utime(file, (file.stat().st_atime - age, file.stat().st_mtime - age))
    return file


def test_what_was_not_used_for_longest_goes(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 350)
    files = [fetched(cache, f"scr/{name}.npy", 1000 - 100 * number) for number, name in enumerate("abc")]
    cache.get("scr/a.npy", lambda path: pytest.fail("it is there"))
    fetched(cache, "scr/d.npy", 0)
    assert [file.exists() for file in files] == [True, False, True]
    assert sorted(path.name for path in tmp_path.rglob("*.npy")) == ["a.npy", "c.npy", "d.npy"]


def test_what_was_used_within_a_minute_stays_beyond_the_limit(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 150)
    files = [fetched(cache, name, age) for name, age in (("a", 10), ("b", 0))]
    assert all(file.exists() for file in files)
    assert not list((tmp_path / ".scratch").iterdir())


def test_an_error_while_fetching_leaves_nothing(tmp_path: Path) -> None:
    def broken(path: Path) -> None:
        path.write_bytes(b"half")
        raise FileNotFoundError

    with pytest.raises(FileNotFoundError):
        Cache(tmp_path, 100).get("a", broken)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_reader_keeps_what_is_evicted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    commit_version(store, 3)
    crops, cache = store.read_with_array("scr", "notes", "crops", "s")[1], Cache.of(str(store.root))
    assert len(list(cache.folder.rglob("*.npy"))) == 1
    with monkeypatch.context() as patch:
        patch.setattr("pcip_core.store.places.cache._IN_USE_S", -1.0)
        Cache(cache.folder, 0).add("another", _file(cache.folder.with_name("another")))
    assert [path.name for path in cache.folder.rglob("*") if path.is_file() and path.name != "another"] == []
    assert (crops == 3).all()
    assert version_of(store) == 3


def test_crops_of_a_shared_folder_are_copied_where_a_cache_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, root = tmp_path / "shared", tmp_path / "data" / "store"
    shared.mkdir()
    root.parent.mkdir()
    root.symlink_to(shared)
    commit_version(Store(root), 3)
    monkeypatch.delenv("PCIP_CACHE", raising=False)
    assert version_of(Store(root)) == 3  # without a cache
    monkeypatch.setenv("PCIP_CACHE", str(tmp_path / "cache"))
    linked, plain = Store(root), Store(shared)
    assert version_of(plain) == 3
    assert not (tmp_path / "cache").exists()  # the folder itself is not shared
    assert version_of(linked) == 3
    (copy,) = (tmp_path / "cache").rglob("*.npy")
    (original,) = shared.rglob("*.npy")
    assert copy.read_bytes() == original.read_bytes()
    commit_version(plain, 4)  # another machine
    assert version_of(linked) == 4
    with pytest.raises(FileNotFoundError):
        place_of(root).array("scr", "crops", "s", "gone.npy")


def _file(path: Path) -> Path:
    path.touch()
    return path


@pytest.mark.parametrize("size", ["much", "nan", "inf", "-1", "50 GB"])
def test_a_size_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    monkeypatch.setenv("PCIP_CACHE_GB", size)
    with pytest.raises(StoreError, match=f"PCIP_CACHE_GB: found '{size}'"):
        Cache.of("s3://bucket")


@pytest.mark.parametrize("place", ["/dev/null", "/dev/null/below", "/proc/cache"])
def test_a_folder_that_cannot_be_made_is_named(
    store: Store, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    commit_version(store, 3)
    monkeypatch.setenv("PCIP_CACHE", place)
    elsewhere = Bucket(str(store.root))
    for act in (
        lambda: elsewhere.file("scr", "notes", "s"),
        lambda: elsewhere.commit("scr", "s", {}, {}, {}),
    ):
        with pytest.raises(WriteError, match=rf"^{place}/.*set PCIP_CACHE to another folder"):
            act()
    assert version_of(store) == 3


def test_a_home_folder_is_meant_by_its_sign(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PCIP_CACHE", "~/copies")
    assert Cache.of("s3://bucket").folder.parent == tmp_path / "copies"


def test_files_of_another_user_are_read_and_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path, 0)
    file = fetched(cache, "theirs", 1000)

    def refuse(*_: object) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr("pcip_core.store.places.cache.os.utime", refuse)
        assert cache.get("theirs", lambda path: pytest.fail("it is there")).read_bytes() == bytes(100)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        fetched(cache, "ours", 1000)
    assert file.is_file()


def test_what_was_used_before_the_clock_was_set_back_goes(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 150)
    later = [fetched(cache, name, 0) for name in "ab"]
    for file in later:
        os.utime(file, (time.time() + 86_400,) * 2)
    fetched(cache, "c", 0)
    assert [file.exists() for file in later] == [False, False]
    assert (tmp_path / "c").is_file()
