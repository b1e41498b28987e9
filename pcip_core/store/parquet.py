"""Reading and writing one Parquet file of the store: polars frames, converted through Arrow.

pyarrow reads and writes the files because it supports byte-stream splitting of vectors, page checksums and
file metadata, which holds the provenance. Files contain only plain Arrow types (`string`, `list`, `map`,
`fixed_size_list`), whatever type polars uses, so that DuckDB sees the same types in old and new files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pcip_core.errors import StoreError
from pcip_core.store.paths import how_to_make, shard_of

_METADATA = b"pcip"
_UNIQUE = ("cell_id", "pixel_hash")  # columns of values that differ from row to row
_UNREADABLE = (pa.ArrowException, OSError)  # pyarrow raises either for a damaged file


def frame_of(table: pa.Table) -> pl.DataFrame:
    """An Arrow table as a polars frame; numbers and vectors are not copied."""
    frame = pl.from_arrow(table.replace_schema_metadata(), rechunk=False)
    assert isinstance(frame, pl.DataFrame)
    return frame


def arrow_of(frame: pl.DataFrame) -> pa.Table:
    """A polars frame as an Arrow table of plain types; numbers and vectors are not copied."""
    table = frame.to_arrow()
    return table.cast(pa.schema([pa.field(field.name, _plain(field.type)) for field in table.schema]))


def _plain(kind: pa.DataType) -> pa.DataType:
    """The plain type that a file uses for one of polars' large types."""
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_large_list(kind):
        return pa.list_(_plain(kind.value_type))
    if pa.types.is_map(kind):
        return pa.map_(_plain(kind.key_type), _plain(kind.item_type))
    return kind


def write(path: Path, frame: pl.DataFrame, provenance: Mapping[str, Any]) -> None:
    """Write one file with page checksums; damage within a page would otherwise go unnoticed."""
    table = arrow_of(frame)
    metadata = {_METADATA: json.dumps(provenance, default=str).encode()}
    options = parquet_options(table.schema)
    described = table.replace_schema_metadata(metadata)
    pq.write_table(described, path, compression="zstd", write_page_checksum=True, **options)
    del table, described
    pa.default_memory_pool().release_unused()  # otherwise kept for the next table: 30 MiB after 70,000 cells


def described(
    provenance: Mapping[str, Any], commit: str, number: int, arrays: Iterable[str]
) -> dict[str, Any]:
    """The provenance of the tables of a commit, with its id, its number and the files of its arrays."""
    files = dict.fromkeys(arrays, f"{commit}.npy")
    return {**provenance, "commit_id": commit, "commit_number": number, "arrays": files}


def stage(
    folder: Path,
    tables: Mapping[str, pl.DataFrame],
    arrays: Mapping[str, np.ndarray | Path],
    provenance: Mapping[str, Any],
) -> None:
    """Write the tables and arrays of a commit into a folder, as `<name>.parquet` and `<name>.npy`."""
    for name, values in arrays.items():
        if isinstance(values, Path):
            values.replace(folder / f"{name}.npy")
        else:
            np.save(folder / f"{name}.npy", values, allow_pickle=False)
    for name, table in tables.items():
        write(folder / f"{name}.parquet", table, provenance)


def parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """Options for pyarrow: byte-stream splitting for vectors, and dictionaries only for values that repeat.

    The leading bytes of the numbers of a vector are similar and the trailing bytes are noise, so that splitting
    compresses better. A dictionary of values that differ, as measures and the ids of cells do, costs memory and does
    not help. Time, memory and size are lower than with pyarrow's defaults (`pcip bench feature_store`).
    """
    vectors = [field.name for field in schema if pa.types.is_fixed_size_list(field.type)]
    repeating = [field for field in schema if field.name not in _UNIQUE]
    return {
        "use_dictionary": [path for field in repeating for path in _paths(field.name, field.type)],
        "column_encoding": {f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in vectors},
    }


def _paths(name: str, kind: pa.DataType) -> list[str]:
    """The names that Parquet gives to the values of a column, without floating-point numbers."""
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return _paths(f"{name}.list.element", kind.value_type)
    if pa.types.is_map(kind):
        sides = {"key": kind.key_type, "value": kind.item_type}
        return [
            path for side, of_side in sides.items() for path in _paths(f"{name}.key_value.{side}", of_side)
        ]
    return [] if pa.types.is_floating(kind) else [name]


@contextmanager
def opened(path: Path, *, name: Path | None = None) -> Iterator[pq.ParquetFile]:
    """Open one file for reading. All reads within the block see the same commit, even if the file is replaced.

    Args:
        path: the file.
        name: the file that an error names; by default, `path`.

    Raises:
        FileNotFoundError: the file does not exist.
        StoreError: the file is damaged, on opening or on reading within the block.
    """
    try:
        # Arrow's own file, because its threads may still hold a Python file when the process ends, and abort it
        with pa.OSFile(str(path)) as file:
            yield pq.ParquetFile(file, page_checksum_verification=True)
    except FileNotFoundError:
        raise
    except _UNREADABLE as error:
        raise damaged(name or path, error) from error


def provenance_of(path: Path) -> dict[str, Any]:
    """The provenance that a file was written with.

    Raises:
        FileNotFoundError: the file does not exist.
        StoreError: it is damaged.
    """
    try:
        return provenance_in(pq.read_schema(path), path)
    except FileNotFoundError:
        raise
    except _UNREADABLE as error:
        raise damaged(path, error) from error


def provenance_in(schema: pa.Schema, path: Path) -> dict[str, Any]:
    """The provenance in a file's schema."""
    encoded = (schema.metadata or {}).get(_METADATA)
    if encoded is None:
        raise damaged(path, ValueError("no provenance"))
    try:
        return json.loads(encoded)
    except ValueError as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> StoreError:
    """The error of a file that cannot be read."""
    return StoreError(
        path,
        found=f"a file that cannot be read ({str(error).splitlines()[0]})",
        required="a partition written by the store",
        remedy=f"Remove the file. {how_to_make(*_named(path))}",
    )


def _named(path: Path) -> tuple[str, str, str | None]:
    """Screen, table and shard of a file of the store."""
    shard = shard_of(path.parent.name)
    table = path.parent if shard is None else path.parent.parent
    return table.parent.name, table.name, shard
