"""Rows copied from one database to another."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from pcip_assets.recovery.rows import copy_rows


def copied(old: str, new: str, **options: list[str]) -> tuple[dict[str, list[tuple]], int, list[str]]:
    """The rows of each table of the new database, and what is said of them."""
    with closing(sqlite3.connect(":memory:")) as source, closing(sqlite3.connect(":memory:")) as target:
        source.executescript(old)
        target.executescript(new)
        outcome = copy_rows(source, target, **options)
        tables = [name for (name,) in target.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: target.execute(f"SELECT * FROM {name}").fetchall() for name in tables}, *outcome


def test_columns_are_copied_by_name() -> None:
    rows, number, incomplete = copied(
        """CREATE TABLE runs ("from" TEXT, id INTEGER, gone TEXT, twice INTEGER AS (2 * id));
           INSERT INTO runs VALUES ('a', 1, 'x'), (NULL, 2, 'x')""",
        """CREATE TABLE runs (id INTEGER PRIMARY KEY, "from" TEXT, added TEXT, twice INTEGER AS (2 * id))""",
    )
    assert rows == {"runs": [(1, "a", None, 2), (2, None, None, 4)]}
    assert (number, incomplete) == (2, [])


def test_a_row_of_the_new_database_stays_and_left_out_tables_are_not_copied() -> None:
    rows, *_ = copied(
        """CREATE TABLE kinds (id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE version (n INTEGER);
           INSERT INTO kinds VALUES (0, 'old'), (1, 'one'); INSERT INTO version VALUES (1)""",
        """CREATE TABLE kinds (id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE version (n INTEGER);
           INSERT INTO kinds VALUES (0, 'new'); INSERT INTO version VALUES (2)""",
        without=["version"],
    )
    assert rows == {"kinds": [(0, "new"), (1, "one")], "version": [(2,)]}


def test_a_table_whose_rows_the_new_one_refuses_is_named() -> None:
    _, number, incomplete = copied(
        "CREATE TABLE runs (id INTEGER, name TEXT); INSERT INTO runs VALUES (1, 'a'), (2, NULL)",
        "CREATE TABLE runs (id INTEGER, name TEXT NOT NULL)",
    )
    assert (number, incomplete) == (2, ["runs"])


def test_rows_before_a_damaged_page_are_copied(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE runs (id INTEGER PRIMARY KEY, text TEXT)")
        connection.executemany("INSERT INTO runs VALUES (?, ?)", [(n, "x" * 100) for n in range(5000)])
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8192] = bytes(8192)
    path.write_bytes(content)
    with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(":memory:")) as new:
        new.execute("CREATE TABLE runs (id INTEGER PRIMARY KEY, text TEXT)")
        incomplete = copy_rows(old, new).incomplete
        ids = [n for (n,) in new.execute("SELECT id FROM runs ORDER BY id")]
    assert incomplete == ["runs"]
    assert 1000 < len(ids) < 5000
    assert ids == list(range(len(ids)))
