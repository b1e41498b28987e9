"""DuckDB: its settings, names and values as SQL text, and what a file contains. Other values are parameters."""

from __future__ import annotations

from typing import Any

import duckdb

from pcip_core.errors import StoreError

NO_EXTENSIONS: dict[str, Any] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
_SHOWN = 100  # rows of a printed table
STORAGE = "v1.5.0"
"""Version of the format of the published file: programs of DuckDB from 1.5 on open it. The default of 2.0 is newer."""


def quoted(*names: str) -> str:
    """A qualified name as an identifier.

    >>> quoted("order", 'a"b')
    '"order"."a""b"'
    """
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def text(value: str) -> str:
    """A value as a literal, where SQL permits no parameter.

    >>> text("it's")
    "'it''s'"
    """
    return "'" + value.replace("'", "''") + "'"


def tables(con: duckdb.DuckDBPyConnection, schema: str) -> list[str]:
    """Names of the tables of a schema."""
    rows = con.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = ?", [schema]).fetchall()
    return [name for (name,) in rows]


def count(con: duckdb.DuckDBPyConnection, screen: str, table: str) -> int:
    """Number of rows of a table."""
    row = con.execute(f"SELECT count(*) FROM {quoted(screen, table)}").fetchone()
    return int(row[0]) if row else 0


def _without_end(statement: str) -> str:
    """A statement without its semicolon and the comments behind it, which DuckDB does not accept in a relation."""
    encoded = statement.encode()
    ends = [place for place, _ in duckdb.tokenize(statement) if encoded[place : place + 1] == b";"]
    return encoded[: ends[-1]].decode() if ends else statement


def show(con: duckdb.DuckDBPyConnection, query: str) -> None:
    """Print what the statements of a query give, as tables.

    Raises:
        StoreError: DuckDB refuses a statement.
    """
    try:
        for statement in con.extract_statements(query):
            result = con.sql(_without_end(statement.query))
            if result is not None:
                result.show(max_rows=_SHOWN)
    except duckdb.Error as error:
        raise StoreError(
            "SQL",
            found=str(error).strip(),
            required="statements of DuckDB that read, over the tables of docs/tables.md",
            remedy='pcip sql "SELECT table_schema, table_name FROM information_schema.tables" lists the tables, and '
            "`DESCRIBE SCREEN.TABLE` the columns of one.",
        ) from error
