"""The tables, views and macros of one screen in the published file."""

from __future__ import annotations

import duckdb
import polars as pl
import pyarrow as pa

from pcip_core.features.blocks import Moments
from pcip_core.store.parquet import arrow_of, frame_of
from pcip_core.store.publishing.books import CELL_FEATURES, WHOLE, Books, Key, commits
from pcip_core.store.publishing.nearest import PROTEIN_FEATURES, make_macros, moments_of, update_scales
from pcip_core.store.publishing.snapshot import Snapshot
from pcip_core.store.schemas import BENCHMARKS
from pcip_core.store.sql import quoted, tables

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
        moments: dict[str, Moments] = {}
        if not new:
            con.execute(f"DROP TABLE IF EXISTS {quoted(screen, table)}")
        elif not old or not _replaced(con, taken, changed, gone, moments):
            _loaded_whole(con, taken, list(new), moments)
            touched[table] = {key[2] for key in (*new, *old)}
        if table.startswith((CELL_FEATURES, PROTEIN_FEATURES)):
            update_scales(con, screen, table, moments, (key[2] for key in gone))
    _finish(con, screen, touched)
    make_macros(con, screen, _default_set(taken, screen, wanted))


def _default_set(taken: Snapshot, screen: str, wanted: Books) -> str | None:
    """The feature set that the spec compares by; None where earlier versions did not record it."""
    key = (screen, "screen", WHOLE)
    row = frame_of(taken.rows(key)).row(0, named=True) if key in wanted else {}
    return row.get("feature_set")


def _replaced(
    con: duckdb.DuckDBPyConnection,
    taken: Snapshot,
    changed: list[Key],
    gone: list[Key],
    moments: dict[str, Moments],
) -> bool:
    """Replace partitions of one table; False if the whole table must be reloaded. Otherwise as `_loaded_whole`.

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
        rows = _rows(taken, key, moments)  # noqa: F841  (DuckDB finds it by its name)
        arriving = {name: kind for name, kind, *_ in con.execute("DESCRIBE SELECT * FROM rows").fetchall()}
        if arriving != columns:
            return False
        con.execute(f"DELETE FROM {target} WHERE shard = ?", [key[2]])
        con.execute(f"INSERT INTO {target} BY NAME SELECT * FROM rows")
    for key in gone:
        con.execute(f"DELETE FROM {target} WHERE shard = ?", [key[2]])
    return True


def _loaded_whole(
    con: duckdb.DuckDBPyConnection, taken: Snapshot, keys: list[Key], moments: dict[str, Moments]
) -> None:
    """Load a table from all its partitions, one by one; `moments` receives those of vectors, by shard."""
    kinds = [_shown(pa.Table.from_batches([], taken.schema(key)), key).schema for key in keys]
    target = quoted(*keys[0][:2])
    columns = pa.unify_schemas(kinds, promote_options="permissive")
    rows = pa.Table.from_batches([], columns)
    con.execute(f"CREATE OR REPLACE TABLE {target} AS SELECT * FROM rows")
    for key in keys:
        rows = _rows(taken, key, moments)  # noqa: F841  (see above)
        con.execute(f"INSERT INTO {target} BY NAME SELECT * FROM rows")


def _rows(taken: Snapshot, key: Key, moments: dict[str, Moments]) -> pa.Table:
    """One partition, as it is published; the moments of its vectors are added to `moments`."""
    rows = taken.rows(key)
    if key[1].startswith((CELL_FEATURES, PROTEIN_FEATURES)):
        moments[key[2]] = moments_of(rows)
    return _shown(rows, key)


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
    """Derive cell counts and views from the tables of a screen, of which these shards have changed."""
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
