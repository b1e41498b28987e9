"""Text tables (CSV, TSV): their encoding, their separator, and a lazy frame of text columns.

A file without quotation marks goes to polars as it is. In any other, Python's csv module first finds the cells, since
polars does not accept a quotation mark within a cell (`5" plate`) and cannot name the line of a damaged row.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import itertools
import mmap
import re
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import polars as pl

from pcip_core.errors import SpecError
from pcip_core.words import many

SEPARATORS = {"\t": "tab", ";": ";", ",": ","}
_SEP_LINE = re.compile(r"sep=([,;|:\t ])\s*", re.IGNORECASE)  # Excel's own first line
_LONE_CR = re.compile(rb"\r(?!\n)")  # an old Mac's end of a line
_HEAD = 1 << 20  # bytes in which the header and the separator are looked for
_MOST_COLUMNS = 10_000
_LONGEST_NAME = 1000
_NOWHERE = "\x01"  # separates no cells: with it, polars reads whole lines
_RARE = 20  # UTF-16 without a mark has more than one byte 0 in 20
_SAMPLED = 50  # lines that must agree on the separator
_CHUNK = 1 << 24
_LARGEST_UNPACKED = 1 << 28
csv.field_size_limit(1 << 30)  # the default refuses long headers; `read_table` limits cells
_OTHER_FORMATS = {
    b"PK\x03\x04": ("a zip archive, such as an Excel workbook", "Name it .xlsx or .zip, as it is one."),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "Save it as .xlsx, without a password."),
    b"PAR1": ("a Parquet file", "Name it .parquet."),
    b"\x1f\x8b": ("a gzipped file", "Name it .gz."),
    b"{\\rtf": ("a text processor's file", "Save it as plain text."),
}


class Text(NamedTuple):
    """An open text table.

    Args:
        frame: columns of text, null where a row has no such cell.
        separator: between the cells.
        as_numbers: opens the table again with some columns as float64; polars refuses what is no number there.
    """

    frame: pl.LazyFrame
    separator: str
    as_numbers: Callable[[Sequence[str]], pl.LazyFrame] | None = None


def scan_text(path: Path) -> Text:
    """Open a text table, gzipped or alone in a zip or neither.

    Lines that begin with `#` and empty lines are left out. A row that ends early has no last cells, as Excel writes
    it; empty cells beyond the header's are left out.

    Raises:
        SpecError: the file cannot be read as text, its separator cannot be told, or a row has more cells than the
            header, or a quotation mark without its partner.
    """
    data = _bytes(path)
    encoding = _encoding(path, data)
    source: Path | bytes = path
    if encoding != "utf-8" or (data.find(b"\n") < 0 <= data.find(b"\r")):
        data = _decoded(path, data, encoding).encode()
    if isinstance(data, bytes):
        source = data
    head = (
        data[:_HEAD].decode("utf-8-sig", errors="ignore").replace("\r\n", "\n").removesuffix("\n").split("\n")
    )
    head = head[:-1] if len(data) > _HEAD and len(head) > 1 else head
    before, lines = _before_header(path, head)
    separator = before.separator or _separator(path, lines)
    (header,) = _split(path, lines[:1], separator)
    plain = max(data.find(b'"'), data.find(_NOWHERE.encode())) < 0 and _LONE_CR.search(data) is None
    if plain and _widest(source, separator, before.lines) <= len(header):
        names = named(path, header)

        def as_numbers(numbers: Sequence[str]) -> pl.LazyFrame:
            return pl.scan_csv(
                source,
                separator=separator,
                has_header=False,
                schema=dict.fromkeys(names, pl.String) | dict.fromkeys(numbers, pl.Float64),
                skip_lines=before.lines + 1,
                comment_prefix="#",
                quote_char=None,
            )

        return Text(as_numbers([]), separator, as_numbers)
    return Text(_tidied(path, data, separator, before.lines), separator)


def read_text(path: Path) -> str:
    """The text of a file in any of the encodings, unpacked where it is gzipped or the only file of a zip.

    Raises:
        SpecError: the file is not there, cannot be unpacked, or is not text.
    """
    data = _bytes(path)
    return _decoded(path, data, _encoding(path, data))


def first_lines(path: Path) -> list[int]:
    """The number of the first line of each row below the header of which a cell is not empty."""
    lines = list(io.StringIO(read_text(path), newline="\n"))
    before, head = _before_header(path, [line.rstrip("\n") for line in lines])
    records = _records(path, lines[before.lines :], before.separator or _separator(path, head), before.lines)
    return [line for line, row in records if any(map(str.strip, row))][1:]


def named(path: Path, header: Sequence[str]) -> list[str]:
    """The names of a header; a column without a name is called by an empty name and its number.

    Raises:
        SpecError: two columns have one name, or there are too many columns or too long names.
    """
    names = [name.strip() for name in header]
    longest = max(map(len, names), default=0)
    if len(names) > _MOST_COLUMNS or longest > _LONGEST_NAME:
        raise SpecError(
            path,
            found=f"a header of {many(len(names), 'column')}, the longest name of {longest} characters",
            required=f"at most {_MOST_COLUMNS} columns and {_LONGEST_NAME} characters",
            remedy="Check the header and its separators.",
        )
    twice = sorted(name for name, count in Counter(names).items() if name and count > 1)
    if twice:
        raise SpecError(
            path,
            found=f"several columns named {', '.join(twice)}",
            required="a name for each column",
            remedy="Rename or remove the others.",
        )
    return [name or f"{UNNAMED}{number}" for number, name in enumerate(names, start=1)]


UNNAMED = "\x00"  # no text can hold it


def _bytes(path: Path) -> bytes | mmap.mmap:
    """The unpacked file; an unpacked one is mapped, so that it need not fit into memory."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise _unreadable(path, "a folder, a pipe or a device")
        if path.suffix.lower() == ".gz":
            with gzip.open(path) as stream:
                return _unpacked(path, stream)
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                (name,) = [member for member in archive.namelist() if not member.endswith("/")]
                with archive.open(name) as stream:
                    return _unpacked(path, stream)
        with path.open("rb") as file:
            size = path.stat().st_size
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise _unreadable(path, error) from error


