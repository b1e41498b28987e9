"""Excel workbooks (`.xlsx`, `.xlsm`): the one visible sheet with cells, as columns of text."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING
from xml.etree import ElementTree

import polars as pl

from pcip_core.errors import SpecError
from pcip_core.user_tables.text import named
from pcip_core.words import many

if TYPE_CHECKING:
    from fastexcel import ExcelReader

SUFFIXES = (".xlsx", ".xlsm")
REFUSED = (".xls", ".xlsb", ".ods", ".numbers")
_MIDNIGHT = re.compile(r" 00:00:00$")
_SHOWN = 5
_MOST_CELLS = 10_000_000
_LARGEST_UNPACKED = 1 << 28
_OLD = b"\xd0\xcf\x11\xe0"


def read_excel(path: Path) -> pl.DataFrame:
    """The cells of a workbook as text, null where a cell is empty; its first row with cells is the header.

    Numbers keep all their digits, and dates are written as 2024-09-01. Hidden sheets are left out.

    Raises:
        SpecError: the file is no workbook, is too large or has a password, several sheets have cells, cells are
            merged, or a cell holds an error of Excel's.
    """
    import fastexcel

    if path.suffix.lower() in REFUSED:
        raise SpecError(
            path,
            found=f"a workbook of the kind {path.suffix.lower()}",
            required="an Excel workbook .xlsx, or a text table",
            remedy="Save it as .xlsx.",
        )
    try:
        with path.open("rb") as file:
            head = file.read(len(_OLD))
        if head == _OLD:
            raise SpecError(
                path,
                found="an old Excel workbook (.xls), or one with a password",
                required="an Excel workbook .xlsx without a password",
                remedy="Save it as .xlsx, without a password.",
            )
        merged = _merged_by_sheet(path)
        reader = fastexcel.read_excel(path)
        name = _only_sheet(path, reader)
        _refuse_merged(path, name, merged.get(name, []))
        cells = _cells(path, reader, name)
    except (
        OSError,
        fastexcel.FastExcelError,
        zipfile.BadZipFile,
        ElementTree.ParseError,
        zlib.error,
        KeyError,
        ValueError,
        RuntimeError,
    ) as error:
        raise SpecError(
            path,
            found="no such file"
            if isinstance(error, FileNotFoundError)
            else f"no Excel workbook ({(str(error).splitlines() or [type(error).__name__])[0]})",
            required="an Excel workbook .xlsx",
            remedy="Check the path and the file.",
        ) from error
    header = [value or "" for value in cells.row(0)]
    return cells[1:].rename(dict(zip(cells.columns, named(path, header), strict=True)))


def _only_sheet(path: Path, reader: ExcelReader) -> str:
    """The name of the one visible sheet with cells."""
    sheets = [reader.load_sheet(name, header_row=None, dtypes="string") for name in reader.sheet_names]
    names = [sheet.name for sheet in sheets if sheet.visible == "visible" and sheet.width]
    if len(names) != 1:
        raise SpecError(
            path,
            found=f"{many(len(names), 'sheet')} with cells{': ' * bool(names)}{', '.join(names)}",
            required="one sheet",
            remedy="Save the sheet with the table as a workbook of its own, or hide the others.",
        )
    return names[0]


def _refuse_merged(path: Path, sheet: str, ranges: list[str]) -> None:
    if ranges:
        raise SpecError(
            f"{path}, sheet {sheet}",
            found=f"merged cells {', '.join(ranges[:_SHOWN])}{', ...' if len(ranges) > _SHOWN else ''}",
            required="a value in each cell of its own",
            remedy="Unmerge the cells and fill in the value in each row that it is for.",
        )


def _merged_by_sheet(path: Path) -> dict[str, list[str]]:
    """Sheet -> the ranges of its merged cells, such as A2:A4, which fastexcel does not give.

    Raises:
        SpecError: the workbook or a sheet is too large. A single cell far from the others makes a sheet large, as
            fastexcel keeps all cells between them.
    """
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > _LARGEST_UNPACKED:
            raise _large(path, f"a workbook of {unpacked >> 20} MiB when unpacked")
        book = ElementTree.fromstring(archive.read("xl/workbook.xml"))
        links = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
        targets = {link.get("Id"): link.get("Target", "") for link in links}
        merged = {}
        for element in book.iterfind(".//{*}sheet"):
            (link,) = [value for key, value in element.items() if key.endswith("}id")]
            target = targets[link]
            member = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
            name = element.get("name", "")
            with archive.open(member) as stream:
                merged[name] = list(_merged(f"{path}, sheet {name}", stream))
    return merged


def _merged(where: str, stream: IO[bytes]) -> Iterator[str]:
    """The merged ranges of a sheet. Raises a SpecError if there are too many cells up to its last row and column."""
    row = column = 0
    for _, part in ElementTree.iterparse(stream):
        if part.tag.endswith("}mergeCell"):
            yield part.get("ref", "")
        elif part.tag.endswith("}row"):
            row = int(part.get("r") or row + 1)
            column = max(column, len(part), _column(part[-1].get("r", "")) if len(part) else 0)
            part.clear()
            if row * column > _MOST_CELLS:
                raise _large(where, f"cells up to row {row} and column {column}")


def _column(reference: str) -> int:
    """The number of a column: 28 for AB7."""
    number = 0
    for letter in reference.rstrip("0123456789"):
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def _large(where: object, found: str) -> SpecError:
    return SpecError(
        where,
        found=found,
        required=f"at most {_MOST_CELLS} cells and {_LARGEST_UNPACKED >> 20} MiB",
        remedy="Delete the rows and columns beyond the table, or save the table as CSV.",
    )


def _cells(path: Path, reader: ExcelReader, sheet: str) -> pl.DataFrame:
    """All cells as text. fastexcel writes numbers with nine decimals; where more are there, all are taken."""
    loaded = reader.load_sheet(sheet, header_row=None, dtypes="string")
    batch, errors = loaded.to_arrow_with_errors()
    texts = pl.DataFrame(batch)
    if errors is not None and errors.errors:
        columns = sorted({error.offset_position[1] for error in errors.errors})
        kinds = sorted({error.detail.partition("got ")[2].strip("'") for error in errors.errors})
        raise SpecError(
            f"{path}, sheet {sheet}",
            found=f"{many(len(errors.errors), 'cell')} with errors of Excel's ({', '.join(kinds)}) in the columns "
            f"{', '.join(str(texts.row(0)[column]) for column in columns)}",
            required="values",
            remedy="Correct or empty these cells.",
        )
    numbers = pl.DataFrame(
        reader.load_sheet(sheet, header_row=None, dtypes="float").to_arrow_with_errors()[0]
    )
    exact = [
        pl.when(text.cast(pl.Float64, strict=False) != number)
        .then(number.cast(pl.String))
        .otherwise(text.str.replace(_MIDNIGHT.pattern, ""))
        .alias(text.name)
        for text, number in zip(texts, numbers, strict=True)
    ]
    return texts.select(exact)
