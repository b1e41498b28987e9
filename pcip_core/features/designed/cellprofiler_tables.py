"""CellProfiler's measurements as others have made them: its exports, and those in the Chong archives."""

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
from pcip_core.images.layouts.grouping import well_name
from pcip_core.segmentation.matching import matched
from pcip_core.user_tables.table import open_table, our_name

if TYPE_CHECKING:
    from pcip_core.spec.screen import Screen

_PART = re.compile(r"{(\w+)}")
_NOT_FEATURES = re.compile(
    r"^Metadata_|^(Image|Object)Number$|(^|_)(ObjectNumber|Number_Object_Number)$|(^|_)(Parent|Children)_"
    r"|(^|_)Location_|(^|_)(AreaShape_)?(Center|BoundingBox(Minimum|Maximum))_[XYZ]$|^Unnamed: "
)


class Imported(NamedTuple):
    """Measurements of those of our cells that a table describes.

    Attributes:
        values: (m, d) float32, finite.
        names: of the d columns.
        rows: (m,) which of our cells they are of, ascending.
        cells_without: how many of our cells have no row in the table.
        rows_without: how many rows of the table are of none of our cells.
        not_finite: column -> how many of the m values were not finite numbers; 0 stands there.
    """

    values: np.ndarray
    names: list[str]
    rows: np.ndarray
    cells_without: int
    rows_without: int
    not_finite: dict[str, int]


Cells = Mapping[str, Any]


def imported_by_id(path: Path, cells: Cells, *, cell_id: str = "cell_id") -> Imported:
    """Read an export whose rows name our cells.

    Args:
        path: CSV (or .csv.gz), Parquet or Excel, one row per object.
        cells: column -> n values: our `cell_id`.
        cell_id: the table's column of them.

    Raises:
        SpecError: the file cannot be read, has no such column, no column of numbers, none of our cells, or
            one cell twice.
    """
    table = _read(path, [cell_id])
    ids = table.texts[cell_id]
    if ids.is_duplicated().any():
        raise SpecError(
            path,
            found=f"{cell_id} {ids.filter(ids.is_duplicated())[0]!r} in several rows",
            required="one row per cell",
            remedy="Export the objects that the cells were made from.",
        )
    place = {name: row for row, name in enumerate(ids)}
    there = np.array([place.get(str(name), -1) for name in cells["cell_id"]], np.int64)
    ours = np.flatnonzero(there >= 0)
    _some(path, ours, cells["cell_id"], ids.to_list())
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
    """Read an export whose objects lie where our cells do: one to one, the nearest within a distance.

    Args:
        path: CSV (or .csv.gz), Parquet or Excel, one row per object.
        cells: column -> n values: our `image_id`, `field`, `y_px`, `x_px`.
        image, field: templates over the table's columns that give our image_id and field, such as
            `{Metadata_Plate}_{Metadata_Well}` and `{Metadata_Site}`, or `{ImageNumber}`.
        y, x: the table's columns of the centre (`Nuclei_Location_Center_Y`), px of the field as our crops were cut
            from.
        field: may be left out only where every image has one field.
        within_px: a row that is farther from a cell is not of that cell.

    Raises:
        SpecError: the file cannot be read, lacks a column, has no column of numbers, describes no cell of ours, or
            `field` is needed.
    """
    keys = _PART.findall(image) + _PART.findall(field or "")
    table = _read(path, keys, [y, x])
    ours_of = _groups(cells["image_id"], cells["field"] if field else None)
    if field is None and len(_groups(cells["image_id"], cells["field"])) > len(ours_of):
        raise SpecError(
            path,
            found="no template of fields, and images of several fields",
            required="which field a row is of: positions are within a field",
            remedy="Pass field, a template over the table's columns such as '{Metadata_Site}'.",
        )
    images = _filled(table.texts, image)
    theirs_of = _groups(images, _filled(table.texts, field) if field else None)
    here = np.stack([np.asarray(cells[axis], np.float64) for axis in ("y_px", "x_px")], axis=1)
    there = table.numbers.to_numpy()
    known = np.isfinite(there).all(1)
    ours, theirs = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for key, members in ours_of.items():
        rows = theirs_of.get(key, np.zeros(0, np.int64))
        rows = rows[known[rows]]
        if len(rows):
            one, other = matched(here[members], there[rows], within_px)
            ours.append(members[one])
            theirs.append(rows[other])
    mine, row = np.concatenate(ours), np.concatenate(theirs)
    _some(path, mine, cells["image_id"], images)
    order = np.argsort(mine)
    return _joined(path, table, mine[order], row[order], len(here))


