"""Where the rows of a table stand in its file, for errors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from pcip_core.user_tables.table import is_text, open_table
from pcip_core.user_tables.text import first_lines


def row_labels(path: Path, rows: Sequence[int]) -> list[str]:
    """Where some rows of a table stand: `line 3` of a text, otherwise `row 2` below the header.

    Args:
        path: of the table.
        rows: positions in the frame that `read_table` gives.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "wells.csv"
    ...     _ = path.write_text("# screen 7\\nwell,gene\\n\\nA01,X\\n,\\nA02,Y\\n")
    ...     row_labels(path, [0, 1])
    ['line 4', 'line 6']
    """
    if not rows:
        return []
    if is_text(path):
        lines = first_lines(path)
        return [f"line {lines[row]}" for row in rows]
    table = open_table(path)
    filled = pl.any_horizontal(
        pl.col(name).cast(pl.String).str.strip_chars().fill_null("") != "" for name in table.columns
    )
    places = table.frame.with_row_index("\x01").filter(filled).select("\x01").collect()["\x01"]
    return [f"row {places[row] + 1}" for row in rows]
