"""The tables over all screens in the published file, and the comments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import duckdb
import polars as pl

from pcip_core.features.names import split_name
from pcip_core.store.parquet import arrow_of, frame_of
from pcip_core.store.publishing.books import CELL_FEATURES, WHOLE, Books, newest, rows_of
from pcip_core.store.publishing.snapshot import Snapshot
from pcip_core.store.schemas import BENCHMARKS, FEATURE_SETS, PUBLISHED, SCREENS, Table, published_table
from pcip_core.store.sql import count, quoted, tables, text

_NAMES = {"tbl": pl.String, "shard": pl.String}


def make_main(con: duckdb.DuckDBPyConnection) -> set[str]:
    """Make the tables over all screens that are missing or have other columns, empty; their names."""
    made = set()
    columns = (
        "SELECT column_name, data_type FROM duckdb_columns() WHERE schema_name = 'main' AND table_name = ?"
    )
    for table in (SCREENS, FEATURE_SETS, BENCHMARKS, PUBLISHED):
        wanted = list(table.duckdb_types.items())
        if con.execute(columns, [table.name]).fetchall() != wanted:
            described = ", ".join(f"{quoted(name)} {kind}" for name, kind in wanted)
            con.execute(f"CREATE OR REPLACE TABLE main.{table.name} ({described})")
            made.add(table.name)
    return made


def update_main(
    con: duckdb.DuckDBPyConnection, taken: Snapshot, screen: str, have: Books, books: Books
) -> None:
    """Rewrite the rows of one screen in the tables over all screens, by its tables and the partitions in them.

    Args:
        con: the private file.
        taken: the snapshot.
        screen: the screen.
        have: its partitions that `main.published` lists; of them, only the rows that differ are rewritten.
        books: its partitions to be listed.

    Raises:
        StoreError: a partition is damaged.
    """
    there = set(tables(con, screen))
    screens, scores = [], []
    if (screen, "screen", WHOLE) in books:
        description = frame_of(taken.rows((screen, "screen", WHOLE))).row(0, named=True)
        counts = {f"n_{name}": count(con, screen, name) for name in ("images", "cells") if name in there}
        screens.append({"n_images": 0, "n_cells": 0, **description, **counts})
    for key in sorted(key for key in books if BENCHMARKS.holds(key[1])):
        scores += [{"screen": screen, **row} for row in frame_of(taken.rows(key)).to_dicts()]
    described = sorted(table for table in there if table.startswith(CELL_FEATURES))
    _replace(con, SCREENS, screen, screens)
    _replace(con, FEATURE_SETS, screen, [_feature_set(con, books, screen, table) for table in described])
    _replace(con, BENCHMARKS, screen, scores)
    _list(con, screen, have, books)


def _replace(
    con: duckdb.DuckDBPyConnection, table: Table, screen: str, rows: Iterable[Mapping[str, Any]]
) -> None:
    arrow = arrow_of(table.frame(rows, added=True))  # noqa: F841  (DuckDB finds it by its name)
    con.execute(f"DELETE FROM main.{table.name} WHERE screen = ?", [screen])
    con.execute(f"INSERT INTO main.{table.name} BY NAME SELECT * FROM arrow")


def _list(con: duckdb.DuckDBPyConnection, screen: str, have: Books, books: Books) -> None:
    """List the partitions of a screen: remove the rows of those that have changed or are gone, and add the new ones."""
    gone = [key for key, entry in have.items() if books.get(key) != entry]
    removed = arrow_of(pl.DataFrame([key[1:] for key in gone], _NAMES, orient="row"))  # noqa: F841  (as above)
    con.execute(
        "DELETE FROM main.published p USING removed r WHERE p.screen = ? AND p.tbl = r.tbl AND p.shard = r.shard",
        [screen],
    )
    new = {key: entry for key, entry in books.items() if have.get(key) != entry}
    added = arrow_of(PUBLISHED.frame(rows_of(new), added=True))  # noqa: F841
    con.execute("INSERT INTO main.published BY NAME SELECT * FROM added")


def _feature_set(con: duckdb.DuckDBPyConnection, books: Books, screen: str, table: str) -> dict[str, Any]:
    name = table.removeprefix(CELL_FEATURES)
    method, layer, correction = split_name(name)
    kinds = {column: kind for column, kind, *_ in con.execute(f"DESCRIBE {quoted(screen, table)}").fetchall()}
    entries = [entry for key, entry in books.items() if key[:2] == (screen, table)]
    last = newest(entries).provenance
    versions, precisions = (
        {value for entry in entries if (value := entry.provenance.get(key))}
        for key in ("encoder_version", "precision")
    )
    copied = ("encoder_overrides", "mlflow_run_id", "dagster_run_id", "code_version", "commit", "inputs_hash")
    moment = last.get("created_at")
    return {
        "screen": screen,
        "feature_set": name,
        "method": f"{method}_{correction}" if correction else method,
        "layer": layer,
        "dim": int(kinds["features"].removeprefix("FLOAT[").removesuffix("]")),
        "n_cells": count(con, screen, table),
        "encoder_version": ", ".join(sorted(versions)) or None,
        "precision": ", ".join(sorted(precisions)) or None if layer else None,
        **{key: last.get(key) for key in copied},
        "created_at": None if moment is None else _utc(moment),
    }


def _utc(moment: str) -> datetime:
    """Parse a time in ISO format; UTC if it has no zone."""
    time = datetime.fromisoformat(moment)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def comment(con: duckdb.DuckDBPyConnection, screen: str) -> None:
    """Attach the documentation as comments to tables and columns of a screen, and over all, that lack it."""
    listed = con.execute(
        "WITH commented AS ("
        "SELECT schema_name, table_name, NULL AS column_name, comment, 'TABLE' FROM duckdb_tables() UNION ALL "
        "SELECT schema_name, view_name, NULL, comment, 'VIEW' FROM duckdb_views() WHERE NOT internal UNION ALL "
        "SELECT schema_name, table_name, column_name, comment, 'COLUMN' FROM duckdb_columns() WHERE NOT internal"
        ") FROM commented WHERE schema_name IN ('main', ?)",
        [screen],
    ).fetchall()
    for schema, table, column, present, kind in listed:
        known = published_table(table, whole_store=schema == "main")
        if known is None or (column is not None and column not in known.columns):
            continue
        meaning = known.description if column is None else known.columns[column][1]
        if present != meaning:
            names = [schema, table] if column is None else [schema, table, column]
            con.execute(f"COMMENT ON {kind} {quoted(*names)} IS {text(meaning)}")
