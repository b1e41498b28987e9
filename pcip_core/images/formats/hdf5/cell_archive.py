"""HDF5 archives of cropped, labelled yeast cells (Chong et al. 2015), as published by Kraus et al. 2017.

data1           (cells, 8192)    two channels of 64 x 64 px, concatenated
Index1          (cells, classes) one-hot
Index1_columns  (classes,)       class names; missing in some files
Info1, Info1_columns             CellProfiler features; missing in some files
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pcip_core.errors import ImageFileError
from pcip_core.hdf5 import MAX_CHUNK_BYTES, RefusedArrayError, array_of, texts_of, values_of
from pcip_core.images.formats.limits import MAX_BYTES
from pcip_core.images.formats.stack import channel_number
from pcip_core.images.reference import Select

if TYPE_CHECKING:
    import h5py

CHANNELS, SIDE_PX = 2, 64
MAX_CELLS = 500_000  # of one archive; each is a field
_MAX_COLUMNS = 1_000
_BLOCK = 256  # rows read at a time, because cells are read in the order of their rows


def planes(path: Path, selects: Sequence[Select]) -> list[np.ndarray]:
    """Read the channels `c` of the cells `row`."""
    return [cell(path, int(select["row"]))[channel_number(path, select, (), CHANNELS)] for select in selects]


def cell(path: Path, row: int) -> np.ndarray:
    """Read the pixels of one cell: (2, 64, 64), in the pixel type of the file."""
    status = path.stat()
    block = _rows(path, status.st_mtime_ns, status.st_size, row // _BLOCK)
    return block[row % _BLOCK].reshape(CHANNELS, SIDE_PX, SIDE_PX)


@functools.lru_cache(maxsize=2)
def _rows(path: Path, mtime_ns: int, size: int, block: int) -> np.ndarray:
    """Read one block of rows of `data1`. `mtime_ns` and `size` invalidate the cache when the file changes."""
    with _opened(path) as file:
        return values_of(
            _array(path, file, "data1"), block * _BLOCK, (block + 1) * _BLOCK, most_bytes=MAX_BYTES
        )


def read_classes(path: Path) -> list[str]:
    """Read the class of each cell: `class_<number>` if the archive does not name its classes.

    Raises:
        ImageFileError: the archive is damaged, arrays are missing, lie in other files or disagree in shape, or a cell
            does not have exactly one class.
    """
    with _opened(path) as file:
        cells = len(_array(path, file, "data1"))
        index = values_of(_array(path, file, "Index1"), most_bytes=MAX_BYTES)
        names = _texts(file, "Index1_columns")
        names = names or [f"class_{number:02d}" for number in range(index.shape[-1])]
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
    """Read the names and values (cells, features) of the CellProfiler features; empty if there are none.

    Raises:
        ImageFileError: the archive is damaged, or its arrays lie in other files.
    """
    with _opened(path) as file:
        names = _texts(file, "Info1_columns")
        if not names or "Info1" not in file:
            return [], np.zeros((len(_array(path, file, "data1")), 0))
        return names, values_of(_array(path, file, "Info1"), most_bytes=MAX_BYTES).astype(np.float64)


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """Open an archive; any exception within the block becomes an ImageFileError."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except ImageFileError:
        raise
    except RefusedArrayError as error:
        raise _refused(path, str(error)) from error
    except Exception as error:  # h5py raises any kind of exception on damaged files
        raise _refused(
            path, f"an archive that cannot be decoded ({type(error).__name__}: {error})"
        ) from error


def _array(path: Path, file: h5py.File, name: str) -> h5py.Dataset:
    """Return an array of the archive after checking its shape."""
    array = array_of(file, name)
    shape: tuple[int, ...] = () if array is None else array.shape or ()
    most = CHANNELS * SIDE_PX**2 if name == "data1" else _MAX_COLUMNS
    fits = len(shape) == 2 and shape[0] <= MAX_CELLS and shape[1] <= most
    if array is None or not fits or (name == "data1" and shape[1] != most):
        raise _refused(path, f"no array {name}" if array is None else f"{name} of shape {shape}")
    return array


def _texts(file: h5py.File, name: str) -> list[str]:
    """Read an array of texts; empty if there is none."""
    array = array_of(file, name)
    return [] if array is None else texts_of(array, most=_MAX_COLUMNS)


def _refused(path: Path, found: str) -> ImageFileError:
    return ImageFileError(
        path,
        found=found,
        required=f"data1 (cells, {CHANNELS * SIDE_PX**2}) and Index1 (cells, classes), at most {MAX_CELLS:,} cells, "
        f"in the file itself, with chunks of at most {MAX_CHUNK_BYTES >> 20} MiB",
        remedy="Download and unpack the archive again; see `pcip fetch check chong_labelled_cells FOLDER`.",
    )
