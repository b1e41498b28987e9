"""The macros of the nearest cells and proteins in the published file, and the scales of features that they need.

A macro compares vectors as `pcip like` does: by Euclidean distance, each feature in standard deviations of all rows.
The table `scales` holds number, mean and standard deviation of each partition, from which those of a table are merged,
so that a changed partition costs no look at the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import duckdb
import numpy as np
import pyarrow as pa

from pcip_core.features.blocks import Moments, blocks_of
from pcip_core.store.parquet import frame_of
from pcip_core.store.publishing.books import CELL_FEATURES
from pcip_core.store.schemas import MACROS
from pcip_core.store.sql import quoted, tables, text
from pcip_core.store.vectors import features_of

PROTEIN_FEATURES = "protein_features_"
SCALES = "scales"
_COLUMNS = "tbl VARCHAR, shard VARCHAR, n BIGINT, mean DOUBLE[], deviation DOUBLE[]"
_ALL = "*"  # the row of a table with the scales of all its partitions
_MACROS = {  # macro -> key, further column, tables
    "similar_cells": ("cell_id", "image_id", CELL_FEATURES),
    "similar_proteins": ("protein", "n_cells", PROTEIN_FEATURES),
}


def moments_of(rows: pa.Table) -> Moments:
    """Number, mean and variation of the vectors of a partition."""
    vectors = features_of(frame_of(rows.select(["features"])))
    moments = Moments(vectors.shape[1])
    for block in blocks_of(vectors):
        moments.add(block)
    return moments


def update_scales(
    con: duckdb.DuckDBPyConnection,
    screen: str,
    table: str,
    loaded: Mapping[str, Moments],
    gone: Iterable[str],
) -> None:
    """Update the scales of a table of features from the shards that were loaded, and from those that are gone."""
    scales = quoted(screen, SCALES)
    con.execute(f"CREATE TABLE IF NOT EXISTS {scales} ({_COLUMNS})")
    for shard in (*loaded, *gone, _ALL):
        con.execute(f"DELETE FROM {scales} WHERE tbl = ? AND shard = ?", [table, shard])
    for shard, moments in loaded.items():
        _insert(con, scales, table, shard, moments)
    parts = con.execute(f"SELECT n, mean, deviation FROM {scales} WHERE tbl = ?", [table]).fetchall()
    if parts:
        whole = Moments(len(parts[0][1]))
        for n, mean, deviation in parts:
            whole.merge(n, np.asarray(mean), np.asarray(deviation) ** 2 * n)
        _insert(con, scales, table, _ALL, whole)


def _insert(con: duckdb.DuckDBPyConnection, scales: str, table: str, shard: str, moments: Moments) -> None:
    row = {"tbl": table, "shard": shard, "n": moments.n, "mean": moments.mean.tolist()}
    rows = pa.Table.from_pylist([{**row, "deviation": moments.deviation.tolist()}])  # noqa: F841  (DuckDB finds it)
    con.execute(f"INSERT INTO {scales} BY NAME SELECT * FROM rows")


def make_macros(con: duckdb.DuckDBPyConnection, screen: str, default: str | None) -> None:
    """Make the macros of a screen with their comments; `default` is the feature set of those that name none."""
    con.execute(f"CREATE TABLE IF NOT EXISTS {quoted(screen, SCALES)} ({_COLUMNS})")
    there = tables(con, screen)
    for macro, (key, shown, prefix) in _MACROS.items():
        forms = [
            f"(feature_set, {key}, n) AS TABLE {_nearest(screen, key, key, shown, prefix, 'feature_set')}"
        ]
        if default is not None and f"{prefix}{default}" in there:  # DuckDB binds it now
            forms.append(f"(seed, n) AS TABLE {_nearest(screen, key, 'seed', shown, prefix, text(default))}")
        name = quoted(screen, macro)
        con.execute(f"CREATE OR REPLACE MACRO {name} {', '.join(forms)}")
        meaning = " ".join(meaning for form, meaning in MACROS.items() if form.startswith(f"{macro}("))
        con.execute(f"COMMENT ON MACRO TABLE {name} IS {text(meaning)}")


def _nearest(screen: str, key: str, seed: str, shown: str, prefix: str, feature_set: str) -> str:
    """SQL of a macro; `f.`, `w.` and `s.` mark columns. `seed` is a parameter, `feature_set` a parameter or a literal.

    A subquery of one row looks up the query vector or raises the error. With `coalesce` outside it, DuckDB would
    copy the vector for each row of the table. DuckDB 1 knows no `coalesce` of arrays, but of lists. A constant feature
    has an infinite deviation here, so that it adds nothing to a distance.
    """
    named = f"{screen}.{prefix}"
    source = f"query_table(concat({text(named)}, {feature_set}))"
    deviations = (
        f"(SELECT list_transform(s.deviation, lambda x: CASE WHEN x > 0 THEN x ELSE 'inf'::DOUBLE END) "
        f"FROM {quoted(screen, SCALES)} s WHERE s.tbl = concat({text(prefix)}, {feature_set}) AND s.shard = '{_ALL}')"
    )

    def scaled(vector: str) -> str:
        return f"list_transform(list_zip({vector}, {deviations}), lambda z: z[1] / z[2])"

    wanted = (
        f"(SELECT coalesce((SELECT {scaled('w.features')} FROM {source} w WHERE w.{key} = {seed}), "
        f"error(concat('no {key} ', {seed}, {text(f' in {named}')}, {feature_set}))))"
    )
    return (
        f"SELECT f.{key}, f.{shown}, list_distance({scaled('f.features')}, {wanted}) AS distance "
        f"FROM {source} f ORDER BY distance, f.{key} LIMIT n"
    )
