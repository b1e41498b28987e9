"""Records of the published file: the partitions that it holds, and those that it should hold."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb

from pcip_core.store.journal import order
from pcip_core.store.sql import NO_EXTENSIONS, STORAGE

WHOLE = ""  # the shard of a table without shards
CELL_FEATURES = "cell_features_"

Key = tuple[str, str, str]  # screen, table, shard


@dataclass(frozen=True)
class Entry:
    """One partition.

    Attributes:
        stamp: inode, size and time of change of its file, which show whether it was replaced.
        commit: the commit that made it.
        encoded: its provenance as JSON.
        dim: length of its vectors; None for a table without vectors.
    """

    stamp: str
    commit: str
    encoded: str
    dim: int | None

    @classmethod
    def of(cls, stamp: str, provenance: dict[str, Any], dim: int | None) -> Entry:
        """The entry of a partition with this provenance."""
        return cls(stamp, provenance["commit_id"], json.dumps(provenance), dim)

    @property
    def provenance(self) -> dict[str, Any]:
        """What it was committed with, to be read only. Most entries of a large store are compared, and not parsed."""
        return _parsed(self.encoded)

    @property
    def kind(self) -> tuple[int | None, str]:
        """Length and precision of its vectors, which are equal in all that are shown together."""
        return self.dim, self.provenance.get("precision") or "float32"  # earlier versions had no other


@lru_cache(maxsize=4096)  # a run publishes after each of its steps, mostly the same partitions
def _parsed(encoded: str) -> dict[str, Any]:
    return json.loads(encoded)


Books = dict[Key, Entry]


def commits(books: Books) -> dict[Key, str]:
    """The commit of each partition."""
    return {key: entry.commit for key, entry in books.items()}


def of_screen(books: Books, screen: str) -> Books:
    """The partitions of one screen."""
    return {key: entry for key, entry in books.items() if key[0] == screen}


def newest(entries: Iterable[Entry]) -> Entry:
    """The entry of the last commit."""
    return max(entries, key=lambda entry: order(entry.provenance))


def out_of_date(books: Books) -> list[Key]:
    """The partitions of a store that must not be shown beside the others, until they are recomputed.

    They are features of a shard whose crops have changed since, which describe other cells; and vectors that
    differ from the newest ones of their table in length, or in the precision in which they were computed.
    """
    left_out = [key for key in books if _describes_other_cells(key, books)]
    current = {key: entry for key, entry in books.items() if entry.dim is not None and key not in left_out}
    for screen, table in sorted({key[:2] for key in current}):
        entries = {key: entry for key, entry in current.items() if key[:2] == (screen, table)}
        kind = newest(entries.values()).kind
        left_out += [key for key, entry in entries.items() if entry.kind != kind]
    return sorted(left_out)


def _describes_other_cells(key: Key, books: Books) -> bool:
    screen, table, shard = key
    if not table.startswith(CELL_FEATURES):
        return False
    made_from = books[key].provenance.get("crops_hash")
    if made_from is None:  # not recorded by earlier versions
        return False
    cells = books.get((screen, "cells", shard))
    return cells is None or cells.provenance.get("data_hash") != made_from


def read_books(path: Path, beside: Path) -> Books | None:
    """The partitions that the published file holds; None without a readable file of the right format.

    Args:
        path: the published file.
        beside: another name for it, used for a moment.
    """
    if not path.is_file():
        return None
    try:
        with (
            renamed(path, beside) as file,
            duckdb.connect(str(file), read_only=True, config=NO_EXTENSIONS) as con,
        ):
            version = "SELECT tags['storage_version'] FROM duckdb_databases() WHERE NOT internal"
            if con.execute(version).fetchall() != [(f"{STORAGE}+",)]:
                return None
            rows = con.execute(
                "SELECT screen, tbl, shard, stamp, commit_id, about, dim FROM main.published"
            ).fetchall()
    except duckdb.Error:
        return None
    return {
        (screen, table, shard): Entry(stamp, commit, encoded, dim)
        for screen, table, shard, stamp, commit, encoded, dim in rows
    }


@contextmanager
def renamed(path: Path, beside: Path) -> Iterator[Path]:
    """The file under another name, for a publication to open.

    Under its own name, DuckDB would reuse a version that this process already has open, which may be older; and while
    a publication had it open, another thread could not open it with other settings. Where no other name can be made,
    as in a folder that cannot be written to, it is the file itself.

    Args:
        path: the file.
        beside: the other name.
    """
    for copy in (os.link, shutil.copyfile):  # not every file system has links
        with suppress(OSError):
            copy(path, beside)
            break
    try:
        yield beside if beside.exists() else path
    finally:
        beside.unlink(missing_ok=True)


def rows_of(books: Books) -> Iterator[dict[str, Any]]:
    """The rows of `main.published`."""
    for (screen, table, shard), entry in books.items():
        yield {
            **{"screen": screen, "tbl": table, "shard": shard, "dim": entry.dim},
            **{"commit_id": entry.commit, "stamp": entry.stamp, "about": entry.encoded},
        }
