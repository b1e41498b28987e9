"""The published file shows each screen as it was at one moment, whatever is committed meanwhile."""

from __future__ import annotations

import itertools
from pathlib import Path

import polars as pl
import pytest

from pcip_core.store.partitions import Store
from pcip_core.store.publish import publish
from pcip_core.store.publishing.books import Key
from pcip_core.store.publishing.snapshot import Snapshot
from tests.core.store.small import ask


def commit(store: Store, version: int) -> None:
    """Write one version of a shard: two tables in one commit, and one in a later commit."""
    rows = pl.DataFrame({"version": [version]})
    store.commit("scr", {"cells_of": rows, "fields_of": rows}, shard="s")
    store.commit("scr", {"later": rows}, shard="s")


@pytest.mark.parametrize("links", [True, False])
def test_commits_during_a_publication_do_not_mix(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch, *, links: bool
) -> None:
    """The shard is replaced before each read of publishing: read one by one, each table would show another version."""
    if not links:
        monkeypatch.setattr("os.link", _no_links)
    versions, real = itertools.count(1), Snapshot.rows
    commit(store, 0)

    def rows(self: Snapshot, key: Key) -> object:
        commit(store, next(versions))
        return real(self, key)

    monkeypatch.setattr(Snapshot, "rows", rows)
    for _ in range(3):
        latest = store.read("scr", "later")["version"].to_list()
        publish(store, path)
        assert next(versions) > 2, "commits happened"
        shown = [
            ask(path, f"SELECT version FROM scr.{table}") for table in ("cells_of", "fields_of", "later")
        ]
        assert shown == [[(latest[0],)]] * 3
        booked = ask(
            path, "SELECT DISTINCT about::JSON->>'commit_number' FROM main.published WHERE tbl <> 'later'"
        )
        assert len(booked) == 1
    monkeypatch.setattr(Snapshot, "rows", real)
    publish(store, path)
    assert ask(path, "SELECT version FROM scr.later") == [
        tuple(store.read("scr", "later")["version"].to_list())
    ]
    assert not publish(store, path).changed


def _no_links(*_: object) -> None:
    raise PermissionError("no links on this file system")


def test_nothing_is_left_of_a_snapshot(store: Store, path: Path) -> None:
    commit(store, 0)
    publish(store, path)
    assert not list((store.root / "scr" / ".staging").iterdir())
