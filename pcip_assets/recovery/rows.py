"""Copying the rows of one SQLite database into another with the same tables, as far as they can be read."""

import itertools
import sqlite3
from collections.abc import Collection, Iterator
from typing import NamedTuple

_AT_ONCE = 1000
_TEMPORARY = (
    "_alembic_tmp_"  # a migration fills a table of this name, and then gives it the name of the old table
)


class Copied(NamedTuple):
    """Which rows were copied.

    Attributes:
        rows: their number.
        incomplete: tables with rows that could not be read, or that the new table does not accept.
    """

    rows: int
    incomplete: list[str]


def table_names(connection: sqlite3.Connection) -> set[str]:
    """The tables of a database."""
    rows = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    )
    return {name for (name,) in rows}


def copy_rows(old: sqlite3.Connection, new: sqlite3.Connection, *, without: Collection[str] = ()) -> Copied:
    """Copy the rows of each table that both databases have. Rows that the new one has already stay as they are."""
    rows, incomplete = 0, []
    former = table_names(old)
    for table in sorted(table_names(new) - set(without)):
        source = table if table in former else _TEMPORARY + table
        if source not in former:
            continue
        columns = [name for name in _columns(new, table) if name in set(_columns(old, source))]
        copied, complete = _copy(old, source, new, table, columns)
        rows += copied
        if not complete:
            incomplete.append(table)
    new.commit()
    return Copied(rows, incomplete)


def _copy(
    old: sqlite3.Connection, source: str, new: sqlite3.Connection, table: str, columns: list[str]
) -> tuple[int, bool]:
    """Copy one table; return the number of rows read, and whether all of the table is in the new one."""
    names = ", ".join(map(_quoted, columns))
    insert = f"INSERT OR IGNORE INTO {_quoted(table)} ({names}) VALUES ({', '.join('?' * len(columns))})"
    read, readable = 0, True
    rows = _read(old, f"SELECT {names} FROM {_quoted(source)}")
    while readable:
        try:
            chunk = list(itertools.islice(rows, _AT_ONCE))
        except sqlite3.DatabaseError:
            chunk, readable = [], False
        if not chunk:
            break
        new.executemany(insert, chunk)
        read += len(chunk)
    (present,) = new.execute(f"SELECT count(*) FROM {_quoted(table)}").fetchone()
    return read, readable and present >= read


def _read(connection: sqlite3.Connection, select: str) -> Iterator[tuple[object, ...]]:
    yield from connection.execute(select)


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    """The columns of a table, without the computed ones."""
    return [row[1] for row in connection.execute(f"PRAGMA table_info({_quoted(table)})")]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
