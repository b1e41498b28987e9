"""Cells of which only the positions are known: a table of centres, from CellProfiler or any other program."""

from __future__ import annotations

import functools
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from pcip_core.errors import ImageFileError, SpecError
from pcip_core.images.field import Field
from pcip_core.images.reading import Planes
from pcip_core.spec.bounds import Bounds
from pcip_core.spec.screen import Screen
from pcip_core.user_tables.matching import Key, Keys, Matching, Normalize, bare, match, number, stripped
from pcip_core.user_tables.table import open_table, our_name
from pcip_core.user_tables.wells import row_and_column, well_name, well_of

_AXES = {"y": ("y", "y_px", "location_center_y"), "x": ("x", "x_px", "location_center_x")}


def centres(
    planes: Mapping[str, np.ndarray], *, table: str, radius_px: Annotated[int, Bounds(0, 200)] = 2
) -> np.ndarray:
    """Label a small disc at each position that a table lists for the field.

    Args:
        planes: the planes of the field from `read_field`, which also records the field they belong to.
        table: path of a CSV, TSV, Parquet or Excel file, relative to the root. The columns `y` and `x` (also `y_px`,
            `x_px`, or CellProfiler's `Location_Center_Y` and `Location_Center_X`, with or without the name of
            the object as a prefix) are positions in px from the upper left corner of the field. The columns
            named after the parts of the field (plate, well, field, or Cytomining's names for them) give the
            field of each row.
        radius_px: radius of the disc; only its centre of mass is used later.

    Returns:
        (H, W) int32 labels in the order of the table. Where discs overlap, a pixel belongs to the nearer centre.
        Several positions in one pixel are one cell.

    Raises:
        SpecError: the table does not exist, or has no columns of positions or of parts.
        ImageFileError: a position is not a number or lies outside the field.

    >>> import tempfile
    >>> from pcip_core.images.field import Field
    >>> field = Field("A01_1", "A01", "plate_1", {"well": "A01", "field": "1"}, {})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "cells.csv").write_text("well,field,y,x\\nA01,1,1,1\\nA01,1,1,4\\n")
    ...     planes = Planes({"protein": np.zeros((3, 6))}, field, Path(folder))
    ...     centres(planes, table="cells.csv", radius_px=1)
    array([[0, 1, 0, 0, 2, 0],
           [1, 1, 1, 2, 2, 2],
           [0, 1, 0, 0, 2, 0]], dtype=int32)
    """
    if not isinstance(planes, Planes):
        raise SpecError(
            "segmentation.method centres",
            found=f"planes of an unknown field ({type(planes).__name__})",
            required="planes from pcip_core.images.reading.read_field",
            remedy="Read the field with read_field.",
        )
    path = planes.root / table
    listed = _listed(path, planes.field)
    height, width = planes.shape
    nearest = np.full((height, width), np.inf)
    out = np.zeros((height, width), np.int32)
    number = 0
    for y, x in listed.of(path, planes.field):
        if not (-0.5 <= y <= height - 0.5 and -0.5 <= x <= width - 0.5):
            raise ImageFileError(
                path,
                found=f"a centre at y {y}, x {x} of field {planes.field.field_id}, {height} x {width} px",
                required="positions within the field, in pixels",
                remedy="Correct the table: check the units and the order of y and x.",
            )
        row, column = min(round(y), height - 1), min(round(x), width - 1)
        if nearest[row, column] == 0:
            continue  # this pixel already is the centre of a cell
        number += 1
        top, left = max(0, row - radius_px), max(0, column - radius_px)
        window = np.s_[top : row + radius_px + 1, left : column + radius_px + 1]
        ys, xs = np.ogrid[top : min(height, row + radius_px + 1), left : min(width, column + radius_px + 1)]
        distance = np.hypot(ys - row, xs - column)
        nearer = (distance <= radius_px) & (distance < nearest[window])
        nearest[window][nearer] = distance[nearer]
        out[window][nearer] = number
    return out


def match_centres(screen: Screen, fields: Sequence[Field]) -> Matching | None:
    """Match the table of the method `centres` to the fields of a screen; None for another method.

    Raises:
        SpecError: see `centres`.
    """
    table = screen.segmentation.options.get("table")
    if screen.segmentation.method != "centres" or not isinstance(table, str) or not fields:
        return None
    listed = _listed(screen.folder() / table, fields[0])
    ours = {field.field_id: listed.key(field) for field in fields}
    return match(table, "centres", listed.keys, ours, what="field", some_without=True)


