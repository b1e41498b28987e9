"""AnnData files, HDF5 (`.h5ad`) or Zarr, written block by block in anndata's documented format, without anndata.

anndata writes from memory. Its format is a few kinds of elements, each an array or a group whose attributes name the
kind (https://anndata.readthedocs.io/en/stable/fileformat-prose.html), and h5py and zarr have nearly the same functions
for both, so that one writer serves both files.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import polars as pl

from pcip_core.errors import MissingPackageError
from pcip_core.exports.cells import ExportedCells, distinct
from pcip_core.exports.patient_file import PatientFile
from pcip_core.exports.target import new_target
from pcip_core.store.partitions import Store

if TYPE_CHECKING:
    from anndata import AnnData

_ZARR_ROWS = 4096  # of a chunk, which is a file: 6 MB with 384 features
_NUL = "\N{SYMBOL FOR NULL}"
_Marks = Mapping[str, Any]


def _marks(kind: str, version: str) -> dict[str, Any]:
    """The attributes that name the kind of an element."""
    return {"encoding-type": kind, "encoding-version": version}


def _frame(index: str, columns: Iterable[str]) -> dict[str, Any]:
    """The attributes of a table."""
    return {**_marks("dataframe", "0.2.0"), "_index": index, "column-order": list(columns)}


_ROOT, _DICT = _marks("anndata", "0.1.0"), _marks("dict", "0.1.0")
_ARRAY, _TEXTS, _TEXT = (_marks(kind, "0.2.0") for kind in ("array", "string-array", "string"))
_EMPTY = ("layers", "obsp", "varm", "varp")


class _Format(Protocol):
    """Makes the arrays and groups of a file, with attributes."""

    def array(self, parent: Any, name: str, shape: Sequence[int], kind: Any, attributes: _Marks) -> Any:
        """An array of numbers, or of texts if its kind is `str`."""

    def group(self, parent: Any, name: str, attributes: _Marks) -> Any:
        """A group."""


class _Hdf5:
    def array(self, parent: Any, name: str, shape: Sequence[int], kind: Any, attributes: _Marks) -> Any:
        import h5py

        array = parent.create_dataset(name, tuple(shape), h5py.string_dtype() if kind is str else kind)
        array.attrs.update(attributes)
        return array

    def group(self, parent: Any, name: str, attributes: _Marks) -> Any:
        group = parent.create_group(name)
        group.attrs.update(attributes)
        return group


class _Zarr:
    def array(self, parent: Any, name: str, shape: Sequence[int], kind: Any, attributes: _Marks) -> Any:
        from numcodecs import VLenUTF8

        texts: dict[str, Any] = {"filters": [VLenUTF8()], "fill_value": ""} if kind is str else {}
        chunks = tuple(min(side, _ZARR_ROWS) or 1 for side in shape) or "auto"
        return parent.create_array(
            name, shape=tuple(shape), dtype=kind, chunks=chunks, attributes=attributes, **texts
        )

    def group(self, parent: Any, name: str, attributes: _Marks) -> Any:
        return parent.create_group(name, attributes=attributes)


def write_h5ad(cells: ExportedCells, path: Path, *, overwrite: bool = False) -> None:
    """Write cells as an AnnData file in HDF5.

    X has the features; obs the columns of the cells and their images; obsm["spatial"] x and y of the centre in the
    field, px; uns["pcip"] the provenance.

    Raises:
        WriteError: the file exists, or cannot be written.
    """
    import h5py

    with new_target(path, overwrite=overwrite) as temporary, PatientFile(temporary, "w+b") as patient:
        with h5py.File(patient, "w") as file:
            file.attrs.update(_ROOT)
            _write(_Hdf5(), file, cells, patient.check)
        patient.check()


def write_zarr(cells: ExportedCells, path: Path, *, overwrite: bool = False) -> None:
    """Write cells as an AnnData folder in Zarr (format 2), as `write_h5ad`."""
    import zarr

    with new_target(path, overwrite=overwrite, folder=True) as temporary:
        group = zarr.create_group(temporary, zarr_format=2, attributes=_ROOT)
        _write(_Zarr(), group, cells, lambda: None)


def to_anndata(store: Store, screen: str, feature_set: str, *, where: str | None = None) -> AnnData:
    """The cells of a screen with a feature set, in memory, by way of a temporary file.

    Args:
        store, screen, feature_set, where: as for `ExportedCells`.

    Raises:
        MissingPackageError: anndata is not installed.
    """
    try:
        from anndata import read_h5ad
    except ImportError as error:
        raise MissingPackageError(
            "to_anndata",
            found=f"no package anndata ({error})",
            required="anndata",
            remedy=f"Install it: pip install 'pcip[export]'. `pcip export {screen} --to h5ad` needs no package.",
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.h5ad"
        write_h5ad(ExportedCells(store, screen, feature_set, where=where), path)
        return read_h5ad(path)


def _write(make: _Format, file: Any, cells: ExportedCells, check: Callable[[], None]) -> None:
    """Write an AnnData into an open file or group; `check` raises if what is written does not arrive."""
    n, width = cells.shape
    x = make.array(file, "X", (n, width), np.float32, _ARRAY)
    stored = _stored_names(list(cells.types)[1:])
    obs = make.group(file, "obs", _frame("cell_id", stored.values()))
    ids = make.array(obs, "cell_id", (n,), str, _TEXTS)
    columns = {name: _column(make, obs, of_file, cells.types[name], n) for name, of_file in stored.items()}
    spatial = make.array(make.group(file, "obsm", _DICT), "spatial", (n, 2), np.float64, _ARRAY)
    var = make.group(file, "var", _frame("unit", ["number"]))
    make.array(var, "unit", (width,), str, _TEXTS)[:] = np.array(cells.units, object)
    make.array(var, "number", (width,), np.int64, _ARRAY)[:] = np.arange(width)
    for name in _EMPTY:
        make.group(file, name, _DICT)
    origin = make.group(make.group(file, "uns", _DICT), "pcip", _DICT)
    for name, text in cells.provenance.items():
        make.array(origin, name, (), str, _TEXT)[()] = text.replace("\0", _NUL)
    check()
    start = 0
    for block in cells.blocks(rows=4 * _ZARR_ROWS):
        rows = slice(start, start + len(block.features))
        x[rows] = block.features
        ids[rows] = block.columns["cell_id"].str.replace_all("\0", _NUL, literal=True).to_numpy()
        for name, array in columns.items():
            array[rows] = _values(block.columns[name])
        spatial[rows] = block.columns.select("x_px", "y_px").to_numpy()
        check()
        start = rows.stop


def _column(make: _Format, obs: Any, name: str, kind: pl.DataType, n: int) -> Any:
    """The array of a column, without values: for texts the codes, beside their categories."""
    if not isinstance(kind, pl.Enum):
        number = np.int64 if kind.is_integer() else np.float64
        return make.array(obs, name, (n,), number if kind.is_numeric() else bool, _ARRAY)
    group = make.group(obs, name, {**_marks("categorical", "0.2.0"), "ordered": False})
    categories = kind.categories.to_numpy()
    array = make.array(group, "categories", (len(categories),), str, _TEXTS)
    if len(categories):
        array[:] = _without_nul(categories)
    return make.array(group, "codes", (n,), np.int32, _ARRAY)


def _values(column: pl.Series) -> np.ndarray:
    """Values of a column as they are stored; -1 and NaN are missing ones."""
    if isinstance(column.dtype, pl.Enum):
        return column.to_physical().cast(pl.Int32).fill_null(-1).to_numpy()
    return column.fill_null(np.nan).to_numpy() if column.dtype.is_float() else column.to_numpy()


def _without_nul(texts: np.ndarray) -> np.ndarray:
    """Texts without the character NUL, at which a text of HDF5 ends."""
    cleaned = [text.replace("\0", _NUL) for text in texts.tolist()]
    return np.array(distinct(cleaned), object)


def _stored_names(columns: Sequence[str]) -> dict[str, str]:
    """Column -> the name of its array: a / would make a folder, and some names have a meaning in either format.

    >>> _stored_names(["dose", "dose (mg/l)", "dose (mg_l)", "_index"])
    {'dose': 'dose', 'dose (mg/l)': 'dose (mg_l)', 'dose (mg_l)': 'dose (mg_l)_2', '_index': 'column_index'}
    """
    names = []
    for column in columns:
        name = column.replace("/", "_")
        reserved = name in ("", ".", "..", "_index") or name.startswith(("__", ".z"))
        names.append(f"column{name}" if reserved else name)
    return dict(zip(columns, distinct(names, ["cell_id"]), strict=True))
