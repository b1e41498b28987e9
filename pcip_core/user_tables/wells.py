"""Names of wells in any writing: A1, A01, a-1, A - 01, r01c01, or a row and a column apart."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

_ROWS = ("row", "wellrow", "well_row", "row_letter", "row_name")
_COLUMNS = ("column", "col", "wellcolumn", "well_column", "well_col", "column_number")
_BETWEEN = r"[\s_.:,\u2010-\u2015-]*"
IN_TEXT = re.compile(rf"[A-Za-z]{{1,2}}{_BETWEEN}\d{{1,3}}")
"""What can be a well within a longer text."""
_WELL = re.compile(rf"(?:well{_BETWEEN})?([A-Z]{{1,2}}){_BETWEEN}0*(\d{{1,3}})", re.IGNORECASE)
_WHOLE = re.compile(r"(?<=\d)\.0+$")  # 1.0 is what pandas makes of 1 in a column with empty cells
_ON_A_PLATE = re.compile(r"(?:A[A-F]|[A-Z])(?:0[1-9]|[1-3][0-9]|4[0-8])")
_NUMBERED = re.compile(rf"r0*(\d{{1,2}}){_BETWEEN}c0*(\d{{1,2}})", re.IGNORECASE)


@functools.lru_cache(maxsize=1 << 13)
def well_name(text: str) -> str:
    """Normalize the name of a well to letters and two digits; any other text is returned unchanged.

    >>> well_name("A1"), well_name("a01"), well_name("A - 01"), well_name("AF48"), well_name("r02c11")
    ('A01', 'A01', 'A01', 'AF48', 'B11')
    >>> well_name("control")
    'control'
    """
    text = text.strip()
    if match := _WELL.fullmatch(text):
        return f"{match[1].upper()}{int(match[2]):02d}"
    match = _NUMBERED.fullmatch(text)
    return well_at(int(match[1]), int(match[2])) if match and int(match[1]) else text


def is_well(text: str) -> bool:
    """Whether a text names a well of a plate of up to 1,536 wells.

    >>> [is_well(text) for text in ("A1", "a - 01", "AF48", "r02c03", "P1_A01", "AG01", "A49")]
    [True, True, True, True, False, False, False]
    """
    return _ON_A_PLATE.fullmatch(well_name(text)) is not None


def well_of(row: str, column: str) -> str:
    """The name of the well at a row (`B` or 2) and a column, as a table names them; empty if one is.

    >>> well_of("B", "7"), well_of("02", "07"), well_of("AA", "48"), well_of("2.0", "7.0"), well_of("", "7")
    ('B07', 'B07', 'AA48', 'B07', '')
    """
    row, column = (_WHOLE.sub("", text.strip()) for text in (row, column))
    if not row or not column:
        return ""
    if row.isdecimal() and column.isdecimal() and int(row):
        return well_at(int(row), int(column))
    return well_name(row + column)


def row_and_column(names: Iterable[str]) -> tuple[str, str] | None:
    """The names that together give a well, of the columns of a table or the parts of a field; None without them.

    >>> row_and_column(["Plate", "Row", "Col"]), row_and_column(["Row", "gene"])
    (('Row', 'Col'), None)
    """
    plain = {name.lower().removeprefix("metadata_"): name for name in names}
    row = next((plain[name] for name in _ROWS if name in plain), None)
    column = next((plain[name] for name in _COLUMNS if name in plain), None)
    return None if row is None or column is None else (row, column)


def well_at(row: int, column: int) -> str:
    """Name of the well at a row and a column, both from 1. The rows after Z are AA, AB, ...

    >>> well_at(2, 7), well_at(27, 48)
    ('B07', 'AA48')
    """
    letters = ""
    while row > 0:
        row, rest = divmod(row - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return f"{letters}{column:02d}"
