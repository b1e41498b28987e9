"""HDF5 archives of cropped, labelled yeast cells (Chong et al. 2015), as published by Kraus et al. 2017.

data1           (cells, 8192)    two channels of 64 x 64 px, concatenated
Index1          (cells, classes) one-hot
Index1_columns  (classes,)       class names; missing in some files
Info1, Info1_columns             CellProfiler features; missing in some files
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
_BLOCK = 256  # rows read at a time, because cells are read in the order of their rows


def planes(path: Path, selects: Sequence[Select]) -> list[np.ndarray]:
    """Read the channels `c` of the cells `row`. A reference without a row stands for an unreadable archive."""
    if any("row" not in select for select in selects):
        read_classes(path)
        raise ImageFileError(
            path,
            found="an archive that can be read now",
            required="the row of a cell",
            remedy="Scan the folder again: the archive has been replaced since.",
        )
    return [cell(path, int(select["row"]))[channel_number(path, select, (), CHANNELS)] for select in selects]


def cell(path: Path, row: int) -> np.ndarray:
    """Read the pixels of one cell: (2, 64, 64), in the pixel type of the file."""
    status = path.stat()
    block = _rows(path, status.st_mtime_ns, status.st_size, row // _BLOCK)
    return block[row % _BLOCK].reshape(CHANNELS, SIDE_PX, SIDE_PX)


@functools.lru_cache(maxsize=2)
def _rows(path: Path, mtime_ns: int, size: int, block: int) -> np.ndarray:
    """Read one block of rows of `data1`. `mtime_ns` and `size` invalidate the cache when the file changes."""
    import h5py

    with h5py.File(path, "r") as file:
        return np.asarray(archive_array(path, file, "data1")[block * _BLOCK : (block + 1) * _BLOCK])


def read_classes(path: Path) -> list[str]:
    """Read the class of each cell: `class_<number>` if the archive does not name its classes.

    Raises:
        ImageFileError: arrays are missing or disagree in shape, or a cell does not have exactly one class.
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
            found=f"Index1 of shape {index.shape}, or not exactly one 1 per row",
            required=f"one-hot ({cells}, {len(names)}): one class per cell",
            remedy="Download and unpack the archive again.",
        )
    return [names[number] for number in index.argmax(axis=1)]


def read_info(path: Path) -> tuple[list[str], np.ndarray]:
    """Read the names and values (cells, features) of the CellProfiler features; empty if there are none."""
    import h5py

    with h5py.File(path, "r") as file:
        if "Info1" not in file or "Info1_columns" not in file:
            return [], np.zeros((len(archive_array(path, file, "data1")), 0))
        return _texts(file["Info1_columns"][:]), np.asarray(file["Info1"][:], np.float64)


def archive_array(path: Path, file: object, name: str):  # type: ignore[no-untyped-def]
    """Return an array of the open archive after checking its shape.

    Raises:
        ImageFileError: the array does not exist, or has another shape.
    """
    array = file.get(name)  # type: ignore[attr-defined]
    shape = getattr(array, "shape", None)
    if shape is None or len(shape) != 2 or (name == "data1" and shape[1] != CHANNELS * SIDE_PX**2):
        raise ImageFileError(
            path,
            found=f"{name} of shape {shape}" if shape is not None else f"no array {name}",
            required=f"data1 (cells, {CHANNELS * SIDE_PX**2}) and Index1 (cells, classes)",
            remedy="Download and unpack the archive again; see pcip fetch check chong_labelled_cells.",
        )
    return array


def _texts(values: np.ndarray) -> list[str]:
    return [text.decode() if isinstance(text, bytes) else str(text) for text in values]
