"""Publishing of the store as one DuckDB file, which is written separately and then replaces the old file.

The published file is never modified in place. Publishing copies it, updates the changed partitions in the copy
and renames the copy; a reader that has the old file open continues to read it. All data in the file come from the
Parquet partitions, so that a missing or damaged file can be rebuilt.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from pcip_core.errors import StoreError
from pcip_core.features.names import split_name
from pcip_core.locks import locked
from pcip_core.store.books import (
    NO_EXTENSIONS,
    WHOLE,
    Books,
    Key,
    commits,
    read_books,
    rows_of,
    wanted_books,
)
from pcip_core.store.parquet import arrow_of
from pcip_core.store.partitions import Store
from pcip_core.store.schemas import BENCHMARKS, FEATURE_SETS, PUBLISHED, SCREENS, Table, published_table

CELL_FEATURES, PROTEIN_FEATURES = "cell_features_", "protein_features_"
_VIEWS = ("quarantine", "confusion", "exclusions")  # each is a union of all tables <view>_<noun>
_MEMORY = "512MB"  # for DuckDB, in addition to one shard; by default it caches up to 80 % of all memory
_PLAIN_VECTORS = "SET disabled_compression_methods = 'alp,alprd'"  # has no effect as a `config` of `connect`


@dataclass
class Published:
    """Result of publishing: partitions loaded, dropped, and left out because their vectors have another length.

    `rebuilt`: whether the file was missing or damaged, and was rebuilt.
    """

    loaded: int = 0
    dropped: int = 0
    stale: list[str] = field(default_factory=list)
    rebuilt: bool = False

    @property
    def changed(self) -> bool:
        """Whether the file was replaced."""
        return bool(self.loaded or self.dropped or self.rebuilt)

    def __str__(self) -> str:
        if not self.changed:
            return "no changes"
        counts = f"{self.loaded} partitions loaded, {self.dropped} dropped"
        return counts + (f"; left out until recomputed: {', '.join(self.stale)}" if self.stale else "")


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
            required="a store published by pcip",
            remedy="Run any screen: the file is rebuilt from the Parquet partitions.",
        ) from error


def publish(store: Store, path: Path) -> Published:
    """Update the published file from the store; it is not touched if nothing has changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock")):  # publishers of several runs queue
        beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        _clear(path.parent, f".{path.name}.*.tmp*")  # left by killed publishers
        _clear(
            path.parent, f"{path.name}.wal"
        )  # someone wrote to the file; the log does not belong to the new file
        try:
            return _publish(store, path, beside)
        finally:
            _clear(path.parent, f"{beside.name}*")


def _publish(store: Store, path: Path, beside: Path) -> Published:
    have = read_books(path, beside)
    wanted = wanted_books(store, have or {})
    if have is not None and commits(have) == commits(wanted):
        return Published()
    if have is not None:
        shutil.copyfile(path, beside)
        try:
            result = _update(store, beside, wanted, have)
        except duckdb.Error:  # tables are damaged, although its records are not
            _clear(path.parent, f"{beside.name}*")
            have = None
    if have is None:
        result = _update(store, beside, wanted, {})
        result.rebuilt = True
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    beside.replace(path)
    return result


def _update(store: Store, file: Path, wanted: Books, have: Books) -> Published:
    """Update a private copy from the partitions that it has to the wanted ones."""
    result = Published()
    with duckdb.connect(str(file), config={**NO_EXTENSIONS, "memory_limit": _MEMORY}) as con:
        con.execute(_PLAIN_VECTORS)
        for screen in sorted({key[0] for key in wanted | have}):
            con.execute("BEGIN")
            if any(key[0] == screen for key in wanted):
                _update_screen(con, store, screen, commits(wanted), commits(have), result)
            else:
                result.dropped += sum(key[0] == screen for key in have)
                con.execute(f"DROP SCHEMA IF EXISTS {_quoted(screen)} CASCADE")
            con.execute("COMMIT")
        con.execute("BEGIN")  # hundreds of comments, each of which would be synced on its own
        _update_main(con, store, wanted)
        _replace_main(con, PUBLISHED, rows_of(wanted))
        _comment(con)
        con.execute("COMMIT")
        con.execute("CHECKPOINT")
    return result


def _clear(folder: Path, pattern: str) -> None:
    for left in folder.glob(pattern):
        left.unlink()