def archived(screen: Screen, cells: Cells) -> Imported:
    """The features that the archives of Chong et al. carry (layout hdf5), the paper's CellProfiler baseline.

    Args:
        screen: of the layout hdf5, where each row of an archive is a field of one cell.
        cells: column -> n values: our `cell_id`, `<field>_<number of the object>`.

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
            remedy="Fetch the archives of chong_labelled_cells, or measure the crops by cp_measure.",
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
    """One row per object: the columns that say which it is, its position, and its measurements as float32."""

    texts: pl.DataFrame
    numbers: pl.DataFrame
    measurements: pl.DataFrame


def _read(path: Path, texts: Sequence[str], numbers: Sequence[str] = ()) -> _Export:
    """The table, with the columns `texts` as text, so that 01 stays 01; all named columns must be there."""
    changed_ns = path.stat().st_mtime_ns if path.is_file() else None
    return _read_file(path, tuple(dict.fromkeys(texts)), tuple(numbers), changed_ns)


@lru_cache(maxsize=1)
def _read_file(
    path: Path, texts: tuple[str, ...], numbers: tuple[str, ...], changed_ns: int | None
) -> _Export:
    """The columns of a file that are used; one export serves all shards of a run, and is read once."""
    table = open_table(path)
    columns = [
        name
        for name in table.columns
        if name not in texts and name not in numbers and not _NOT_FEATURES.search(name)
    ]
    read = table.select(texts, numbers, measured=columns, dtype=pl.Float32)
    return _Export(read.select(texts), read.select(numbers), read.drop(texts, numbers))


def _some(path: Path, matches: np.ndarray, ours: Sequence[str], theirs: Sequence[str]) -> None:
    """Raise a SpecError where there are cells and not one of them is in the table."""
    if len(ours) and not len(matches):
        raise SpecError(
            path,
            found=f"none of our cells; rows of {next(iter(theirs), 'nothing')!r}",
            required=f"rows of {next(iter(ours))!r} and others",
            remedy="Correct the names of the columns, the templates, the unit of positions, or within_px.",
        )


def _groups(images: Sequence[str], fields: Sequence[str] | None) -> dict[tuple[str, ...], np.ndarray]:
    """Image (and field) -> the rows that are of it."""
    rows: dict[tuple[str, ...], list[int]] = {}
    for row, image in enumerate(images):
        key = (str(image),) if fields is None else (str(image), str(fields[row]).lstrip("0"))  # 01 is 1
        rows.setdefault(key, []).append(row)
    return {key: np.array(members) for key, members in rows.items()}


def _filled(texts: pl.DataFrame, template: str) -> list[str]:
    """A template over columns, filled for each row."""
    filled = [template] * len(texts)
    for name in _PART.findall(template):
        values = texts[name].to_list()
        values = [well_name(value) for value in values] if our_name(name) == "well" else values  # A1 is A01
        filled = [text.replace(f"{{{name}}}", value) for text, value in zip(filled, values, strict=True)]
    return filled


def _joined(path: Path, table: _Export, ours: np.ndarray, theirs: np.ndarray, count: int) -> Imported:
    """The measurements of the rows `theirs`, which are of our cells `ours`."""
    names = table.measurements.columns
    if not names:
        raise SpecError(
            path,
            found="no column of numbers but places and numbers of objects",
            required="columns of measurements",
            remedy="Export the objects' measurements.",
        )
    values = table.measurements[theirs].to_numpy()  # missing ones are NaN
    clean = finite(values, names)
    return Imported(
        clean.values, names, ours, count - len(ours), len(table.texts) - len(theirs), clean.not_finite
    )