def _unpacked(path: Path, stream: IO[bytes] | gzip.GzipFile) -> bytes:
    data = stream.read(_LARGEST_UNPACKED + 1)
    if len(data) > _LARGEST_UNPACKED:
        raise SpecError(
            path,
            found=f"more than {_LARGEST_UNPACKED >> 20} MiB of text when unpacked",
            required="a smaller table, or one that is not packed",
            remedy="Unpack it, and name the unpacked table in the spec.",
        )
    return data


def _encoding(path: Path, data: bytes | mmap.mmap) -> str:
    """UTF-8 and UTF-16 where they fit, otherwise Windows-1252, which has the letters of Latin-1."""
    head = data[:4096]
    for magic, (what, remedy) in _OTHER_FORMATS.items():
        if head.startswith(magic):
            raise SpecError(path, found=what, required="a table as text (.csv, .tsv, .txt)", remedy=remedy)
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in head:
        even, odd = head[::2].count(0), head[1::2].count(0)
        if (not even or not odd) and (even + odd) * _RARE > len(head):
            return "utf-16-le" if odd else "utf-16-be"
        raise _unreadable(path, "bytes 0, as in a file that is not text")
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), _CHUNK):
            decoder.decode(data[start : start + _CHUNK], final=start + _CHUNK >= len(data))
    except UnicodeDecodeError:
        _refuse_mixed(path, bytes(data))
        return "cp1252"
    return "utf-8"


def _refuse_mixed(path: Path, data: bytes) -> None:
    """Raise a SpecError where some lines are UTF-8 and others are not."""
    lines: dict[bool, int] = {}
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.isascii():
            try:
                line.decode()
                lines.setdefault(True, number)
            except UnicodeDecodeError:
                lines.setdefault(False, number)
    if len(lines) == 2:
        raise SpecError(
            path,
            found=f"two encodings: line {lines[True]} is UTF-8, line {lines[False]} is not",
            required="one encoding: UTF-8, UTF-16 or Latin-1",
            remedy="Save the parts in one encoding before they are joined, or correct these lines.",
        )


def _decoded(path: Path, data: bytes | mmap.mmap, encoding: str) -> str:
    try:
        text = bytes(data).decode(encoding)
    except UnicodeDecodeError as error:
        raise _unreadable(path, error) from error
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _unreadable(path: Path, error: Exception | str) -> SpecError:
    return SpecError(
        path,
        found="no such file" if isinstance(error, FileNotFoundError) else f"no readable text ({error})",
        required="a table as text (.csv, .tsv, .txt) in UTF-8, UTF-16 or Latin-1, gzipped, or alone in a .zip",
        remedy="Check the path and the file.",
    )


class _Before(NamedTuple):
    """How many lines stand before the header, and the separator that Excel's line `sep=;` names."""

    lines: int
    separator: str | None


def _before_header(path: Path, head: Sequence[str]) -> tuple[_Before, list[str]]:
    """What stands before the header, and the lines from the header on."""
    separator = None
    for number, line in enumerate(head):
        if number == 0 and (match := _SEP_LINE.fullmatch(line)):
            separator = match[1]
        elif line.strip() and not line.startswith("#"):
            rest = [line for line in head[number:] if line.strip() and not line.startswith("#")]
            return _Before(number, separator), rest
    raise SpecError(
        path,
        found="no readable table (no line but empty ones and comments)",
        required="a header and rows",
        remedy="Check the file.",
    )


