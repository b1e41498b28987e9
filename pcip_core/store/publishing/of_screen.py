"""The tables, views and macros of one screen in the published file."""

from __future__ import annotations

import duckdb
import polars as pl
import pyarrow as pa

from pcip_core.store.parquet import arrow_of
from pcip_core.store.publishing.books import CELL_FEATURES, WHOLE, Books, Key, commits
from pcip_core.store.publishing.snapshot import Snapshot
from pcip_core.store.schemas import BENCHMARKS
from pcip_core.store.sql import quoted, tables

PROTEIN_FEATURES = "protein_features_"
_COUNTED = {"images": ("image_id",), "fields": ("image_id", "field")}  # tables with n_cells -> their keys
_VIEWS = ("quarantine", "confusion", "exclusions")  # each is a union of all tables <view>_<noun>


def update_screen(
    con: duckdb.DuckDBPyConnection, taken: Snapshot, screen: str, have: Books, wanted: Books
) -> None:
    """Update the tables of one screen from the partitions that they have to those wanted, by their commits.

    Raises:
        StoreError: a partition is damaged.
    """
    con.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(screen)}")
    touched: dict[str, set[str]] = {}
    for table in sorted({key[1] for key in wanted | have}):
        new = commits({key: entry for key, entry in wanted.items() if key[1] == table})
        old = commits({key: entry for key, entry in have.items() if key[1] == table})
        changed = [key for key, commit in new.items() if old.get(key) != commit]
        gone = [key for key in old if key not in new]
        if table == "screen" or BENCHMARKS.holds(table) or not (changed or gone):
            continue
        touched[table] = {key[2] for key in (*changed, *gone)}
        if not new:
            con.execute(f"DROP TABLE IF EXISTS {quoted(screen, table)}")
        elif not old or not _replaced(con, taken, changed, gone):
            _loaded_whole(con, taken, list(new))
            touched[table] = {key[2] for key in (*new, *old)}
    _finish(con, screen, touched)


def _replaced(con: duckdb.DuckDBPyConnection, taken: Snapshot, changed: list[Key], gone: list[Key]) -> bool:
    """Replace partitions of one table; False if the whole table must be reloaded.

    A reload is necessary if the table has no shards, or if the columns differ.
    """
    if any(key[2] == WHOLE for key in (*changed, *gone)):
        return False
    screen, table, _ = [*changed, *gone][0]
    target = quoted(screen, table)
    columns = {name: kind for name, kind, *_ in con.execute(f"DESCRIBE {target}").fetchall()}
    if table in _COUNTED:
        columns.pop("n_cells", None)
    for key in changed:
        rows = _rows(taken, key)  # noqa: F841  (DuckDB finds it by its name)
        arriving = {name: kind for name, kind, *_ in con.execute("DESCRIBE SELECT * FROM rows").fetchall()}
        if arriving != columns:
            return False
        con.execute(f"DELETE FROM {target} WHERE shard = ?", [key[2]])
        con.execute(f"INSERT INTO {target} BY NAME SELECT * FROM rows")
    for key in gone:
        con.execute(f"DELETE FROM {target} WHERE shard = ?", [key[2]])
    return True


def _loaded_whole(con: duckdb.DuckDBPyConnection, taken: Snapshot, keys: list[Key]) -> None:
    """Load a table from all its partitions, one by one."""
    kinds = [_shown(pa.Table.from_batches([], taken.schema(key)), key).schema for key in keys]
    target = quoted(*keys[0][:2])
    columns = pa.unify_schemas(kinds, promote_options="permissive")
    rows = pa.Table.from_batches([], columns)
    con.execute(f"CREATE OR REPLACE TABLE {target} AS SELECT * FROM rows")
    for key in keys:
        rows = _rows(taken, key)  # noqa: F841  (see above)
        con.execute(f"INSERT INTO {target} BY NAME SELECT * FROM rows")


