"""Records of the published file: the commit of each partition that it holds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from pcip_core.store.partitions import Store

NO_EXTENSIONS: dict[str, Any] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
WHOLE = ""  # the shard of a table without shards

Key = tuple[str, str, str]  # screen, table, shard


@dataclass(frozen=True)
class Entry:
    """A partition's stamp, which shows whether it has changed, and its provenance."""

    stamp: str
    provenance: dict[str, Any]

    @property
    def commit(self) -> str:
        """The commit that made it."""
        return self.provenance["commit_id"]


Books = dict[Key, Entry]


def commits(books: Books) -> dict[Key, str]:
    """The commit of each partition."""
    return {key: entry.commit for key, entry in books.items()}


def wanted_books(store: Store, have: Books) -> Books:
    """Every partition of the store; a partition is opened only if its stamp differs from that in `have`."""
    books: Books = {}
    for screen in store.screens():
        for table in store.tables(screen):
            stamps = store.stamps(screen, table)
            for shard in [shard for shard in stamps if shard is not None] or stamps:
                key = (screen, table, shard or WHOLE)
                if key in have and have[key].stamp == stamps[shard]:
                    books[key] = have[key]
                elif (provenance := store.provenance(screen, table, shard)) is not None:
                    books[key] = Entry(stamps[shard], provenance)
    return books


def read_books(path: Path, beside: Path) -> Books | None:
    """The partitions that the published file holds; None without a readable file.

    The file is read under another name, because DuckDB would otherwise reuse a version that this process
    already has open, which may be older.
    """
    if not path.is_file():
        return None
    try:
        beside.hardlink_to(path)
    except OSError:  # not on every file system
        shutil.copyfile(path, beside)
    try:
        with duckdb.connect(str(beside), read_only=True, config=NO_EXTENSIONS) as con:
            rows = con.execute("SELECT screen, tbl, shard, stamp, about FROM main.published").fetchall()
    except duckdb.Error:
        return None
    finally:
        beside.unlink()
    return {
        (screen, table, shard): Entry(stamp, json.loads(provenance))
        for screen, table, shard, stamp, provenance in rows
    }


def rows_of(books: Books) -> Iterator[dict[str, str]]:
    """The rows of `main.published`."""
    for (screen, table, shard), entry in books.items():
        yield {
            **{"screen": screen, "tbl": table, "shard": shard},
            **{"commit_id": entry.commit, "stamp": entry.stamp, "about": json.dumps(entry.provenance)},
        }
