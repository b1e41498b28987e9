"""Publishing of the store as one DuckDB file, which is written separately and then replaces the old file.

The published file is never modified in place: a reader that has it open continues to read it. The next version is made
from the spare, which is the version before (see `spare`), or otherwise from a copy. So a publication costs as much as
what changed in the last two. All data in the file come from the Parquet partitions, so that a missing or damaged file
can be rebuilt. The file shows each screen as it was at one moment; of a screen with a damaged partition, an earlier
one. It is read-only, and a file that another program wrote to is rebuilt.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from pcip_core.errors import StoreError
from pcip_core.locks import locked
from pcip_core.store import journal
from pcip_core.store.parquet import frame_of
from pcip_core.store.partitions import Store
from pcip_core.store.publishing.books import Books, Key, commits, read_books
from pcip_core.store.publishing.foreign import foreign_write, record, write_log
from pcip_core.store.publishing.snapshot import Snapshot, has_changed, snapshot
from pcip_core.store.publishing.spare import books_of_spare, copy, drop, keep, take
from pcip_core.store.publishing.update import BehindError, update
from pcip_core.store.sql import NO_EXTENSIONS

_MEMORY = (
    "512MB"  # a first answer in new memory takes longer, as the system must provide it; the rest goes to disk
)
_READ_ONLY = 0o444  # at most: a user whose files others may not read keeps it so
_NAMED = 3  # partitions that a message names


@dataclass
class Published:
    """Result of publishing.

    Attributes:
        loaded, dropped: numbers of partitions that are new or replaced in the file, and of those that are gone.
        stale: the partitions that were left out, as `<screen>.<table> <shard>`.
        rebuilt: whether the file was missing, damaged or written to by another program, and was rebuilt.
        warning: that another program wrote to the file; None if it was as published.
    """

    loaded: int = 0
    dropped: int = 0
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
    """Open the published store read-only, with 512 MB of memory; `SET memory_limit` changes that.

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
        return duckdb.connect(str(path), read_only=True, config={**NO_EXTENSIONS, "memory_limit": _MEMORY})
    except duckdb.ConnectionException as error:
        raise StoreError(
            path,
            found="that this Python process has it open with other settings",
            required="pcip_core.store.publish.connect for all its connections to the file",
            remedy="Close the other connections: con.close()",
        ) from error
    except duckdb.Error as error:
        raise StoreError(
            path,
            found=f"a file that DuckDB {duckdb.__version__} cannot open ({str(error).splitlines()[0]})",
            required="a store published by pcip, which no other program writes to",
            remedy="Rebuild it from the Parquet partitions: pcip publish --rebuild",
        ) from error


def answer(path: Path, query: str, values: Sequence[Any] = ()) -> pl.DataFrame:
    """The answer of the published store to a query.

    Args:
        path: the published file.
        query: SQL, with ? for values.
        values: the values.

    Raises:
        StoreError: the file cannot be opened, or the query fails.
    """
    with connect(path) as con:
        try:
            result = con.sql(query, params=list(values))
            return pl.DataFrame() if result is None else frame_of(result.to_arrow_table())
        except duckdb.Error as error:
            raise StoreError(
                path,
                found=f"a query that fails ({str(error).splitlines()[0]})",
                required="SQL of DuckDB over the tables of docs/tables.md",
                remedy="Correct the query.",
            ) from error


def publish(store: Store, path: Path, *, rebuild: bool = False) -> Published:
    """Update the published file from the store; it is not touched if nothing has changed.

    Args:
        store: the partitions.
        path: the published file.
        rebuild: build it from all partitions, even if nothing has changed.

    Raises:
        StoreError: the file cannot be written, and the old one is still there; or a partition is damaged, and the
            screens without a damaged one are published.
    """
    missing: list[Key] = []
    path = path.resolve()  # a link to a file on another disk stays a link
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_suffix(".lock")):  # publishers of several runs queue
            _clear(path.parent, f".{path.stem}.*.tmp*")  # left by killed publishers
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


