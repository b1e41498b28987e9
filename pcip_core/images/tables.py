"""Tables as people keep and atlases publish them: CSV, TSV, gzipped, or alone in a zip; Parquet."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from pathlib import Path

from pcip_core.errors import SpecError

_OURS = {  # Cytomining's and CellProfiler's names, in lower case -> ours
    "metadata_plate": "plate",
    "metadata_well": "well",
    "metadata_site": "field",
    "well_position": "well",
    "metadata_well_position": "well",
}


def our_name(column: str) -> str:
    """The name that pcip has for a column of Cytomining's or CellProfiler's, or the column's own."""
    return _OURS.get(column.lower(), column)


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a table with a header as text; cells are stripped, missing ones are empty.

    Tabs separate columns when the header has one, else commas; `#` lines and empty lines are left out.

    Raises:
        SpecError: the file is not there, cannot be unpacked, or is not text with a header, nor Parquet.
    """
    if path.suffix == ".parquet":
        return _read_parquet(path)
    lines = [line for line in read_text(path).splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        raise SpecError(path, found="no line", required="a header and rows", remedy="Check the file.")
    rows = csv.reader(lines, delimiter="\t" if "\t" in lines[0] else ",")
    header = [name.strip() for name in next(rows)]
    return [
        dict(zip(header, [cell.strip() for cell in row] + [""] * (len(header) - len(row)), strict=False))
        for row in rows
    ]


def _read_parquet(path: Path) -> list[dict[str, str]]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        rows = parquet.read_table(path).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise SpecError(
            path,
            found="no such file" if isinstance(error, FileNotFoundError) else f"no Parquet ({error})",
            required="a Parquet file",
            remedy="Check the path and the file.",
        ) from error
    return [
        {name: "" if value is None else str(value).strip() for name, value in row.items()} for row in rows
    ]


def read_text(path: Path) -> str:
    """The text of a file, unpacked where it is gzipped or the only file of a zip.

    Raises:
        SpecError: the file is not there, cannot be unpacked, or is not UTF-8.
    """
    try:
        if path.suffix == ".gz":
            data = gzip.decompress(path.read_bytes())
        elif path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                (name,) = [one for one in archive.namelist() if not one.endswith("/")]
                data = archive.read(name)
        else:
            data = path.read_bytes()
        return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig").read()
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise SpecError(
            path,
            found="no such file" if isinstance(error, FileNotFoundError) else f"no readable text ({error})",
            required="a table as UTF-8 text (.csv, .tsv, .txt), gzipped, or alone in a .zip",
            remedy="Check the path and the file.",
        ) from error
