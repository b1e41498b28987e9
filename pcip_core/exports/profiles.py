"""Profiles as cytomining's programs read them: columns `Metadata_*`, then one column per feature.

pycytominer takes columns whose names begin with a compartment (`Cells_`) for features, and `Metadata_*` for everything
else. A profile file has no place for provenance that all programs keep, so each row repeats the short texts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pcip_core.exports.cells import ExportedCells, distinct
from pcip_core.exports.target import new_target

_ROWS = 1 << 16  # of a row group of Parquet
_NAMES = {"plate": "Plate", "well": "Well", "field": "Site"}  # as cytomining writes them
_REPEATED = ("screen", "feature_set", "program", "commit", "code_version", "spec_sha256")


def write_parquet(cells: ExportedCells, path: Path, *, overwrite: bool = False) -> None:
    """Write profiles as one Parquet file. Its metadata have the whole provenance under `pcip`.

    Raises:
        WriteError: the file exists, or cannot be written.
    """
    with new_target(path, overwrite=overwrite) as temporary, pa.OSFile(str(temporary), "wb") as file:
        writer: pq.ParquetWriter | None = None
        try:
            for frame in _frames(cells, _ROWS):
                table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
                if writer is None:
                    schema = table.schema.with_metadata({"pcip": json.dumps(cells.provenance)})
                    texts = [field.name for field in schema if not pa.types.is_floating(field.type)]
                    writer = pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=texts)
                writer.write_table(table.cast(writer.schema))
        finally:
            if writer is not None:
                writer.close()


def write_csv(cells: ExportedCells, path: Path, *, overwrite: bool = False) -> None:
    """Write profiles as one CSV file.

    Raises:
        WriteError: the file exists, or cannot be written.
    """
    with new_target(path, overwrite=overwrite) as temporary, temporary.open("wb") as file:
        for number, frame in enumerate(_frames(cells, 4096)):
            file.write(frame.write_csv(include_header=number == 0).encode())


def metadata_name(column: str) -> str:
    """The name of a column of cells or images in a profile.

    >>> metadata_name("well"), metadata_name("protein")
    ('Metadata_Well', 'Metadata_protein')
    """
    return f"Metadata_{_NAMES.get(column, column)}"


def _frames(cells: ExportedCells, rows: int) -> Iterator[pl.DataFrame]:
    """The profiles, some rows at a time."""
    repeated = [
        pl.lit(cells.provenance[name]).alias(f"Metadata_pcip_{name}")
        for name in _REPEATED
        if name in cells.provenance
    ]
    units = [f"Cells_{name}" for name in cells.units]
    columns = list(cells.types)
    taken = [f"Metadata_pcip_{name}" for name in _REPEATED]
    named = dict(zip(columns, distinct(map(metadata_name, columns), taken), strict=True))
    texts = pl.col(*(named[name] for name, kind in cells.types.items() if isinstance(kind, pl.Enum)))
    for block in cells.blocks(rows):
        metadata = block.columns.rename(named).with_columns(texts.cast(pl.String), *repeated)
        yield metadata.hstack(pl.from_numpy(block.features, units))