def _publish(store: Store, path: Path, beside: Path, missing: list[Key], *, rebuild: bool) -> Published:
    """Publish, with `beside` as the name of the next version; `missing` receives what the file lacks."""
    have = read_books(path, beside)
    foreign = foreign_write(path, beside, readable=have is not None)
    have = None if rebuild or foreign else have
    if have is not None and not has_changed(store, have):
        return Published()
    spare = books_of_spare(path, beside) if have is not None else None
    with snapshot(store, have or {}, spare or {}) as taken:
        missing += _changes(taken, have or {})
        result = Published()
        if have is None or missing:
            written = _written(taken, path, beside, have, spare)
            if written is None:  # the snapshot is of changes only
                return _publish(store, path, beside, missing, rebuild=True)
            result = written
            result.warning = foreign and _rebuilt_because(path, foreign)
            _replace(path, beside, is_sound=not result.rebuilt)
    if taken.damaged:
        raise _incomplete(path, taken.damaged, result)
    return result


def _changes(taken: Snapshot, have: Books) -> list[Key]:
    """The partitions that differ between the snapshot and a file, without those of damaged screens."""
    wanted, present = commits(taken.books), commits(have)
    differing = {key for key in wanted.keys() | present.keys() if wanted.get(key) != present.get(key)}
    return sorted(key for key in differing if key[0] not in taken.damaged)


def _replace(path: Path, beside: Path, *, is_sound: bool) -> None:
    """Publish the next version. The former one becomes the spare if it is sound."""
    beside.chmod(beside.stat().st_mode & _READ_ONLY)
    journal.sync(beside)
    record(path, beside)
    write_log(path).unlink(missing_ok=True)  # a log of another program does not belong to the new file
    keep(path, beside) if is_sound else drop(path)
    beside.replace(path)
    journal.sync(path.parent)


def _incomplete(path: Path, damaged: Mapping[str, StoreError], result: Published) -> StoreError:
    """The error of a publication without some screens."""
    error, *others = damaged.values()
    further = f", and likewise {_listed([other.where for other in others])}" if others else ""
    warning = f" {result.warning}" if result.warning else ""
    return StoreError(
        error.where,
        found=error.found + further,
        required=error.required,
        remedy=f"{error.remedy} Until then, {path.name} shows the earlier results of {', '.join(damaged)}, if any. "
        f"The results of the other screens are published ({result}).{warning}",
    )


def _rebuilt_because(path: Path, foreign: str) -> str:
    """The warning about another program."""
    return (
        f"{path}: found {foreign}; required: a file that only pcip writes. It was rebuilt from the Parquet "
        "partitions; what others wrote to it is lost. Open it read-only: duckdb -readonly"
    )


def _written(
    taken: Snapshot, path: Path, beside: Path, have: Books | None, spare: Books | None
) -> Published | None:
    """Write the next version: the spare or a copy of the published file, updated; or a new file.

    None if the files cannot be updated.
    """
    if have is not None and spare is not None and take(path, beside) and _updated(taken, beside, spare, have):
        return _result(taken, have)
    drop(path)
    if have is not None:
        copy(path, beside)
        return _result(taken, have) if _updated(taken, beside, have, have) else None
    update(taken, beside, {}, {})
    result = _result(taken, {})
    result.rebuilt = True
    return result


def _updated(taken: Snapshot, beside: Path, books: Books, have: Books) -> bool:
    """Update a file with these books; False, and it is removed, if it cannot be used."""
    try:
        update(taken, beside, books, have)
    except (
        duckdb.Error,
        BehindError,
    ):  # tables may be damaged although the books are not; a full disk fails again
        _clear(beside.parent, f"{beside.name}*")
        return False
    return True


def _result(taken: Snapshot, have: Books) -> Published:
    """The result of an update from these partitions to those of the snapshot."""
    changes = _changes(taken, have)
    loaded = sum(key in taken.books for key in changes)
    return Published(loaded, len(changes) - loaded, [_name(key) for key in taken.left_out])


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
