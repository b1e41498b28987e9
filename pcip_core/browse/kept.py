"""The vectors of a large feature set in one plain file, from which blocks and single rows are read quickly.

The Parquet files of the store take seconds to unpack, each time. The file holds the same numbers as they are, which the
operating system keeps in memory as far as there is room, and which do not count as memory of the process.

    n x d float32, row by row; then, as JSON, the key and the mean and deviation of each column
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pcip_core.browse.progress import Progress
from pcip_core.features.blocks import Columns, Moments
from pcip_core.features.checks import require_finite
from pcip_core.files import replacing
from pcip_core.store.feature_blocks import StoredFeatures

_ROWS = 1024  # of a block: 1.5 MB for 384 features, which fits into the cache of a processor
_KIND = np.dtype("<f4")


class KeptVectors:
    """The vectors in a file of `keep`. The file stays open, so that it can be replaced meanwhile.

    Attributes:
        columns: mean and standard deviation of each feature.
        shape, ndim: those of an (n, d) array.
    """

    ndim = 2

    def __init__(self, file: int, shape: tuple[int, int], columns: Columns) -> None:
        self._file, self.shape, self.columns = file, shape, columns

    @classmethod
    def opened(cls, path: Path, shape: tuple[int, int], key: str) -> KeptVectors | None:
        """Open a file; None if there is none, or if it was made from other vectors."""
        try:
            file = os.open(path, os.O_RDONLY)
        except OSError:
            return None
        try:
            kept = cls(file, shape, _columns(file, shape, key))
        except (OSError, ValueError, KeyError, TypeError):
            os.close(file)
            return None
        return kept

    def __del__(self) -> None:
        os.close(self._file)

    def __len__(self) -> int:
        return self.shape[0]

    def blocks(self) -> Iterator[np.ndarray]:
        """All vectors in order, (at most 1024, d) at a time."""
        for start in range(0, len(self), _ROWS):
            block = np.empty((min(_ROWS, len(self) - start), self.shape[1]), _KIND)
            self._read(block, start)
            yield block

    def rows(self, rows: np.ndarray) -> np.ndarray:
        """Some vectors, (m, d) in the given order."""
        out = np.empty((len(rows), self.shape[1]), _KIND)
        for place in np.argsort(rows, kind="stable").tolist():
            self._read(out[place : place + 1], int(rows[place]))
        return out

    def groups(self, group: np.ndarray) -> Iterator[np.ndarray]:
        """The vectors of each group in turn, as `groups_of` yields them."""
        for number in range(int(group.max(initial=-1)) + 1):
            yield self.rows(np.flatnonzero(group == number))

    def _read(self, out: np.ndarray, row: int) -> None:
        left, place = out.data.cast("B"), row * self.shape[1] * _KIND.itemsize
        while left:
            count = os.preadv(self._file, [left], place)
            if not count:
                raise EOFError("the file of vectors ends too early")
            left, place = left[count:], place + count


def keep(features: StoredFeatures, path: Path, key: str, where: str, progress: Progress) -> KeptVectors:
    """Write the vectors of a feature table into a file, and open it.

    Args:
        features: the stored vectors.
        path: the file.
        key: what identifies these vectors.
        where: what they are, for errors.
        progress: of the reading.

    Raises:
        EvaluationError: a value is not finite.
        WriteError: the file cannot be written.
    """
    n, width = features.shape
    moments = Moments(width)
    with replacing(path, sync=True) as temporary:
        with temporary.open("wb", buffering=0) as file, progress.of(f"reading {n:,} vectors", n) as step:
            for block in features.blocks():
                require_finite(where, block)
                for start in range(0, len(block), _ROWS // 2):
                    moments.add(block[start : start + _ROWS // 2])
                _write(file, np.ascontiguousarray(block, _KIND).data)
                step(len(block))
            footer = {"key": key, "mean": moments.mean.tolist(), "deviation": moments.deviation.tolist()}
            _write(file, memoryview(json.dumps(footer).encode()))
        kept = KeptVectors.opened(temporary, (n, width), key)
    assert kept is not None
    return kept


def _write(file: Any, data: memoryview) -> None:
    """Write all bytes into an unbuffered file."""
    left = data.cast("B")
    while left:
        left = left[file.write(left) :]


def _columns(file: int, shape: tuple[int, int], key: str) -> Columns:
    """What follows the vectors in a file.

    Raises:
        ValueError: the file is of other vectors.
    """
    start = shape[0] * shape[1] * _KIND.itemsize
    footer = json.loads(os.pread(file, max(os.fstat(file).st_size - start, 0), start))
    if footer["key"] != key:
        raise ValueError("other vectors")
    columns = Columns(np.array(footer["mean"], float), np.array(footer["deviation"], float))
    if columns.mean.shape != (shape[1],) or columns.deviation.shape != (shape[1],):
        raise ValueError("other columns")
    return columns