def _update_screen(
    con: duckdb.DuckDBPyConnection,
    store: Store,
    screen: str,
    wanted: dict[Key, str],
    have: dict[Key, str],
    result: Published,
) -> None:
    """Update all tables of one screen."""
    con.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(screen)}")
    touched = set()
    for table in sorted({key[1] for key in wanted | have if key[0] == screen}):
        new = {key[2]: commit for key, commit in wanted.items() if key[:2] == (screen, table)}
        old = {key[2]: commit for key, commit in have.items() if key[:2] == (screen, table)}
        changed = [shard for shard, commit in new.items() if old.get(shard) != commit]
        gone = [shard for shard in old if shard not in new]
        result.loaded += len(changed)
        result.dropped += len(gone)
        if table == "screen" or BENCHMARKS.holds(table) or not (changed or gone):
            continue
        if not new:
            con.execute(f"DROP TABLE IF EXISTS {_quoted(screen, table)}")
        elif not old or not _replaced(con, store, screen, table, changed, gone):
            _loaded_whole(con, store, screen, table, list(new), result)
        touched.add(table)
    _finish_screen(con, screen, touched)


def _replaced(
    con: duckdb.DuckDBPyConnection,
    store: Store,
    screen: str,
    table: str,
    changed: list[str],
    gone: list[str],
) -> bool:
    """Replace partitions in place; False if the whole table must be reloaded.

    A reload is necessary if the table has no shards, if the columns differ, or if vectors are removed: the
    remaining partitions may be those that were left out because of another length.
    """
    target = _quoted(screen, table)
    columns = {name: kind for name, kind, *_ in con.execute(f"DESCRIBE {target}").fetchall()}
    if WHOLE in (*changed, *gone) or (gone and "features" in columns):
        return False
    if table == "images":
        columns.pop("n_cells", None)
    for shard in changed:
        rows = _rows(store, screen, table, shard)  # noqa: F841  (see above)
        arriving = {name: kind for name, kind, *_ in con.execute("DESCRIBE SELECT * FROM rows").fetchall()}
        if arriving != columns:
            return False
        con.execute(f"DELETE FROM {target} WHERE shard = ?", [shard])
        con.execute(f"INSERT INTO {target} BY NAME SELECT * FROM rows")
    for shard in gone:
        con.execute(f"DELETE FROM {target} WHERE shard = ?", [shard])
    return True


def _loaded_whole(
    con: duckdb.DuckDBPyConnection,
    store: Store,
    screen: str,
    table: str,
    shards: list[str],
    result: Published,
) -> None:
    """Load a table from all its partitions, one by one. Partitions whose vectors differ in length from the
    newest ones are left out.
    """
    kinds = {shard: _shown(_empty(store, screen, table, shard), table, shard).schema for shard in shards}
    if all("features" in kind.names for kind in kinds.values()):
        newest = max(shards, key=lambda shard: _provenance(store, screen, table, shard).get("created_at", ""))
        for shard in shards:
            if kinds[shard].field("features").type != kinds[newest].field("features").type:
                del kinds[shard]
                result.stale.append(f"{screen}.{table} {shard}")
    target = _quoted(screen, table)
    columns = pa.unify_schemas(list(kinds.values()), promote_options="permissive")
    rows = pa.Table.from_batches([], columns)
    con.execute(f"CREATE OR REPLACE TABLE {target} AS SELECT * FROM rows")
    for shard in kinds:
        rows = _rows(store, screen, table, shard)  # noqa: F841  (see above)
        con.execute(f"INSERT INTO {target} BY NAME SELECT * FROM rows")


def _rows(store: Store, screen: str, table: str, shard: str) -> pa.Table:
    """One partition, as it is published."""
    return _shown(store.arrow(screen, table, shard=shard or None), table, shard)


def _empty(store: Store, screen: str, table: str, shard: str) -> pa.Table:
    """The columns of one partition, without rows."""
    return pa.Table.from_batches([], store.arrow_schema(screen, table, shard=shard or None))


def _shown(rows: pa.Table, table: str, shard: str) -> pa.Table:
    """Rows with their shard as a column, if the table has shards. Cells per image are counted later."""
    rows = rows.replace_schema_metadata()
    if table == "images" and "n_cells" in rows.column_names:
        rows = rows.drop_columns("n_cells")
    if shard == WHOLE:
        return rows
    named = pa.repeat(pa.scalar(shard, pa.string()), rows.num_rows)
    if "shard" in rows.column_names:
        return rows.set_column(rows.column_names.index("shard"), "shard", named)
    return rows.append_column("shard", named)


def _provenance(store: Store, screen: str, table: str, shard: str) -> dict[str, Any]:
    return store.provenance(screen, table, shard or None) or {}


