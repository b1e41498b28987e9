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


def test_values_that_repeat_have_a_dictionary(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "cell_id": ["c1", "c2", "c3"],
            "files": [["a", "b"], ["a"], ["a", "a"]],
            "ends": pl.Series([[1.0, 2.0]] * 3, dtype=pl.Array(pl.Float32, 2)),
            "y_px": [1.0, 1.0, 2.0],
            "crop_row": [0, 1, 2],
        }
    )
    parts = pa.array([[("x", "1")]] * 3, pa.map_(pa.string(), pa.string()))
    table = arrow_of(frame).append_column("parts", parts)
    pq.write_table(table, tmp_path / "part.parquet", **parquet_options(table.schema))
    group = pq.ParquetFile(tmp_path / "part.parquet").metadata.row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    assert {column.path_in_schema: column.has_dictionary_page for column in columns} == {
        "cell_id": False,
        "files.list.element": True,
        "ends.list.element": False,
        "y_px": False,
        "crop_row": True,
        "parts.key_value.key": True,
        "parts.key_value.value": True,
    }


def test_types_in_files_are_plain_whatever_polars_holds(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "text": ["a", None],
            "level": pl.Series(["low", "high"], dtype=pl.Categorical),
            "grade": pl.Series(["b", "a"], dtype=pl.Enum(["a", "b"])),
            "terms": pl.Series([["x"], []], dtype=pl.List(pl.String)),
            "parts": pl.Series([{"well": "A1"}, {}], dtype=pl.Map(pl.String, pl.String)),
            "at": pl.Series([0, None], dtype=pl.Datetime("us")),
            "none": [None, None],
            "vector": pl.Series([[1.0, 2.0], [3.0, 4.0]], dtype=pl.Array(pl.Float32, 2)),
        }
    )
    Store(tmp_path).commit("screen", {"kinds": frame})
    found = pq.read_schema(tmp_path / "screen" / "kinds" / "part.parquet")
    assert found.names == frame.columns
    assert [str(kind) for kind in found.types] == [
        *["string"] * 3,
        *("list<element: string>", "map<string, string ('parts')>", "timestamp[us]", "null"),
        "fixed_size_list<element: float>[2]",
    ]
    as_text = frame.with_columns(pl.col("level", "grade").cast(pl.String))
    assert Store(tmp_path).read("screen", "kinds").equals(as_text)
    with duckdb.connect() as con:
        sql = f"SELECT parts['well'] FROM '{tmp_path}/screen/kinds/part.parquet'"
        assert con.execute(sql).fetchall() == [("A1",), (None,)]


def test_numbers_and_vectors_are_not_copied_on_the_way_to_arrow_and_back() -> None:
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    frame = feature_table({"n": pl.Series([1, 2, 3, 4])}, values)
    back = frame_of(arrow_of(frame))
    assert np.shares_memory(features_of(frame), values)
    assert np.shares_memory(features_of(back), values)
    assert np.shares_memory(back["n"].to_numpy(), frame["n"].to_numpy())
    assert np.array_equal(features_of(pl.concat([frame, back.clear(), back])), np.tile(values, (2, 1)))


def test_files_of_large_and_of_plain_types_go_together(tmp_path: Path) -> None:
    """Earlier versions wrote `large_string` in places; it is the same text."""
    store = Store(tmp_path)
    store.commit("screen", {"kinds": pl.DataFrame({"text": ["new"]})}, shard="p1")
    store.commit("screen", {"kinds": pl.DataFrame({"text": ["old"]})}, shard="p2")
    file = tmp_path / "screen" / "kinds" / "shard=p2" / "part.parquet"
    table = pq.read_table(file, partitioning=None)
    large = pa.schema([pa.field("text", pa.large_string())], metadata=table.schema.metadata)
    pq.write_table(table.cast(large), file)
    assert store.arrow_schema("screen", "kinds", shard="p2").field("text").type == pa.large_string()
    assert store.read("screen", "kinds")["text"].to_list() == ["new", "old"]
