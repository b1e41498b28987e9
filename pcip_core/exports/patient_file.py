"""A file for HDF5 in which no write fails.

After a write has failed, as on a full disk, HDF5 crashes the process when it closes the file, or reads again what it
has written to it. Here HDF5 is told that all is well: what cannot be written is kept in memory, and read from there.
The caller asks now and then for the error, and closes the file.
"""

from __future__ import annotations

import io
from typing import Any


class PatientFile(io.FileIO):
    """A file that keeps what cannot be written.

    Attributes:
        error: the first error of a write; None if there was none.
    """

    error: OSError | None = None
    _kept: list[tuple[int, bytes]]  # place and data of the writes since the error

    def write(self, data: Any) -> int:
        """Write all bytes, or keep them."""
        start, left = self.tell(), memoryview(data).cast("B")
        size = len(left)
        while left and self.error is None:
            try:
                left = left[super().write(left) :]
            except OSError as error:
                self.error, self._kept = error, []
        if self.error is not None:
            self._kept.append((start, bytes(data)))
            self.seek(start + size)
        return size

    def readinto(self, buffer: Any) -> int:
        """Read from the file and from what was kept; after an error, what was never written is 0."""
        start, view = self.tell(), memoryview(buffer).cast("B")
        count = super().readinto(view) or 0
        if self.error is None:
            return count
        view[count:] = bytes(len(view) - count)
        for place, data in self._kept:
            first, last = max(place, start), min(place + len(data), start + len(view))
            if first < last:
                view[first - start : last - start] = data[first - place : last - place]
        self.seek(start + len(view))
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the size, if it can be set."""
        try:
            return super().truncate(size)
        except OSError as error:
            if self.error is None:
                self.error, self._kept = error, []
            return size or 0

    def check(self) -> None:
        """Raise the first error."""
        if self.error is not None:
            raise self.error
