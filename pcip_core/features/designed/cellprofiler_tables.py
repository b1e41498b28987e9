"""Import of existing CellProfiler measurements: CellProfiler exports, and the archives of Chong et al."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from pcip_core.errors import SpecError
from pcip_core.features.designed.cellprofiler import finite
from pcip_core.segmentation.matching import matched
from pcip_core.spec.sections import PART
from pcip_core.user_tables.matching import Key, Keys, Matching, bare, match, number
from pcip_core.user_tables.table import open_table, our_name
from pcip_core.user_tables.wells import well_name

if TYPE_CHECKING:
    from pcip_core.images.field import Field
    from pcip_core.spec.screen import Screen

_NOT_FEATURES = re.compile(
    r"^Metadata_|^(Image|Object)Number$|(^|_)(ObjectNumber|Number_Object_Number)$|(^|_)(Parent|Children)_"
    r"|(^|_)Location_|(^|_)(AreaShape_)?(Center|BoundingBox(Minimum|Maximum))_[XYZ]$|^Unnamed: "
)
_IMAGE_AND_FIELD = (bare, number)


class Imported(NamedTuple):
    """Measurements of the cells of the screen that a table describes.

    Attributes:
        values: (m, d) float32, finite.
        names: names of the d columns.
        rows: (m,) positions of the described cells, ascending.
        cells_without: number of cells without a row in the table.
        rows_without: number of rows of the table without a cell.
        not_finite: column -> number of the m values that were not finite; `values` has 0 there.
    """

    values: np.ndarray
    names: list[str]
    rows: np.ndarray
    cells_without: int
    rows_without: int
    not_finite: dict[str, int]


Cells = Mapping[str, Any]


def imported_by_id(path: Path, cells: Cells, *, cell_id: str = "cell_id") -> Imported:
    """Read an export whose rows contain the cell ids of the screen.

    Args:
        path: CSV (or .csv.gz), Parquet or Excel, one row per object.
        cells: column -> n values: `cell_id` of the screen.
        cell_id: the column of the table that contains the cell ids.

    Raises:
        SpecError: the file cannot be read, lacks this column, has no numeric column, contains none of the cells, or
            contains a cell twice.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "cells.csv"
    ...     _ = path.write_text("cell_id,AreaShape_Area\\na,10\\nb,20\\n")
    ...     imported = imported_by_id(path, {"cell_id": ["b", "c"]})
    >>> imported.values.tolist(), imported.rows.tolist(), imported.cells_without
    ([[20.0]], [0], 1)
    """
    table = _read(path, [cell_id])
    ids = table.texts[cell_id]
    if ids.is_duplicated().any():
        raise SpecError(
            path,
            found=f"{cell_id} {ids.filter(ids.is_duplicated())[0]!r} in several rows",
            required="one row per cell",
            remedy="Export the objects from which the cells were cropped.",
        )
    place = {name: row for row, name in enumerate(ids)}
    there = np.array([place.get(str(name), -1) for name in cells["cell_id"]], np.int64)
    ours = np.flatnonzero(there >= 0)
    _require_matches(path, ours, cells["cell_id"], ids.to_list())
    return _joined(path, table, ours, there[ours], len(there))


def imported_by_place(
    path: Path,
    cells: Cells,
    *,
    image: str,
    y: str,
    x: str,
    field: str | None = None,
    within_px: float = 5.0,
) -> Imported:
    """Read an export and assign its objects to the cells by position: one to one, the nearest within a distance.

    Args:
        path: CSV (or .csv.gz), Parquet or Excel, one row per object.
        cells: column -> n values: `image_id`, `field`, `y_px`, `x_px` of the screen.
        image, field: templates over the columns of the table that yield the image_id and field of the screen, such as
            `{Metadata_Plate}_{Metadata_Well}` and `{Metadata_Site}`, or `{ImageNumber}`. `field` may be None only if
            every image has one field.
        y, x: the columns of the table with the centre of the object (`Nuclei_Location_Center_Y`), in px of the field
            from which the crops were cut.
        within_px: largest distance between an object and its cell, px.

    Raises:
        SpecError: the file cannot be read, lacks a column, has no numeric column, describes none of the cells, or
            `field` is required.
    """
    table = _read(path, PART.findall(image) + PART.findall(field or ""), [y, x])
    ours_of = _groups(cells["image_id"], cells["field"] if field else None)
    if field is None and len(_groups(cells["image_id"], cells["field"])) > len(ours_of):
        raise SpecError(
            path,
            found="no template of fields, and images with several fields",
            required="the field of each row, because positions are relative to the field",
            remedy="Pass field, a template over the columns of the table such as '{Metadata_Site}'.",
        )
    images = _filled(table.texts, image)
    theirs_of = _groups(images, _filled(table.texts, field) if field else None)
    keys = Keys(theirs_of, _IMAGE_AND_FIELD[: 2 if field else 1])
    here = np.stack([np.asarray(cells[axis], np.float64) for axis in ("y_px", "x_px")], axis=1)
    there = table.numbers.to_numpy()
    known = np.isfinite(there).all(1)
    ours, theirs = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for key, members in ours_of.items():
        place = keys.place(key)
        _require_one(path, key, place.doubts)
        rows = np.concatenate([np.zeros(0, np.int64), *(theirs_of[each] for each in place.keys)])
        rows = rows[known[rows]]
        if len(rows):
            cell, row_of_cell = matched(here[members], there[rows], within_px)
            ours.append(members[cell])
            theirs.append(rows[row_of_cell])
    mine, row = np.concatenate(ours), np.concatenate(theirs)
    _require_matches(path, mine, cells["image_id"], images)
    order = np.argsort(mine)
    return _joined(path, table, mine[order], row[order], len(here))


def match_objects(screen: Screen, fields: Sequence[Field]) -> Matching | None:
    """Match the rows of a table of measurements to the fields of a screen; None if no table names images.

    Raises:
        SpecError: the table cannot be read, or lacks a column.
    """
    spec = screen.baselines.cellprofiler
    in_use = "cellprofiler" in screen.baselines.sets and spec.source == "table" and spec.table is not None
    if not in_use or spec.image is None:
        return None
    columns = list(dict.fromkeys(PART.findall(spec.image) + PART.findall(spec.field or "")))
    texts = open_table(screen.folder() / str(spec.table)).select(columns).unique(maintain_order=True)
    theirs = _groups(_filled(texts, spec.image), _filled(texts, spec.field) if spec.field else None)
    ours = {field.field_id: (field.image_id, field.number)[: 2 if spec.field else 1] for field in fields}
    keys = Keys(theirs, _IMAGE_AND_FIELD[: 2 if spec.field else 1])
    return match(str(spec.table), "cellprofiler", keys, ours, what="field", some_without=True)


def _require_one(path: Path, key: Key, doubts: Sequence[Key]) -> None:
    if doubts:
        raise SpecError(
            path,
            found=f"rows of {' and '.join(map(' '.join, doubts))}, each of which could be {' '.join(key)}",
            required=f"the image and field as in the screen: {' '.join(key)}",
            remedy="Write them in the table as the screen has them, or correct the templates image and field.",
        )


def archived(screen: Screen, cells: Cells) -> Imported:
    """Read the features in the archives of Chong et al. (layout hdf5), the paper's CellProfiler baseline.

    Args:
        screen: a screen of the layout hdf5, in which each row of an archive is a field of one cell.
        cells: column -> n values: `cell_id` of the screen, `<field>_<number of the object>`.

    Raises:
        SpecError: no archive has features.
    """
    from pcip_core.images.layouts.hdf5 import cell_info

    ids, names, values = cell_info(screen)
    if not names:
        raise SpecError(
            screen.folder(),
            found="no Info1 and Info1_columns in any archive",
            required="archives with the features of their cells",
            remedy="Fetch the archives of chong_labelled_cells, or measure the crops with cp_measure.",
        )
    place = {name: row for row, name in enumerate(ids)}
    there = np.array([place.get(str(name).rpartition("_")[0], -1) for name in cells["cell_id"]], np.int64)
    ours = np.flatnonzero(there >= 0)
    used = there[ours]
    clean = finite(values[used], names)
    return Imported(
        clean.values,
        names,
        ours,
        len(there) - len(ours),
        len(ids) - len(set(used.tolist())),
        clean.not_finite,
    )


class _Export(NamedTuple):
    """One row per object: the columns that identify it, its position, and its measurements as float32."""

    texts: pl.DataFrame
    numbers: pl.DataFrame
    measurements: pl.DataFrame


def _read(path: Path, texts: Sequence[str], numbers: Sequence[str] = ()) -> _Export:
    """Read the table. The columns `texts` stay text, so that 01 stays 01; all named columns must be present."""
    changed_ns = path.stat().st_mtime_ns if path.is_file() else None
    return _read_file(path, tuple(dict.fromkeys(texts)), tuple(numbers), changed_ns)


@lru_cache(maxsize=1)
def _read_file(
    path: Path, texts: tuple[str, ...], numbers: tuple[str, ...], changed_ns: int | None
) -> _Export:
    """Read the columns of a file that are used. All shards of a run share one export, which is read once."""
    table = open_table(path)
    columns = [
        name
        for name in table.columns
        if name not in texts and name not in numbers and not _NOT_FEATURES.search(name)
    ]
    rows = table.select(texts, numbers, measured=columns, dtype=pl.Float32)
    return _Export(rows.select(texts), rows.select(numbers), rows.drop(texts, numbers))


def _require_matches(path: Path, matches: np.ndarray, ours: Sequence[str], theirs: Sequence[str]) -> None:
    """Raise a SpecError if there are cells and the table contains none of them."""
    if len(ours) and not len(matches):
        raise SpecError(
            path,
            found=f"none of the cells of the screen; rows for {next(iter(theirs), 'nothing')!r}",
            required=f"rows for {next(iter(ours))!r} and others",
            remedy="Correct the column names, the templates, the unit of the positions, or within_px.",
        )


def _groups(images: Sequence[str], fields: Sequence[str] | None) -> dict[Key, np.ndarray]:
    """Group rows: image (and field) -> its rows."""
    rows: dict[Key, list[int]] = {}
    for row, image in enumerate(images):
        key = (str(image),) if fields is None else (str(image), str(fields[row]))
        rows.setdefault(key, []).append(row)
    return {key: np.array(members) for key, members in rows.items()}


def _filled(texts: pl.DataFrame, template: str) -> list[str]:
    """Fill a template over columns for each row."""
    filled = [template] * len(texts)
    for name in PART.findall(template):
        values = texts[name].to_list()
        values = [well_name(value) for value in values] if our_name(name) == "well" else values  # A1 is A01
        filled = [text.replace(f"{{{name}}}", value) for text, value in zip(filled, values, strict=True)]
    return filled


def _joined(path: Path, table: _Export, ours: np.ndarray, theirs: np.ndarray, count: int) -> Imported:
    """Select the measurements of the rows `theirs` of the table, which describe the cells `ours`."""
    names = table.measurements.columns
    if not names:
        raise SpecError(
            path,
            found="no numeric column other than positions and numbers of objects",
            required="columns of measurements",
            remedy="Export the measurements of the objects.",
        )
    values = table.measurements[theirs].to_numpy()  # missing ones are NaN
    clean = finite(values, names)
    return Imported(
        clean.values, names, ours, count - len(ours), len(table.texts) - len(theirs), clean.not_finite
    )
