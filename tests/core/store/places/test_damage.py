"""URLs, addresses and objects that are not as they must be: each is named, with a remedy that works."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pcip_core.errors import StoreError
from pcip_core.store.partitions import Store
from pcip_core.store.places import place
from pcip_core.store.places.objects import Objects
from tests.core.store.places.s3_server import BUCKET, S3Server, objects, raw
from tests.core.store.writers import commit_version, version_of

MANIFESTS = "some/prefix/scr/.manifests"


def test_a_mark_before_the_url_is_none_of_it(store: Store, tmp_path: Path) -> None:
    commit_version(store, 3)
    (tmp_path / "store").write_bytes(b"\xef\xbb\xbf" + f"{store.root}\r\n".encode())
    assert version_of(Store(tmp_path / "store")) == 3


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/../other",
        "s3://bucket/a/./b",
        "s3://bucket/a//b",
        "s3://bucket/a%20b",
        "s3://bucket/a?b",
        "s3://",
        "s3:///prefix",
        "s3://bucket/\u00e4",
        "s3://bucket\ns3://other",
        "file:///srv",
        "memory:///",
        "S3://bucket",
    ],
)
def test_urls_that_other_programs_would_read_otherwise_are_refused(url: str, tmp_path: Path) -> None:
    (tmp_path / "store").write_text(url)
    for root in (url, tmp_path / "store"):
        with pytest.raises(
            StoreError, match="required: the URL of an object store, such as s3://bucket/prefix"
        ):
            Store(root)


def test_keys_in_a_url_are_refused_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("s3://key:s3cret/word@bucket/prefix")
    with pytest.raises(StoreError, match="store: found a file with keys before an @") as caught:
        Store(tmp_path / "store")
    assert "s3cret" not in str(caught.value)


def test_a_link_to_a_folder_that_is_not_mounted_is_no_empty_store(tmp_path: Path) -> None:
    (tmp_path / "store").symlink_to(tmp_path / "shared")
    with pytest.raises(
        StoreError, match=r"store: found a link to .*shared, which is not there.*Mount the shared"
    ):
        Store(tmp_path / "store")
    (tmp_path / "shared").mkdir()
    commit_version(Store(tmp_path / "store"), 3)
    assert version_of(Store(tmp_path / "shared")) == 3


def test_what_is_neither_a_folder_nor_a_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "store")
    with pytest.raises(StoreError, match="found neither a folder nor a file"):
        Store(tmp_path / "store")


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"])
@pytest.mark.parametrize(
    "value", ["s3.lab.example:9000", "http://", "http://lab:99999", "http://a:SECRET@lab"]
)
def test_an_address_of_a_server_that_is_none_is_named(
    store: Store, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place._bucket.cache_clear()
    monkeypatch.setenv(name, value)
    with pytest.raises(StoreError, match=f"^{name}: found .*the address of an S3 server") as caught:
        Store(store.root)
    assert "SECRET" not in str(caught.value)


def test_another_variable_may_name_the_server(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    commit_version(store, 3)
    place._bucket.cache_clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", os.environ["AWS_ENDPOINT_URL"])
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert version_of(Store(store.root)) == 3


def test_a_bucket_that_is_not_there_is_named_by_every_request(server: S3Server, tmp_path: Path) -> None:
    missing = Objects("s3://nobody_made_it/prefix")
    (tmp_path / "file").write_text("1")
    for act in (
        missing.folders,
        lambda: missing.list("scr/"),
        lambda: missing.read("scr/a"),
        lambda: missing.replace("scr/a", b"1", None),
        lambda: missing.upload("scr/a", tmp_path / "file"),
        lambda: missing.download("scr/a", tmp_path / "copy"),
    ):
        with pytest.raises(StoreError, match=r"nobody_made_it/prefix: .*\(NoSuchBucket"):
            act()


def test_an_object_that_was_removed_meanwhile_is_not_replaced(server: S3Server) -> None:
    some = Objects(f"s3://{BUCKET}/prefix")
    assert some.replace("scr/a", b"1", None)
    version = some.read("scr/a")[1].version
    some.delete("scr/a")
    assert not some.replace("scr/a", b"2", version)
    assert some.list("scr/") == []


@pytest.mark.parametrize("name", ["notes.txt", "whole.json.bak", "shard=.json", "shard=a b.json", ""])
def test_other_objects_beside_the_manifests_change_nothing(store: Store, name: str) -> None:
    commit_version(store, 3)
    raw().put(f"{MANIFESTS}/{name}" if name else MANIFESTS, b"of another program")
    fresh = Store(store.root)
    with fresh.frozen("scr") as parts:
        assert sorted(key for key in parts) == [("notes", "s"), ("others", "s")]
    assert fresh.shards("scr", "notes") == ["s"]
    commit_version(fresh, 4)
    assert version_of(store) == 4


def entry(**changes: Any) -> dict[str, Any]:
    """A table in a manifest."""
    provenance = {"commit_id": "a" * 32, "commit_number": 1, "arrays": {}} | changes
    return {"file": "a" * 32 + ".parquet", "provenance": provenance}


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {"tables": 5, "replaced": {}},
        {"tables": {"notes": {}}, "replaced": {}},
        {"tables": {"notes": entry() | {"file": "../../x.parquet"}}, "replaced": {}},
        {"tables": {"../notes": entry()}, "replaced": {}},
        {"tables": {"notes": entry(arrays={"crops": "/etc/passwd"})}, "replaced": {}},
        {"tables": {"notes": entry(commit_number="1")}, "replaced": {}},
        {"tables": {}, "replaced": {"scr/../other/x": ""}},
        {"tables": {}, "replaced": {f"scr/notes/{'a' * 32}.parquet": "yesterday"}},
    ],
)
def test_a_manifest_that_holds_something_else_is_named_and_the_remedy_works(
    store: Store, content: Any
) -> None:
    commit_version(store, 3)
    raw().put(f"{MANIFESTS}/shard=s.json", json.dumps(content).encode())
    acts = (
        lambda: store.read("scr", "notes"),
        lambda: store.frozen("scr").__enter__(),
        lambda: commit_version(store, 4),
    )
    for act in acts:
        with pytest.raises(
            StoreError, match=r"shard=s\.json in .*found a manifest that cannot be read.*Remove the object"
        ):
            act()
    raw().delete(f"{MANIFESTS}/shard=s.json")
    commit_version(store, 5)
    assert version_of(store) == 5


def test_a_manifest_of_a_newer_version_stays_as_it_is(store: Store) -> None:
    commit_version(store, 3)
    name = f"{MANIFESTS}/shard=s.json"
    newer = json.dumps(json.loads(bytes(raw().get(name).bytes())) | {"parts": {}}).encode()
    raw().put(name, newer)
    for act in (lambda: version_of(store), lambda: commit_version(store, 4)):
        with pytest.raises(
            StoreError, match=r"of a newer version of pcip, which has parts.*Install the version"
        ):
            act()
    assert bytes(raw().get(name).bytes()) == newer


def test_a_number_of_the_last_commit_that_is_none_is_named_and_the_remedy_works(store: Store) -> None:
    commit_version(store, 3)
    raw().put("some/prefix/scr/.commits", b"many")
    with pytest.raises(StoreError, match=r"scr/\.commits in .*found 'many'.*Remove the object"):
        store.commit("scr", {"notes": pl.DataFrame({"v": [1]})})
    raw().delete("some/prefix/scr/.commits")
    commit_version(store, 4)
    kept = store.provenance("scr", "notes", "s")
    assert kept is not None
    assert kept["commit_number"] == 2
    assert "scr/.commits" in objects()
