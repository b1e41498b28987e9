"""An array that grows by rows, on disk or in memory, so that no list of parts has to be concatenated."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import BinaryIO

import numpy as np


class GrowingArray:
    """Append rows of one shape and type; `finish` returns the array.

    Args:
        path: a .npy file to write, which `finish` maps into memory; None keeps the rows in memory.
        row: shape of one row.
        dtype: type of the values.

    >>> array = GrowingArray(None, (2,), np.int32)
    >>> array.append(np.array([[1, 2], [3, 4]]))
    >>> array.append(np.array([[5, 6]]))
    >>> array.finish()[0].tolist()
    [[1, 2], [3, 4], [5, 6]]
    """

    def __init__(self, path: Path | None, row: tuple[int, ...], dtype: type[np.generic]) -> None:
        self._path, self._row, self._dtype = path, row, np.dtype(dtype)
        self._stream: BinaryIO = io.BytesIO() if path is None else path.open("wb")
        self._digest = hashlib.blake2b(digest_size=12)
        self._rows = 0
        self._header()
        self._start = self._stream.tell()

    def append(self, rows: np.ndarray) -> None:
        """Append rows: (n, *row)."""
        packed = np.ascontiguousarray(rows, self._dtype)
        self._stream.write(packed.data)
        self._digest.update(packed.data)
        self._rows += len(packed)

    def finish(self) -> tuple[np.ndarray, str]:
        """Return the array, read-only if it is a file, and a hash of its values. No row can be appended later."""
        self._stream.seek(0)
        self._header()
        if isinstance(self._stream, io.BytesIO):
            values = np.frombuffer(self._stream.getbuffer(), self._dtype, offset=self._start)
            return values.reshape(self._rows, *self._row), self._digest.hexdigest()
        self._stream.close()
        assert self._path is not None
        return np.lib.format.open_memmap(self._path, mode="r"), self._digest.hexdigest()

    def _header(self) -> None:
        """Write the header. NumPy pads it, so it can be overwritten when the number of rows has grown."""
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (self._rows, *self._row)}
        np.lib.format.write_array_header_1_0(self._stream, header)