def _finish_screen(con: duckdb.DuckDBPyConnection, screen: str, touched: set[str]) -> None:
    """Derive cell counts, views and macros from the tables of a screen."""
    there = set(_tables(con, screen))
    schema = _quoted(screen)
    if "images" in there and touched & {"images", "cells"}:
        con.execute(f"ALTER TABLE {schema}.images ADD COLUMN IF NOT EXISTS n_cells BIGINT")
        count = f"(SELECT count(*) FROM {schema}.cells c WHERE c.image_id = images.image_id)"
        con.execute(f"UPDATE {schema}.images SET n_cells = {count if 'cells' in there else 0}")
    for view in _VIEWS:
        parts = [f"SELECT * FROM {schema}.{name}" for name in sorted(there) if name.startswith(f"{view}_")]
        if parts:
            con.execute(f"CREATE OR REPLACE VIEW {schema}.{view} AS {' UNION ALL BY NAME '.join(parts)}")
        else:
            con.execute(f"DROP VIEW IF EXISTS {schema}.{view}")
    cells, proteins = f"{screen}.{CELL_FEATURES}", f"{screen}.{PROTEIN_FEATURES}"
    con.execute(_similar(schema, "similar_cells", "cell_id", "image_id", cells))
    con.execute(_similar(schema, "similar_proteins", "protein", "n_cells", proteins))


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


def _update_main(con: duckdb.DuckDBPyConnection, store: Store, books: Books) -> None:
    """Rebuild the tables over all screens, which are small."""
    screens, sets, scores = [], [], []
    for screen in store.screens():
        there = set(_tables(con, screen))
        if store.has(screen, "screen"):
            description = store.read(screen, "screen").row(0, named=True)
            counts = {f"n_{name}": _count(con, screen, name) for name in ("images", "cells") if name in there}
            screens.append({"n_images": 0, "n_cells": 0, **description, **counts})
        described = sorted(table for table in there if table.startswith(CELL_FEATURES))
        sets += [_feature_set(con, books, screen, table) for table in described]
        for table in store.tables(screen):
            if BENCHMARKS.holds(table):
                scores += [{"screen": screen, **row} for row in store.read(screen, table).to_dicts()]
    _replace_main(con, SCREENS, screens)
    _replace_main(con, FEATURE_SETS, sets)
    _replace_main(con, BENCHMARKS, scores)


def _replace_main(con: duckdb.DuckDBPyConnection, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """Rebuild one table over all screens."""
    arrow = arrow_of(table.frame(rows, added=True))  # noqa: F841  (DuckDB finds it by its name)
    con.execute(f"CREATE OR REPLACE TABLE main.{table.name} AS SELECT * FROM arrow")


def _feature_set(con: duckdb.DuckDBPyConnection, books: Books, screen: str, table: str) -> dict[str, Any]:
    name = table.removeprefix(CELL_FEATURES)
    method, layer, correction = split_name(name)
    kinds = {
        column: kind for column, kind, *_ in con.execute(f"DESCRIBE {_quoted(screen, table)}").fetchall()
    }
    provenances = [entry.provenance for key, entry in books.items() if key[:2] == (screen, table)]
    newest = max(provenances, key=lambda provenance: provenance.get("created_at", ""))
    versions = sorted({entry["encoder_version"] for entry in provenances if entry.get("encoder_version")})
    copied = ("mlflow_run_id", "dagster_run_id", "code_version", "commit", "inputs_hash")
    moment = newest.get("created_at")
    return {
        "screen": screen,
        "feature_set": name,
        "method": f"{method}_{correction}" if correction else method,
        "layer": layer,
        "dim": int(kinds["features"].removeprefix("FLOAT[").removesuffix("]")),
        "n_cells": _count(con, screen, table),
        "encoder_version": ", ".join(versions) or None,
        **{key: newest.get(key) for key in copied},
        "created_at": None if moment is None else _utc(moment),
    }


def _utc(moment: str) -> datetime:
    """Parse a time in ISO format; UTC if it has no zone."""
    time = datetime.fromisoformat(moment)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _comment(con: duckdb.DuckDBPyConnection) -> None:
    """Attach the documentation as comments to tables and columns."""
    listed = con.execute(
        "SELECT schema_name, table_name, 'TABLE' FROM duckdb_tables() UNION ALL "
        "SELECT schema_name, view_name, 'VIEW' FROM duckdb_views() WHERE NOT internal"
    ).fetchall()
    for schema, table, kind in listed:
        known = published_table(table, whole_store=schema == "main")
        if known is None:
            continue
        con.execute(f"COMMENT ON {kind} {_quoted(schema, table)} IS {_text(known.description)}")
        described = con.execute(f"DESCRIBE {_quoted(schema, table)}").fetchall()
        for column in (row[0] for row in described if row[0] in known.columns):
            meaning = _text(known.columns[column][1])
            con.execute(f"COMMENT ON COLUMN {_quoted(schema, table, column)} IS {meaning}")


def _tables(con: duckdb.DuckDBPyConnection, schema: str) -> list[str]:
    rows = con.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = ?", [schema]).fetchall()
    return [name for (name,) in rows]


def _count(con: duckdb.DuckDBPyConnection, screen: str, table: str) -> int:
    row = con.execute(f"SELECT count(*) FROM {_quoted(screen, table)}").fetchone()
    return int(row[0]) if row else 0


def _quoted(*names: str) -> str:
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
