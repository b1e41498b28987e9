"""Cells of which only the positions are known: a table of centres, by CellProfiler or anything else."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pcip_core.errors import ImageFileError, SpecError
from pcip_core.images.layouts.grouping import well_name
from pcip_core.images.reading import Planes
from pcip_core.user_tables.table import open_table, our_name

_AXES = {"y": ("y", "y_px", "location_center_y"), "x": ("x", "x_px", "location_center_x")}


def centres(planes: Mapping[str, np.ndarray], *, table: str, radius_px: int = 2) -> np.ndarray:
    """A small disc at each position that a table gives for the field.

    Args:
        planes: the field's planes, as `read_field` gives them: they know which field they are of.
        table: CSV, TSV, Parquet or Excel file under the root. Its columns `y` and `x` (also `y_px`, `x_px`, or
            CellProfiler's `Location_Center_Y`, `Location_Center_X`, with or without an object's name before
            it) are in pixels of the field from its upper left corner; columns with the names of the field's
            parts (plate, well, field, or Cytomining's names for them) say which field a row is of.
        radius_px: of the disc; nothing but its centre of mass is used.

    Returns:
        (H, W) int32 labels, in the order of the table; where discs overlap the nearer centre has the pixel,
        and positions in one pixel are one cell.

    Raises:
        SpecError: the table is not there, or has no columns of positions or of parts.
        ImageFileError: a position is no number or lies outside the field.
    """
    if not isinstance(planes, Planes):
        raise SpecError(
            "segmentation.method centres",
            found=f"planes of no field ({type(planes).__name__})",
            required="planes as pcip_core.images.reading.read_field gives them",
            remedy="Read the field through read_field.",
        )
    path, parts = planes.root / table, planes.field.parts
    about = path.stat() if path.is_file() else None
    stamp = (about.st_mtime_ns, about.st_size) if about else None
    columns, positions = _positions(path, stamp, tuple(parts))
    height, width = planes.shape
    nearest = np.full((height, width), np.inf)
    out = np.zeros((height, width), np.int32)
    number = 0
    for y, x in positions.get(tuple(_text(name, parts[name]) for name in columns), ()):
        if not (-0.5 <= y <= height - 0.5 and -0.5 <= x <= width - 0.5):
            raise ImageFileError(
                path,
                found=f"a centre at y {y}, x {x} of field {planes.field.field_id}, {height} x {width} px",
                required="positions within the field, in pixels",
                remedy="Correct the table (units, or y and x exchanged).",
            )
        row, column = min(round(y), height - 1), min(round(x), width - 1)
        if nearest[row, column] == 0:
            continue  # the same pixel: the same cell
        number += 1
        top, left = max(0, row - radius_px), max(0, column - radius_px)
        window = np.s_[top : row + radius_px + 1, left : column + radius_px + 1]
        ys, xs = np.ogrid[top : min(height, row + radius_px + 1), left : min(width, column + radius_px + 1)]
        distance = np.hypot(ys - row, xs - column)
        won = (distance <= radius_px) & (distance < nearest[window])
        nearest[window][won] = distance[won]
        out[window][won] = number
    return out


Positions = dict[tuple[str, ...], list[tuple[float, float]]]


@functools.lru_cache(maxsize=2)
def _positions(
    path: Path, stamp: tuple[int, int] | None, parts: tuple[str, ...]
) -> tuple[tuple[str, ...], Positions]:
    """The table's columns that are parts of fields, and their values -> positions (y, x).

    `stamp` (time and size of the file) is there so that a changed table is read again.
    """
    table = open_table(path)
    ours = {our_name(name): name for name in table.columns}
    y, x = (_column(path, table.columns, axis) for axis in ("y", "x"))
    columns = tuple(name for name in ours if name in parts)
    if not columns:
        raise _unusable(path, table.columns, f"a column for one of the field's parts {', '.join(parts)}")
    try:
        rows = table.select([ours[name] for name in columns], [y, x])
    except SpecError as error:
        raise ImageFileError(path, found=error.found, required=error.required, remedy=error.remedy) from error
    positions: Positions = defaultdict(list)
    for *values, row_y, row_x in rows.iter_rows():
        if row_y is None or row_x is None:
            raise ImageFileError(
                path,
                found=f"{y} {row_y}, {x} {row_x} in a row of {' '.join(values)}",
                required="numbers",
                remedy="Correct the table, or take the row out.",
            )
        positions[tuple(_text(name, value) for name, value in zip(columns, values, strict=True))].append(
            (row_y, row_x)
        )
    return columns, dict(positions)


def _column(path: Path, names: list[str], axis: str) -> str:
    """The column of one axis; `Cells_Location_Center_Y` is known by its end."""
    for known in _AXES[axis]:
        matches = [one for one in names if one.lower() == known or one.lower().endswith(f"_{known}")]
        exact = [one for one in matches if one.lower() == known]
        if exact or (known.startswith("location") and len(matches) == 1):
            return (exact or matches)[0]
    raise _unusable(path, names, f"one of {', '.join(_AXES[axis])}")


def _text(part: str, value: str) -> str:
    """A part's value to compare by: A1 is A01, and 01 is 1."""
    return well_name(value) if part == "well" else value.lstrip("0") or value


def _unusable(path: Path, names: list[str], required: str) -> SpecError:
    return SpecError(
        path, found=f"columns {', '.join(names) or 'none'}", required=required, remedy="Rename the columns."
    )
