"""The book-keeping of the published file: which commit of each partition it holds."""

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
WHOLE = ""  # the shard of a table that is made whole

Key = tuple[str, str, str]  # screen, table, shard


@dataclass(frozen=True)
class Entry:
    """What is known of a partition: its stamp, by which an unchanged one is not opened, and its provenance."""

    stamp: str
    about: dict[str, Any]

    @property
    def commit(self) -> str:
        """The commit that made it."""
        return self.about["commit_id"]


Books = dict[Key, Entry]


def commits(books: Books) -> dict[Key, str]:
    """The commit of each partition."""
    return {key: entry.commit for key, entry in books.items()}


def wanted_books(store: Store, have: Books) -> Books:
    """Every partition of the store; only those are opened whose stamp is not the one in `have`."""
    found: Books = {}
    for screen in store.screens():
        for table in store.tables(screen):
            stamps = store.stamps(screen, table)
            for shard in [shard for shard in stamps if shard is not None] or stamps:
                key = (screen, table, shard or WHOLE)
                if key in have and have[key].stamp == stamps[shard]:
                    found[key] = have[key]
                elif (about := store.provenance(screen, table, shard)) is not None:
                    found[key] = Entry(stamps[shard], about)
    return found


def read_books(path: Path, beside: Path) -> Books | None:
    """Every partition that the published file holds; None without a readable file.

    The file is read under another name: a process that has it open would be given what it has open, which
    may be older.
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
        (screen, table, shard): Entry(stamp, json.loads(about)) for screen, table, shard, stamp, about in rows
    }


def rows_of(books: Books) -> Iterator[dict[str, str]]:
    """The rows of `main.published`."""
    for (screen, table, shard), entry in books.items():
        yield {
            **{"screen": screen, "tbl": table, "shard": shard},
            **{"commit_id": entry.commit, "stamp": entry.stamp, "about": json.dumps(entry.about)},
        }