@dataclass(frozen=True)
class _Listed:
    """The positions of a table.

    Args:
        parts: the parts of fields by which its rows are found.
        positions: their values, as the table has them -> positions (y, x).
        keys: these values, to find them in any writing.
    """

    parts: tuple[str, ...]
    positions: dict[Key, list[tuple[float, float]]]
    keys: Keys

    def key(self, field: Field) -> Key:
        return tuple(field.parts[name] for name in self.parts)

    def of(self, path: Path, field: Field) -> list[tuple[float, float]]:
        """The positions of the cells of a field."""
        place = self.keys.place(self.key(field))
        if place.doubts:
            raise ImageFileError(
                path,
                found=f"rows of {' and '.join(map(' '.join, place.doubts))}, each of which could be field "
                f"{field.field_id}",
                required=f"{' '.join(self.parts)} as the files have them: {' '.join(self.key(field))}",
                remedy="Write them in the table as in the names of the files.",
            )
        return [position for key in place.keys for position in self.positions[key]]


def _listed(path: Path, field: Field) -> _Listed:
    """The positions of a table, which is read again if it has changed."""
    status = path.stat() if os.path.isfile(path) else None  # noqa: PTH113, as Path.is_file raises for a name that is too long
    return _read(path, (status.st_mtime_ns, status.st_size) if status else None, tuple(field.parts))


@functools.lru_cache(maxsize=2)
def _read(path: Path, _stamp: tuple[int, int] | None, parts: tuple[str, ...]) -> _Listed:
    """Read the columns of positions and those named after parts. The well may be a row and a column apart."""
    table = open_table(path)
    ours = {our_name(name): name for name in table.columns}
    y, x = (_column(path, table.columns, axis) for axis in ("y", "x"))
    apart = row_and_column(table.columns)
    columns = {name: [ours[name]] for name in parts if name in ours}
    if "well" in parts and "well" not in ours and apart is not None:
        columns = {name: of for name, of in columns.items() if of[0] not in apart} | {"well": [*apart]}
    if not columns:
        raise _column_error(path, table.columns, f"a column for one of the field's parts {', '.join(parts)}")
    texts = list(dict.fromkeys(name for names in columns.values() for name in names))
    try:
        rows = table.select(texts, [y, x])
    except SpecError as error:
        raise ImageFileError(path, found=error.found, required=error.required, remedy=error.remedy) from error
    values = [
        rows[names[0]].to_list()
        if len(names) == 1
        else map(well_of, *(rows[name].to_list() for name in names))
        for names in columns.values()
    ]
    positions: dict[Key, list[tuple[float, float]]] = defaultdict(list)
    for *key, row_y, row_x in zip(*values, rows[y].to_list(), rows[x].to_list(), strict=True):
        if row_y is None or row_x is None:
            raise ImageFileError(
                path,
                found=f"{y} {row_y}, {x} {row_x} in a row of {' '.join(key)}",
                required="numbers",
                remedy="Correct the table, or remove the row.",
            )
        positions[tuple(key)].append((row_y, row_x))
    of_parts: dict[str, Normalize] = {"well": well_name, "plate": stripped}
    normalizers = [of_parts.get(name, lambda text: number(bare(text))) for name in columns]
    return _Listed(tuple(columns), dict(positions), Keys(positions, normalizers))


def _column(path: Path, names: list[str], axis: str) -> str:
    """Return the name of the column of an axis; `Cells_Location_Center_Y` is recognized by its ending."""
    for known in _AXES[axis]:
        matches = [name for name in names if name.lower() == known or name.lower().endswith(f"_{known}")]
        exact = [name for name in matches if name.lower() == known]
        if exact or (known.startswith("location") and len(matches) == 1):
            return (exact or matches)[0]
    raise _column_error(path, names, f"one of {', '.join(_AXES[axis])}")


def _column_error(path: Path, names: list[str], required: str) -> SpecError:
    return SpecError(
        path,
        found=f"columns {', '.join(names) or 'none'}",
        required=required,
        remedy="Rename the columns.",
    )
