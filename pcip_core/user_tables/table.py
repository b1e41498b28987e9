"""One reader for all tables that users give: CSV and TSV text, Parquet, Excel.

`read_table` gives every cell as text, so that 001 and NA stay what they are. `open_table` reads only some columns, and
numbers as numbers, from tables too large to be read whole.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pcip_core.errors import SpecError, meant
from pcip_core.user_tables import excel
from pcip_core.user_tables.damage import refuse_damaged
from pcip_core.user_tables.text import UNNAMED, scan_text
from pcip_core.words import many

_MISSING = ("", "nan", "-nan", "na", "n/a", "#n/a", "<na>", "null", "none", "nan(ind)", "-nan(ind)")
_AS_IS = ""  # in place of a decimal mark: polars reads all cells of the column as they are
_LONGEST_CELL = 100_000  # characters
_MOST_CELLS = 50_000_000
_HEAD = 1000  # rows by which `UserTable.select` first judges a large table
_THOUSANDS = r"^[+-]?[1-9]\d{0,2}([.,]\d{3})+$"
_AS_TEXT = (pl.Categorical, pl.Enum, pl.Null)  # types of Parquet
_OURS = {  # Cytomining's and CellProfiler's names, in lower case -> ours
    "metadata_plate": "plate",
    "metadata_well": "well",
    "metadata_site": "field",
    "well_position": "well",
    "metadata_well_position": "well",
}


def our_name(column: str) -> str:
    """The name that pcip has for a column of Cytomining's or CellProfiler's, or the column's own.

    >>> our_name("Metadata_Well"), our_name("Metadata_Strain")
    ('well', 'Metadata_Strain')
    """
    return _OURS.get(column.lower(), column)


def read_table(path: Path) -> pl.DataFrame:
    """The rows of a table as columns of text; cells are stripped, missing ones are empty.

    Rows without any text are left out, and so is a first column without a name (row names).

    Raises:
        SpecError: the file cannot be read as a table, another column has cells and no name, or Excel has turned names
            into dates (`refuse_damaged`).
    """
    table = open_table(path)
    table.require_small()
    nameless = [name for name in table.schema if name.startswith(UNNAMED)]
    frame = table.select([*table.columns, *nameless])
    for name in nameless:
        if name != f"{UNNAMED}1" and (frame[name] != "").any():
            raise SpecError(
                path,
                found=f"cells in the column {name.removeprefix(UNNAMED)}, which has no name",
                required="a header with a name for each column",
                remedy="Name the column or remove it; remove lines above the header.",
            )
    frame = frame.drop(nameless)
    _refuse_long(path, frame)
    refuse_damaged(path, frame)
    return frame


def _refuse_long(path: Path, frame: pl.DataFrame) -> None:
    """Raise a SpecError for a cell that is too long for a name or a note."""
    for column in frame.get_columns():
        lengths = column.str.len_chars()
        row = lengths.arg_max()
        if row is not None and lengths[row] > _LONGEST_CELL:
            raise SpecError(
                path,
                found=f"a cell of {lengths[row]} characters in the column {column.name[:80]}, row {row + 1}",
                required=f"at most {_LONGEST_CELL}",
                remedy="Correct the cell: a quotation mark may lack its partner.",
            )


def renamed(path: Path, table: pl.DataFrame, name_of: Callable[[str], str]) -> pl.DataFrame:
    """Give the columns of a table new names. Of two columns with one new name and the same cells, the first stays.

    Raises:
        SpecError: two columns with one new name differ.

    >>> wells = pl.DataFrame({"Metadata_Well": ["A01"], "well_position": ["A01"], "gene": ["AAC1"]})
    >>> renamed(Path("platemap.csv"), wells, our_name).columns
    ['well', 'gene']
    """
    columns: dict[str, pl.Series] = {}
    for column in table.get_columns():
        name = name_of(column.name)
        kept = columns.setdefault(name, column)
        if not kept.equals(column):
            raise SpecError(
                path,
                found=f"the columns {kept.name} and {column.name}, which differ",
                required=f"one column {name}",
                remedy="Rename or remove the other.",
            )
    return pl.DataFrame([column.alias(name) for name, column in columns.items()])


def open_table(path: Path) -> UserTable:
    """Open a table; the end of its name says its format: `.parquet`, `.xlsx`, `.xlsm`, anything else for text.

    Text may be gzipped (`.gz`) or alone in a `.zip`.

    Raises:
        SpecError: it is not there or cannot be read.
    """
    if path.suffix.lower() == ".parquet":
        try:
            frame = pl.scan_parquet(path)
            as_text = [
                pl.col(name).cast(pl.String)
                for name, kind in frame.collect_schema().items()
                if kind in _AS_TEXT
            ]
            frame = frame.with_columns(as_text)
            return UserTable(path, frame, frame.collect_schema(), typed=True)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise _unreadable(path, error) from error
    if not is_text(path):
        sheet = excel.read_excel(path)
        return UserTable(path, sheet.lazy(), sheet.schema)
    text = scan_text(path)
    return UserTable(
        path, text.frame, text.frame.collect_schema(), separator=text.separator, as_numbers=text.as_numbers
    )


def is_text(path: Path) -> bool:
    """Whether a file is read as text, by the end of its name."""
    return path.suffix.lower() not in (".parquet", *excel.SUFFIXES, *excel.REFUSED)


@dataclass(frozen=True)
class UserTable:
    """An open table.

    Args:
        path: of the file.
        frame: columns of text, or the typed ones of a Parquet file.
        schema: of the frame; columns without a name begin with `UNNAMED`.
        separator: of a text table.
        typed: whether the columns have types of their own.
        as_numbers: opens a text table again with some columns as numbers, which must hold nothing else.
    """

    path: Path
    frame: pl.LazyFrame
    schema: pl.Schema
    separator: str | None = None
    typed: bool = False
    as_numbers: Callable[[Sequence[str]], pl.LazyFrame] | None = None

    @property
    def columns(self) -> list[str]:
        """The columns that have a name; the row names that pandas writes into Parquet are none."""
        return [name for name in self.schema if not name.startswith((UNNAMED, "__index_level_"))]

    def require_small(self) -> None:
        """Raise a SpecError if the table has too many cells to be read whole as text."""
        rows = self._collected(self.frame.select(pl.len())).item()
        if rows * max(1, len(self.schema)) > _MOST_CELLS:
            raise SpecError(
                self.path,
                found=f"{many(rows, 'row')} of {many(len(self.schema), 'column')}",
                required=f"at most {_MOST_CELLS} cells",
                remedy="Leave out the columns and rows that pcip does not need.",
            )

    def select(
        self,
        texts: Sequence[str],
        numbers: Sequence[str] = (),
        *,
        measured: Sequence[str] = (),
        dtype: type[pl.DataType] = pl.Float64,
    ) -> pl.DataFrame:
        """Some columns, in the order of the arguments; rows in which all of them are missing are left out.

        Args:
            texts: columns to read as text; missing cells are empty.
            numbers: columns that must hold numbers; missing cells are null.
            measured: further columns, of which those that hold numbers alone are read, as `dtype`.
            dtype: of the columns `measured`, in which missing cells may be NaN; `numbers` are Float64.

        Raises:
            SpecError: a column is not there, one of `numbers` holds text, or the decimal mark cannot be told.
        """
        self._require([*texts, *numbers])
        measured = [name for name in measured if not self.typed or self.schema[name].is_numeric()]
        if self.as_numbers is not None:
            with contextlib.suppress(SpecError):  # a cell below the head may be no number
                return self._selected(texts, numbers, measured, dtype, quick=True)
        return self._selected(texts, numbers, measured, dtype, quick=False)

    def _selected(
        self,
        texts: Sequence[str],
        numbers: Sequence[str],
        measured: Sequence[str],
        dtype: type[pl.DataType],
        *,
        quick: bool,
    ) -> pl.DataFrame:
        """What `select` gives; `quick` lets polars parse columns as numbers that begin with numbers."""
        marks = self._decimal_marks([*numbers, *measured], quick=quick)
        for name in numbers:
            if name not in marks:
                kind = self.schema[name]
                text = kind == pl.String
                raise SpecError(
                    self.path,
                    found=f"{name} {self._first(name, self._no_number('.,')(name))!r}"
                    if text
                    else f"a column {name} of the type {kind}",
                    required="numbers",
                    remedy="Correct the table, or take the row out.",
                )
        columns = [self._text(name) for name in texts]
        columns += [self._number(name, marks[name]).fill_nan(None) for name in numbers]
        columns += [self._number(name, marks[name]).cast(dtype) for name in measured if name in marks]
        plain = [name for name, mark in marks.items() if mark == _AS_IS]
        frame = self.as_numbers(plain) if self.as_numbers is not None and quick else self.frame
        read = self._collected(frame.select(columns))
        for names in (
            [*texts, *numbers],
            read.columns,
        ):  # most tables have no such row: look at few columns first
            filled = (pl.col(name) != "" if name in texts else pl.col(name).is_not_null() for name in names)
            if not names or read.select(pl.any_horizontal(filled).all()).item():
                return read
        return read.filter(
            pl.any_horizontal(
                pl.col(name) != "" if name in texts else pl.col(name).is_not_null() for name in read.columns
            )
        )

    def _require(self, names: Sequence[str]) -> None:
        missing = [name for name in names if name not in self.schema]
        if missing:
            some = self.columns[:12]
            raise SpecError(
                self.path,
                found=f"columns {', '.join(some)}{', ...' if len(self.columns) > 12 else ''}",
                required=f"the columns {', '.join(name + meant(name, self.columns) for name in missing)}",
                remedy="Name the table's own columns.",
            )
        for name in names:
            kind = self.schema[name]
            if kind == pl.Binary or (kind.is_nested() and kind != pl.List(pl.String)):
                raise SpecError(
                    self.path,
                    found=f"a column {name} of the type {kind}",
                    required="columns of text, numbers or lists of texts",
                    remedy="Leave the column out of the file.",
                )

    def _text(self, name: str) -> pl.Expr:
        column, kind = pl.col(name), self.schema[name]
        if kind == pl.List(pl.String):
            column = column.list.join(";")
        elif kind == pl.Boolean:
            column = pl.when(column).then(pl.lit("True")).when(~column).then(pl.lit("False")).alias(name)
        elif isinstance(kind, pl.Datetime):
            column = column.dt.to_string("%Y-%m-%d %H:%M:%S%.f")
        return column.cast(pl.String).str.strip_chars().fill_null("")

    def _number(self, name: str, mark: str) -> pl.Expr:
        """The numbers of a column; null for what is none."""
        if mark == _AS_IS:
            return pl.col(name).cast(pl.Float64, strict=False)
        text = pl.col(name).str.strip_chars()
        text = text if mark == "." else text.str.replace(mark, ".", literal=True)
        return pl.when(~self._absent(name)).then(text.cast(pl.Float64, strict=False)).alias(name)

    @staticmethod
    def _absent(name: str) -> pl.Expr:
        return pl.col(name).str.strip_chars().str.to_lowercase().fill_null("").is_in(_MISSING)

    def _decimal_marks(self, names: Sequence[str], *, quick: bool) -> dict[str, str]:
        """Column -> its decimal mark (or `_AS_IS`), for the columns that hold numbers alone.

        Raises:
            SpecError: two decimal marks, or commas that may separate thousands.
        """
        marks = {name: _AS_IS for name in names if self.schema[name].is_numeric()}
        rest = [name for name in names if self.schema[name] == pl.String]
        begin = self.frame.head(_HEAD) if quick else self.frame
        marks |= {
            name: _AS_IS for name, n in self._counts(rest, self._no_plain_number, begin).items() if n == 0
        }
        rest = [name for name in rest if name not in marks]
        marks |= {name: "." for name, count in self._counts(rest, self._no_number(".")).items() if count == 0}
        rest = [name for name in rest if name not in marks]
        rest = [name for name, count in self._counts(rest, self._no_number(".,")).items() if count == 0]
        if not rest:
            return marks
        points = [name for name in marks if self.schema[name] == pl.String]
        both = [name for name, count in self._counts([*rest, *points], _with(r"\d\.\d")).items() if count]
        if both:
            raise SpecError(
                self.path,
                found=f"numbers with a decimal comma in the column {rest[0]}, with a point in {both[0]}",
                required="one decimal mark, and nothing between thousands",
                remedy="Correct the columns.",
            )
        others = self._counts(rest, _with(",", but=_THOUSANDS))  # 0,5 and 12,34, not 1,234
        if self.separator != ";" and not any(others.values()):
            raise SpecError(
                self.path,
                found=f"{rest[0]} {self._first(rest[0], pl.col(rest[0]).str.contains(',', literal=True))!r}",
                required="numbers of which it is clear whether the comma is a decimal comma or separates thousands",
                remedy="Write them with a decimal point and nothing between thousands.",
            )
        return marks | dict.fromkeys(rest, ",")

    @staticmethod
    def _no_plain_number(name: str) -> pl.Expr:
        """The same as `_no_number(".")` and much faster, for columns without spaces and words for missing numbers."""
        return pl.col(name).is_not_null() & pl.col(name).cast(pl.Float64, strict=False).is_null()

    def _no_number(self, marks: str) -> Callable[[str], pl.Expr]:
        """Whether a cell holds something that is no number with any of these decimal marks."""

        def condition(name: str) -> pl.Expr:
            return ~self._absent(name) & pl.all_horizontal(
                self._number(name, mark).is_null() for mark in marks
            )

        return condition

    def _counts(
        self, names: Sequence[str], condition: Callable[[str], pl.Expr], frame: pl.LazyFrame | None = None
    ) -> dict[str, int]:
        """Column -> how many of its cells meet a condition."""
        if not names:
            return {}
        frame = self.frame if frame is None else frame
        counted = self._collected(frame.select(condition(name).sum().alias(name) for name in names))
        return counted.row(0, named=True)

    def _first(self, name: str, condition: pl.Expr) -> str:
        return str(self._collected(self.frame.filter(condition).select(name).head(1)).item())

    def _collected(self, frame: pl.LazyFrame) -> pl.DataFrame:
        try:
            return frame.collect(engine="streaming")
        except (OSError, pl.exceptions.PolarsError) as error:
            raise _unreadable(self.path, error) from error


def _with(pattern: str, *, but: str | None = None) -> Callable[[str], pl.Expr]:
    """Whether a cell matches a pattern, and not another."""

    def condition(name: str) -> pl.Expr:
        text = pl.col(name).str.strip_chars()
        matches = text.str.contains(pattern)
        return matches if but is None else matches & ~text.str.contains(but)

    return condition


def _unreadable(path: Path, error: Exception) -> SpecError:
    kind = "Parquet" if path.suffix.lower() == ".parquet" else "readable table"
    missing = isinstance(error, FileNotFoundError)
    return SpecError(
        path,
        found="no such file" if missing else f"no {kind} ({str(error).splitlines()[0]})",
        required="a table: CSV, TSV, Parquet or Excel (.xlsx)",
        remedy="Check the path and the file.",
    )
