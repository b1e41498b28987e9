"""Whether another program wrote to the published file.

DuckDB writes the first blocks of a file at every checkpoint: they hold a counter and the places of all tables.
Their digest is recorded beside the file at publication. It does not depend on any clock, and a copied workspace
keeps it. Changes that are not yet in the file are in DuckDB's log beside it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import duckdb

from pcip_core.files import replacing
from pcip_core.store.publishing.books import renamed
from pcip_core.store.sql import NO_EXTENSIONS

_HEADERS = 3 * 4096  # bytes: the header of the file, and two of the database that are written in turn


def record(path: Path, new: Path) -> None:
    """Record that the file `new` is about to be published as `path`.

    The digest of the present file stays valid, because it becomes the spare, or remains if the process is killed.
    """
    digests = [*([_digest(path)] if is_known(path, path) else []), _digest(new)]
    with replacing(_record(path), sync=True) as temporary:
        temporary.write_text("\n".join(digests) + "\n")


def foreign_write(path: Path, beside: Path, *, readable: bool) -> str | None:
    """What another program did to the published file, in words; None if it is as it was published, or missing.

    Args:
        path: the published file.
        beside: another name for it, used for a moment.
        readable: whether its records could be read.
    """
    if not path.is_file():
        return None
    log, reason = write_log(path), None
    if log.is_file():
        reason = f"changes by another program, in {log.name}"
    elif not is_known(path, path):
        reason = "a file that another program, or an earlier version of pcip, wrote"
    if reason is None and readable:
        return None
    writer = _writer(path, beside)
    return reason if writer is None else f"that another program has the file open for writing: {writer}"


def is_known(file: Path, path: Path) -> bool:
    """Whether a file is the published one, or the one published before it, as pcip wrote it."""
    known = _record(path)
    return file.is_file() and known.is_file() and _digest(file) in known.read_text().split()


def write_log(path: Path) -> Path:
    """Where DuckDB writes changes before they are in the file."""
    return path.with_name(f"{path.name}.wal")


def _record(path: Path) -> Path:
    return path.with_suffix(".digest")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.blake2b(file.read(_HEADERS), digest_size=16).hexdigest()


def _writer(path: Path, beside: Path) -> str | None:
    """The program that holds the file open for writing, as DuckDB names it."""
    try:
        with renamed(path, beside) as file:
            duckdb.connect(str(file), read_only=True, config=NO_EXTENSIONS).close()
    except duckdb.Error as error:
        _, held, holder = str(error).partition("Conflicting lock is held in ")
        return holder.partition(". See")[0] if held else None
    return None
