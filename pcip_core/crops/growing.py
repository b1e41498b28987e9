"""An array that grows row by row, on disk or in memory, so that no list of its pieces has to be joined."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import BinaryIO

import numpy as np


class GrowingArray:
    """Rows of one shape and type, appended; `finish` gives the array.

    Args:
        path: a .npy file to write, which is then mapped and costs no memory; None for memory.
        row: shape of one row.
        dtype: of its values.
    """

    def __init__(self, path: Path | None, row: tuple[int, ...], dtype: type[np.generic]) -> None:
        self._path, self._row, self._dtype = path, row, np.dtype(dtype)
        self._stream: BinaryIO = io.BytesIO() if path is None else path.open("wb")
        self._digest = hashlib.blake2b(digest_size=12)
        self._rows = 0
        self._header()
        self._start = self._stream.tell()

    def append(self, rows: np.ndarray) -> None:
        """Add rows at the end: (n, *row)."""
        packed = np.ascontiguousarray(rows, self._dtype)
        self._stream.write(packed.data)
        self._digest.update(packed.data)
        self._rows += len(packed)

    def finish(self) -> tuple[np.ndarray, str]:
        """The array, read-only where it lies in a file, and a hash of its values; nothing is added later."""
        self._stream.seek(0)
        self._header()
        if isinstance(self._stream, io.BytesIO):
            values = np.frombuffer(self._stream.getbuffer(), self._dtype, offset=self._start)
            return values.reshape(self._rows, *self._row), self._digest.hexdigest()
        self._stream.close()
        assert self._path is not None
        return np.lib.format.open_memmap(self._path, mode="r"), self._digest.hexdigest()

    def _header(self) -> None:
        """NumPy leaves room in a header for the number of rows to grow, so that it can be written again."""
        about = {"descr": self._dtype.str, "fortran_order": False, "shape": (self._rows, *self._row)}
        np.lib.format.write_array_header_1_0(self._stream, about)