def _rows(taken: Snapshot, key: Key) -> pa.Table:
    """One partition, as it is published."""
    return _shown(taken.rows(key), key)


def _shown(rows: pa.Table, key: Key) -> pa.Table:
    """Rows with their shard as a column, if the table has shards. Cells are counted later."""
    _, table, shard = key
    rows = rows.replace_schema_metadata()
    if table in _COUNTED and "n_cells" in rows.column_names:
        rows = rows.drop_columns("n_cells")
    if shard == WHOLE:
        return rows
    named = arrow_of(pl.select(shard=pl.repeat(shard, rows.num_rows, dtype=pl.String)))["shard"]
    if "shard" in rows.column_names:
        return rows.set_column(rows.column_names.index("shard"), "shard", named)
    return rows.append_column("shard", named)


def _finish(con: duckdb.DuckDBPyConnection, screen: str, touched: dict[str, set[str]]) -> None:
    """Derive cell counts, views and macros from the tables of a screen, of which these shards have changed."""
    there = set(tables(con, screen))
    schema = quoted(screen)
    for table in _COUNTED:
        if table in there and (shards := touched.get(table, set()) | touched.get("cells", set())):
            con.execute(f"ALTER TABLE {schema}.{table} ADD COLUMN IF NOT EXISTS n_cells BIGINT")
            _count_cells(con, schema, table, shards, cells="cells" in there)
    for view in _VIEWS:
        parts = [f"SELECT * FROM {schema}.{name}" for name in sorted(there) if name.startswith(f"{view}_")]
        if parts:
            con.execute(f"CREATE OR REPLACE VIEW {schema}.{view} AS {' UNION ALL BY NAME '.join(parts)}")
        else:
            con.execute(f"DROP VIEW IF EXISTS {schema}.{view}")
    features, proteins = f"{screen}.{CELL_FEATURES}", f"{screen}.{PROTEIN_FEATURES}"
    con.execute(_similar(schema, "similar_cells", "cell_id", "image_id", features))
    con.execute(_similar(schema, "similar_proteins", "protein", "n_cells", proteins))


def _count_cells(
    con: duckdb.DuckDBPyConnection, schema: str, table: str, shards: set[str], *, cells: bool
) -> None:
    """Count the cells of each row of a table within its shard, for these shards; or of all, if there are no shards."""
    keys = [*_COUNTED[table], *([] if WHOLE in shards else ["shard"])]
    values = [] if WHOLE in shards else sorted(shards)
    within = f"shard IN ({', '.join('?' * len(values))})" if values else "TRUE"
    con.execute(f"UPDATE {schema}.{table} SET n_cells = 0 WHERE {within}", values)
    if cells:
        joined = " AND ".join(f"{quoted(table)}.{key} = counted.{key}" for key in keys)
        con.execute(
            f"UPDATE {schema}.{table} SET n_cells = counted.n FROM (SELECT {', '.join(keys)}, count(*) AS n "
            f"FROM {schema}.cells WHERE {within} GROUP BY ALL) counted WHERE {joined}",
            values,
        )


def _similar(schema: str, macro: str, key: str, shown: str, prefix: str) -> str:
    """SQL of a macro. An unqualified name is a parameter; `f.` and `w.` mark columns.

    A subquery of one row looks up the query vector or raises the error. With `coalesce` outside it, DuckDB would
    copy the vector for each row of the table.
    """
    source = f"query_table(concat('{prefix}', feature_set))"
    wanted = (
        f"(SELECT coalesce((SELECT w.features FROM {source} w WHERE w.{key} = {key}), "
        f"error(concat('no {key} ', {key}, ' in {prefix}', feature_set))))"
    )
    return (
        f"CREATE OR REPLACE MACRO {schema}.{macro}(feature_set, {key}, n) AS TABLE "
        f"SELECT f.{key}, f.{shown}, array_distance(f.features, {wanted}) AS distance "
        f"FROM {source} f ORDER BY distance, f.{key} LIMIT n"
    )
