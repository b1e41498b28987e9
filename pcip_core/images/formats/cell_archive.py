"""HDF5 archives of cropped, labelled yeast cells, as Kraus et al. 2017 published those of Chong et al. 2015.

data1           (cells, 8192)    two channels of 64 x 64 px, one after the other
Index1          (cells, classes) one-hot
Index1_columns  (classes,)       names; some files lack them
Info1, Info1_columns             CellProfiler features, where present
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pcip_core.errors import ImageFileError
from pcip_core.images.formats.tiff import channel_number
from pcip_core.images.reference import Select

CHANNELS, SIDE_PX = 2, 64
_BLOCK = 256  # rows read at a time: neighbours are asked for one after the other


def planes(path: Path, selects: Sequence[Select]) -> list[np.ndarray]:
    """Channels by `c` of the cells by `row`; an archive without a row stands for one that is at fault."""
    if any("row" not in select for select in selects):
        read_classes(path)
        raise ImageFileError(
            path,
            found="an archive that can be read now",
            required="the row of a cell",
            remedy="Look through the folder again: the archive has been replaced meanwhile.",
        )
    return [cell(path, int(one["row"]))[channel_number(path, one, (), CHANNELS)] for one in selects]


def cell(path: Path, row: int) -> np.ndarray:
    """The pixels of one cell, (2, 64, 64), in the file's own type."""
    about = path.stat()
    block = _rows(path, about.st_mtime_ns, about.st_size, row // _BLOCK)
    return block[row % _BLOCK].reshape(CHANNELS, SIDE_PX, SIDE_PX)


@functools.lru_cache(maxsize=2)
def _rows(path: Path, mtime_ns: int, size: int, block: int) -> np.ndarray:
    """Some rows of `data1`; time and size are there so that a changed file is read again."""
    import h5py

    with h5py.File(path, "r") as file:
        return np.asarray(archive_array(path, file, "data1")[block * _BLOCK : (block + 1) * _BLOCK])


def read_classes(path: Path) -> list[str]:
    """The class of each cell; `class_<number>` where the archive does not name its classes.

    Raises:
        ImageFileError: arrays are missing or do not fit each other, or a cell has not exactly one class.
        OSError: the file is damaged.
    """
    import h5py

    with h5py.File(path, "r") as file:
        cells = len(archive_array(path, file, "data1"))
        index = np.asarray(archive_array(path, file, "Index1")[:])
        if "Index1_columns" in file:
            names = _texts(file["Index1_columns"][:])
        else:
            names = [f"class_{number:02d}" for number in range(index.shape[-1])]
    one_hot = (
        index.shape == (cells, len(names)) and np.isin(index, (0, 1)).all() and (index.sum(1) == 1).all()
    )
    if not one_hot:
        raise ImageFileError(
            path,
            found=f"Index1 of shape {index.shape}, or not one 1 a row",
            required=f"one-hot ({cells}, {len(names)}): one class a cell",
            remedy="Fetch and unpack the archive again.",
        )
    return [names[number] for number in index.argmax(axis=1)]


def read_info(path: Path) -> tuple[list[str], np.ndarray]:
    """Names and values (cells, features) of the CellProfiler features; none where the archive has none."""
    import h5py

    with h5py.File(path, "r") as file:
        if "Info1" not in file or "Info1_columns" not in file:
            return [], np.zeros((len(archive_array(path, file, "data1")), 0))
        return _texts(file["Info1_columns"][:]), np.asarray(file["Info1"][:], np.float64)


def archive_array(path: Path, file: object, name: str):  # type: ignore[no-untyped-def]
    """An array of the open archive; `data1` of the right width.

    Raises:
        ImageFileError: it is not there, or has another shape.
    """
    array = file.get(name)  # type: ignore[attr-defined]
    shape = getattr(array, "shape", None)
    if shape is None or len(shape) != 2 or (name == "data1" and shape[1] != CHANNELS * SIDE_PX**2):
        raise ImageFileError(
            path,
            found=f"{name} of shape {shape}" if shape is not None else f"no array {name}",
            required=f"data1 (cells, {CHANNELS * SIDE_PX**2}) and Index1 (cells, classes)",
            remedy="Fetch and unpack the archive again; see pcip fetch check chong_labelled_cells.",
        )
    return array


def _texts(values: np.ndarray) -> list[str]:
    return [one.decode() if isinstance(one, bytes) else str(one) for one in values]
