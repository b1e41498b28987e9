"""Publishing of the store as one DuckDB file, which is written separately and then replaces the old file.

The published file is never modified in place. Publishing copies it, updates the changed partitions in the copy
and renames the copy; a reader that has the old file open continues to read it. All data in the file come from the
Parquet partitions, so that a missing or damaged file can be rebuilt. The file shows each screen as it was at one
moment. It is read-only, and a file that another program wrote to is rebuilt.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from pcip_core.errors import StoreError
from pcip_core.locks import locked
from pcip_core.store import journal
from pcip_core.store.partitions import Store
from pcip_core.store.publishing.books import Books, Key, commits, read_books
from pcip_core.store.publishing.foreign import foreign_write, record, write_log
from pcip_core.store.publishing.of_all_screens import comment, update_main
from pcip_core.store.publishing.of_screen import Counts, update_screen
from pcip_core.store.publishing.snapshot import Snapshot, has_changed, snapshot
from pcip_core.store.sql import NO_EXTENSIONS, quoted

_MEMORY = "512MB"  # for DuckDB, in addition to one shard; by default it caches up to 80 % of all memory
_PLAIN_VECTORS = "SET disabled_compression_methods = 'alp,alprd'"  # has no effect as a `config` of `connect`
_READ_ONLY = 0o444  # at most: a user whose files others may not read keeps it so
_NAMED = 3  # partitions that a message names


@dataclass
class Published(Counts):
    """Result of publishing: partitions loaded, dropped, and left out because they are out of date.

    Attributes:
        stale: the partitions that were left out, as `<screen>.<table> <shard>`.
        rebuilt: whether the file was missing, damaged or written to by another program, and was rebuilt.
        warning: that another program wrote to the file; None if it was as published.
    """

    stale: list[str] = field(default_factory=list)
    rebuilt: bool = False
    warning: str | None = None

    @property
    def changed(self) -> bool:
        """Whether the file was replaced."""
        return bool(self.loaded or self.dropped or self.rebuilt)

    def __str__(self) -> str:
        if not self.changed:
            return "no changes"
        counts = f"{self.loaded} partitions loaded, {self.dropped} dropped"
        return counts + (f"; left out until recomputed: {_listed(self.stale)}" if self.stale else "")


def connect(path: Path) -> duckdb.DuckDBPyConnection:
    """Open the published store read-only.

    DuckDB shares one database per path within a process: close every connection before you reopen the file,
    otherwise you continue to read the old version.

    Raises:
        StoreError: the file does not exist or cannot be opened.
    """
    if not path.is_file():
        raise StoreError(
            path, found="no such file", required="a published store", remedy="Run a screen first."
        )
    try:
        return duckdb.connect(str(path), read_only=True, config=NO_EXTENSIONS)
    except duckdb.Error as error:
        raise StoreError(
            path,
            found=f"a file that DuckDB {duckdb.__version__} cannot open ({str(error).splitlines()[0]})",
            required="a store published by pcip, which no other program writes to",
            remedy="Rebuild it from the Parquet partitions: pcip publish --rebuild",
        ) from error


def publish(store: Store, path: Path, *, rebuild: bool = False) -> Published:
    """Update the published file from the store; it is not touched if nothing has changed.

    Args:
        store: the partitions.
        path: the published file.
        rebuild: build it from all partitions, even if nothing has changed.

    Raises:
        StoreError: the file cannot be written, or a partition is damaged. The old file is still there.
    """
    missing: list[Key] = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_suffix(".lock")):  # publishers of several runs queue
            _clear(path.parent, f".{path.name}.*.tmp*")  # left by killed publishers
            beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
            try:
                return _publish(store, path, beside, missing, rebuild=rebuild)
            finally:
                _clear(path.parent, f"{beside.name}*")
    except (OSError, duckdb.Error) as error:
        raise StoreError(
            path,
            found=f"that it cannot be written ({str(error).splitlines()[0]}), so that "
            f"{_listed([_name(key) for key in missing]) or 'the latest results'} in the store are not published",
            required="space for another copy of the file, in a folder that can be written to",
            remedy="Free space or permit writing, then: pcip publish",
        ) from error
    except StoreError as error:
        until = f"Until then, {path.name} shows the earlier results."
        raise StoreError(
            error.where, found=error.found, required=error.required, remedy=f"{error.remedy} {until}"
        ) from error


def _publish(store: Store, path: Path, beside: Path, missing: list[Key], *, rebuild: bool) -> Published:
    """Publish, with `beside` as the name of the copy; `missing` receives what the file lacks."""
    have = read_books(path, beside)
    foreign = foreign_write(path, readable=have is not None)
    have = None if rebuild or foreign else have
    if have is not None and not has_changed(store, have):
        return Published()
    with snapshot(store, have or {}) as taken:
        wanted, present = commits(taken.books), commits(have or {})
        if have is not None and wanted == present:
            return Published()
        missing += sorted(
            key for key in wanted.keys() | present.keys() if wanted.get(key) != present.get(key)
        )
        result = _written(taken, path, beside, have)
    result.stale = [_name(key) for key in taken.left_out]
    result.warning = foreign and _rebuilt_because(path, foreign)
    beside.chmod(beside.stat().st_mode & _READ_ONLY)
    journal.sync(beside)
    record(path, beside)
    write_log(path).unlink(missing_ok=True)  # a log of another program does not belong to the new file
    beside.replace(path)
    journal.sync(path.parent)
    return result


def _rebuilt_because(path: Path, foreign: str) -> str:
    """The warning about another program."""
    return (
        f"{path}: found {foreign}; required: a file that only pcip writes. It was rebuilt from the Parquet "
        "partitions; what others wrote to it is lost. Open it read-only: duckdb -readonly"
    )


def _written(taken: Snapshot, path: Path, beside: Path, have: Books | None) -> Published:
    """Write the next version: a copy of the published file that is updated, or a new file."""
    if have is not None:
        shutil.copyfile(path, beside)
        try:
            return _updated(taken, beside, have)
        except (
            duckdb.Error
        ):  # its tables may be damaged although its records are not; a full disk fails again
            _clear(path.parent, f"{beside.name}*")
    result = _updated(taken, beside, {})
    result.rebuilt = True
    return result


def _updated(taken: Snapshot, file: Path, have: Books) -> Published:
    """Update a private copy from the partitions that it has to the snapshot."""
    result, before = Published(), commits(have)
    with duckdb.connect(str(file), config={**NO_EXTENSIONS, "memory_limit": _MEMORY}) as con:
        con.execute(_PLAIN_VECTORS)
        for screen in sorted({key[0] for key in taken.books | have}):
            con.execute("BEGIN")
            if any(key[0] == screen for key in taken.books):
                update_screen(con, taken, screen, before, result)
            else:
                result.dropped += sum(key[0] == screen for key in have)
                con.execute(f"DROP SCHEMA IF EXISTS {quoted(screen)} CASCADE")
            con.execute("COMMIT")
        con.execute("BEGIN")  # hundreds of comments, each of which would be synced on its own
        update_main(con, taken)
        comment(con)
        con.execute("COMMIT")
        con.execute("CHECKPOINT")
    return result


def _clear(folder: Path, pattern: str) -> None:
    """Remove files, and the folders to which DuckDB moves what memory does not hold."""
    for left in folder.glob(pattern):
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()


def _name(key: Key) -> str:
    screen, table, shard = key
    return f"{screen}.{table} {shard}".rstrip()


def _listed(names: list[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