def _separator(path: Path, lines: Sequence[str]) -> str:
    """Tab, semicolon or comma: the one that the header has, or with which the rows fit the header."""
    rows = {each: _split(path, lines[:_SAMPLED], each) for each in SEPARATORS}
    lengths = {separator: [len(row) for row in of] for separator, of in rows.items()}
    candidates = [separator for separator, of in lengths.items() if of[0] > 1]
    if len(candidates) > 1:
        fit = [one for one in candidates if set(lengths[one]) == {lengths[one][0]}]
        fit = fit or [one for one in candidates if max(lengths[one]) == lengths[one][0]]
        candidates = fit or candidates
        torn = {one for one in candidates if any(cell.count('"') % 2 for row in rows[one] for cell in row)}
        candidates = [one for one in candidates if one not in torn] or candidates
        candidates = ["\t"] if "\t" in candidates else candidates
    if len(candidates) > 1:
        raise SpecError(
            path,
            found=f"a header that both {' and '.join(SEPARATORS[one] for one in candidates)} separate: "
            f"{lines[0][:100]!r}",
            required="one separator: comma, semicolon or tab",
            remedy="Put cells that hold the other one into quotation marks, or save the table with tabs.",
        )
    return candidates[0] if candidates else ","


def _split(path: Path, lines: Iterable[str], separator: str) -> list[list[str]]:
    """The cells of some lines."""
    try:
        return list(csv.reader(lines, delimiter=separator, skipinitialspace=True))
    except csv.Error as error:
        raise SpecError(
            path,
            found=f"lines that cannot be split into cells ({error})",
            required="lines that all end in the same way",
            remedy="Save the table again as CSV, with the line ends of Windows or Unix.",
        ) from error


def _widest(source: Path | bytes, separator: str, before: int) -> int:
    """The most cells that a line has, of a file without quotation marks."""
    lines = pl.scan_csv(
        source,
        separator=_NOWHERE,
        has_header=False,
        schema={"line": pl.String},
        skip_lines=before,
        comment_prefix="#",
        quote_char=None,
        truncate_ragged_lines=True,
    )
    most = lines.select(pl.col("line").str.count_matches(separator, literal=True).max())
    return int(most.collect(engine="streaming").item() or 0) + 1


def _tidied(path: Path, data: bytes | mmap.mmap, separator: str, before: int) -> pl.LazyFrame:
    """The same table as `scan_text` gives, its cells found by the csv module."""
    out = io.BytesIO()
    text = io.TextIOWrapper(out, "utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    names: list[str] = []
    whole = io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline="\n")
    lines = itertools.islice(whole, before, None)
    for line, row in _records(path, lines, separator, before):
        if not names:
            names = named(path, row)
            continue
        if any(cell.strip() for cell in row[len(names) :]):
            raise SpecError(
                f"{path}, line {line}",
                found=many(len(row), "cell"),
                required=f"{many(len(names), 'cell')}, as in the header",
                remedy=f"Put cells that hold the separator ({SEPARATORS.get(separator, separator)}) into "
                "quotation marks, and remove lines above the header.",
            )
        _refuse_rows_in_cells(path, line, row, separator, len(names))
        writer.writerow((row + [""] * (len(names) - len(row)))[: len(names)])
    text.flush()
    out.seek(0)
    return pl.scan_csv(out, has_header=False, schema=dict.fromkeys(names, pl.String))


def _refuse_rows_in_cells(path: Path, line: int, row: Sequence[str], separator: str, width: int) -> None:
    """Raise a SpecError for a cell of several lines, one of which looks like a row of the table.

    Two quotation marks without partners enclose all rows between them. A separator and a space are taken for prose.
    """
    for number, cell in enumerate(row):
        _, *others = cell.split("\n")
        for place, text in enumerate(others):
            pieces = text.split(separator)
            after = len(row) - number - 1 if place == len(others) - 1 else 0
            prose = any(piece.startswith(" ") for piece in pieces[1:])
            if len(pieces) > 1 and len(pieces) + after == width and not prose:
                raise SpecError(
                    f"{path}, line {line}",
                    found=f"a cell of {len(others) + 1} lines, one of which looks like a row: {text[:80]!r}",
                    required="quotation marks in pairs around a cell, doubled within it",
                    remedy="Correct the row that begins there; if the cell is right, take the line breaks out of it.",
                )


def _records(
    path: Path, lines: Iterable[str], separator: str, before: int
) -> Iterator[tuple[int, list[str]]]:
    """(number of its first line, cells) of each record; comments and empty lines between records are left out."""
    start, number, first = True, before, before

    def feed() -> Iterator[str]:
        nonlocal start, number, first
        for line in lines:
            number += 1
            if start and (not line.strip() or line.startswith("#")):
                continue
            first = number if start else first
            start = False
            yield line

    reader = csv.reader(feed(), delimiter=separator, skipinitialspace=True, strict=True)
    while True:
        start = True
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise SpecError(
                f"{path}, line {first}",
                found=f"a row that cannot be split into cells ({error})",
                required="quotation marks in pairs around a cell, doubled within it",
                remedy="Correct the row that begins there.",
            ) from error
        if row is None:
            return
        yield first, row
