"""The macros of the nearest cells and proteins in the published file, and the scales of features that they need.

`similar_cells` and `similar_proteins` compare vectors as they are. `like_cells` and `like_proteins` compare them as
`pcip like` does, each feature in standard deviations of all rows, which takes about ten times as long. The table
`scales` holds number, mean and standard deviation of each partition, from which those of a table are merged, so that a
changed partition costs no look at the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa

from pcip_core.features.blocks import Moments, blocks_of
from pcip_core.store.parquet import arrow_of, frame_of
from pcip_core.store.publishing.books import CELL_FEATURES
from pcip_core.store.schemas import MACROS
from pcip_core.store.sql import quoted, tables, text
from pcip_core.store.vectors import features_of

PROTEIN_FEATURES = "protein_features_"
SCALES = "scales"
_COLUMNS = "tbl VARCHAR, shard VARCHAR, n BIGINT, mean DOUBLE[], deviation DOUBLE[]"
_ALL = "*"  # the row of a table with the scales of all its partitions
_ROWS = {  # what is compared -> key, further column, tables
    "cells": ("cell_id", "image_id", CELL_FEATURES),
    "proteins": ("protein", "n_cells", PROTEIN_FEATURES),
}

_SCALED = "list_transform(list_zip({}, {}), lambda z: z[1] / z[2])"  # of a vector and the deviations


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
    parts = con.execute(
        f"SELECT n, mean, deviation FROM {scales} WHERE tbl = ? ORDER BY shard", [table]
    ).fetchall()
    if parts:
        whole = Moments(len(parts[0][1]))
        for n, mean, deviation in parts:
            whole.merge(n, np.asarray(mean), np.asarray(deviation) ** 2 * n)
        _insert(con, scales, table, _ALL, whole)


def _insert(con: duckdb.DuckDBPyConnection, scales: str, table: str, shard: str, moments: Moments) -> None:
    row = {"tbl": table, "shard": shard, "n": moments.n, "mean": moments.mean.tolist()}
    rows = arrow_of(pl.DataFrame([{**row, "deviation": moments.deviation.tolist()}]))  # noqa: F841  (DuckDB finds it)
    con.execute(f"INSERT INTO {scales} BY NAME SELECT * FROM rows")


def make_macros(con: duckdb.DuckDBPyConnection, screen: str, default: str | None) -> None:
    """Make the macros of a screen with their comments; `default` is the feature set of those that name none."""
    con.execute(f"CREATE TABLE IF NOT EXISTS {quoted(screen, SCALES)} ({_COLUMNS})")
    there = tables(con, screen)
    for rows, (key, shown, prefix) in _ROWS.items():
        similar = _nearest(screen, prefix, "feature_set", key, shown, key, "array_distance", "{}", "n")
        _make(con, screen, f"similar_{rows}", [f"(feature_set, {key}, n) AS TABLE {similar}"])
        like = _nearest(screen, prefix, "feature_set", key, shown, key, "list_distance", _SCALED, "n + 1")
        forms = [f"(feature_set, {key}, n) AS TABLE {like}"]
        if default is not None and f"{prefix}{default}" in there:  # DuckDB binds it now
            like = _nearest(
                screen, prefix, text(default), key, shown, "seed", "list_distance", _SCALED, "n + 1"
            )
            forms.append(f"(seed, n) AS TABLE {like}")
        _make(con, screen, f"like_{rows}", forms)


def _make(con: duckdb.DuckDBPyConnection, screen: str, macro: str, forms: list[str]) -> None:
    """Make a macro of these forms, with its meaning as the comment."""
    con.execute(f"CREATE OR REPLACE MACRO {quoted(screen, macro)} {', '.join(forms)}")
    meaning = " ".join(meaning for form, meaning in MACROS.items() if form.startswith(f"{macro}("))
    con.execute(f"COMMENT ON MACRO TABLE {quoted(screen, macro)} IS {text(meaning)}")


def _nearest(
    screen: str,
    prefix: str,
    feature_set: str,
    key: str,
    shown: str,
    seed: str,
    distance: str,
    compared: str,
    rows: str,
) -> str:
    """SQL of a macro; `f.`, `w.` and `s.` mark columns.

    A subquery of one row looks up the query vector or raises the error. With `coalesce` outside it, DuckDB would
    copy the vector for each row of the table. DuckDB 1 knows no `coalesce` of arrays, but of lists. A constant feature
    has an infinite deviation, so that it adds nothing to a distance.

    Args:
        screen, prefix: the screen, and the beginning of the names of the tables.
        feature_set: a parameter or a literal.
        key, shown: columns that are shown beside the distance.
        seed: the parameter that holds the key of the query vector. DuckDB takes the name of a column for the column
            where `feature_set` is a literal.
        distance: the function of two vectors.
        compared: what is compared, with {} for the vector.
        rows: the number of rows, the one of the query vector included.
    """
    source = f"query_table(concat({text(f'{screen}.{prefix}')}, {feature_set}))"
    deviations = (
        f"(SELECT list_transform(s.deviation, lambda x: CASE WHEN x > 0 THEN x ELSE 'inf'::DOUBLE END) "
        f"FROM {quoted(screen, SCALES)} s WHERE s.tbl = concat({text(prefix)}, {feature_set}) AND s.shard = '{_ALL}')"
    )
    looked_up, vector = (compared.format(column, deviations) for column in ("w.features", "f.features"))
    wanted = (
        f"(SELECT coalesce((SELECT {looked_up} FROM {source} w WHERE w.{key} = {seed}), "
        f"error(concat('no {key} ', {seed}, {text(f' in {screen}.{prefix}')}, {feature_set}))))"
    )
    return (
        f"SELECT f.{key}, f.{shown}, {distance}({vector}, {wanted}) AS distance "
        f"FROM {source} f ORDER BY distance, f.{key} LIMIT {rows}"
    )
