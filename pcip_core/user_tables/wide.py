"""Plate maps that are drawn as a plate: a row for each letter and a column for each number."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from pcip_core.errors import SpecError
from pcip_core.user_tables.wells import well_at, well_name

_LETTERS = re.compile(r"\s*(A[A-F]|a[a-f]|[A-Za-z])\s*")
_FEWEST = 3  # columns with the number of a column of wells
_NO_NAMES = ("", "row", "rows", "well", "wells", "plate", "column", "platemap", "plate map", "map")


def long_form(path: Path, table: pl.DataFrame) -> pl.DataFrame:
    """A plate map with one row per well; any table that is not drawn as a plate is returned unchanged.

    The first cell of the header, above the letters, names what the wells hold. Empty wells have no row.

    Args:
        path: of the table, for errors.
        table: columns of text.

    Raises:
        SpecError: a table is drawn as a plate, and nothing names what its wells hold, or it holds several plates.

    >>> table = pl.DataFrame({"gene": ["A", "B"], "1": ["AAC1", ""], "2": ["ADE1", "X"], "3": ["", ""]})
    >>> long_form(Path("map.csv"), table).rows()
    [('A01', 'AAC1'), ('A02', 'ADE1'), ('B02', 'X')]
    """
    numbers = [name for name in table.columns if _number(name)]
    if len(numbers) < _FEWEST or not table.height:
        return table
    first, *others = table.columns
    rest = [name for name in others if name not in numbers]
    if any("well" in name.lower() for name in rest):
        return table
    letters = (
        [well_at(row + 1, 1)[:-2] for row in range(table.height)]
        if first in numbers
        else table[first].to_list()
    )
    cells = [
        (well_name(f"{letter.strip()}{number.strip().removesuffix('.0')}"), value)
        for letter, values in zip(letters, table.select(numbers).iter_rows(), strict=True)
        for number, value in zip(numbers, values, strict=True)
        if value
    ]
    if rest and any(_LETTERS.fullmatch(text) for name in rest for text in table[name]):
        raise _refused(path, cells, numbers, "several plates")
    if rest or not all(map(_LETTERS.fullmatch, letters)):
        return table
    if len(set(letters)) < len(letters):
        raise _refused(path, cells, numbers, "several plates")
    if first in numbers or first.strip().lower() in _NO_NAMES:
        raise _refused(path, cells, numbers, "a plate whose wells hold something without a name,")
    return pl.DataFrame(cells, schema={"well": pl.String, first: pl.String}, orient="row")


def _number(name: str) -> bool:
    """Whether a column has the number of a column of a plate."""
    text = name.strip().removesuffix(".0")
    return text.isdecimal() and len(text) <= 2 and 1 <= int(text) <= 48


def _refused(path: Path, cells: list[tuple[str, str]], numbers: list[str], what: str) -> SpecError:
    (one, first), (other, second) = [*cells, ("A01", "AAC1"), ("A02", "ADE1")][:2]
    return SpecError(
        path,
        found=f"{what} drawn with the columns {', '.join(numbers[:3])}, ...",
        required="one row per well, in the columns well and, for example, protein",
        remedy=f"Write it as `well,protein`, `{one},{first}`, `{other},{second}`, and so on, with a column plate for "
        "several plates. Or, of one plate, write the name of what the wells hold (protein, gene) into the first cell, "
        "above the letters of the rows.",
    )
