"""Vectors in Parquet: written byte by byte, read as they were."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pcip_core.store.parquet import arrow_of, frame_of, parquet_options
from pcip_core.store.partitions import Store
from pcip_core.store.vectors import feature_table, features_of


@pytest.fixture
def table() -> pl.DataFrame:
    features = np.random.default_rng(0).normal(size=(300, 24)).astype(np.float32)
    features[0, :5] = (np.nan, np.inf, -np.inf, -0.0, np.finfo(np.float32).smallest_subnormal)
    return feature_table({"cell_id": [f"cell {row}" for row in range(300)]}, features)


def test_vectors_come_back_to_the_last_bit_as_from_pyarrow_with_its_defaults(
    table: pl.DataFrame, tmp_path: Path
) -> None:
    plain = tmp_path / "plain.parquet"
    pq.write_table(arrow_of(table), plain)
    Store(tmp_path / "store").commit("screen", {"vectors": table}, shard="plate_1")

    read = Store(tmp_path / "store").read("screen", "vectors")

    assert features_of(read).tobytes() == features_of(frame_of(pq.read_table(plain))).tobytes()
    assert read["cell_id"].equals(table["cell_id"])


def test_duckdb_reads_such_files(table: pl.DataFrame, tmp_path: Path) -> None:
    Store(tmp_path).commit("screen", {"vectors": table}, shard="plate_1")
    (file,) = (tmp_path / "screen").rglob("part.parquet")
    sql = f"SELECT features::FLOAT[24] FROM read_parquet('{file}') ORDER BY file_row_number"
    with duckdb.connect() as con:
        rows = con.execute(sql).fetchall()
    np.testing.assert_array_equal(np.array(rows, np.float32)[:, 0], features_of(table))


def test_files_of_vectors_have_no_dictionary_and_split_bytes(table: pl.DataFrame, tmp_path: Path) -> None:
    Store(tmp_path).commit("screen", {"vectors": table}, shard="plate_1")
    (file,) = (tmp_path / "screen").rglob("part.parquet")
    column = pq.ParquetFile(file).metadata.row_group(0).column(1)
    assert column.path_in_schema == "features.list.element"
    assert "BYTE_STREAM_SPLIT" in column.encodings
    assert not column.has_dictionary_page


def test_tables_without_vectors_are_written_by_pyarrows_defaults() -> None:
    schema = pa.schema({"cell_id": pa.string(), "files": pa.list_(pa.string()), "y_px": pa.float64()})
    assert parquet_options(schema) == {}
