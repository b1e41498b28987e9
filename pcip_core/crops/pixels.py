"""Crops in many files, presented as one array that need not fit into memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pcip_core.errors import CropError
from pcip_core.words import many


class ShardedPixels:
    """The crops of several .npy files, concatenated and read on access.

    Pickling stores the file names, not the pixels.

    Args:
        files: at least one file of (n, C, S, S) uint8, all with the same C and S.
        rows: positions of the crops to present, in this order; by default all.

    Attributes:
        shape, dtype, ndim, nbytes: those of an array of these crops.

    Raises:
        CropError: there is no file, a file cannot be read, or the crops differ in shape or type.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = [Path(folder) / "1.npy", Path(folder) / "2.npy"]
    ...     for value, file in enumerate(files):
    ...         np.save(file, np.full((3, 2, 8, 8), value, np.uint8))
    ...     crops = ShardedPixels(files)
    ...     crops.shape, crops[np.array([2, 3])].mean((1, 2, 3)).tolist()
    ((6, 2, 8, 8), [0.0, 1.0])
    """

    dtype, ndim = np.dtype(np.uint8), 4

    def __init__(self, files: Sequence[str | Path], rows: np.ndarray | None = None) -> None:
        self._files = [str(file) for file in files]
        self._maps = [_mapped(file) for file in self._files]
        kinds = {(values.dtype, values.shape[1:]) for values in self._maps}
        if len(kinds) != 1 or next(iter(kinds))[0] != self.dtype or self._maps[0].ndim != self.ndim:
            raise CropError(
                f"crops of {many(len(files), 'shard')}",
                found=", ".join(f"{dtype} (n, {', '.join(map(str, shape))})" for dtype, shape in kinds)
                or "none",
                required="uint8 (n, C, S, S), with the same C and S in all shards",
                remedy="Materialize the crops of the differing shards again.",
            )
        self._starts = np.cumsum([0, *map(len, self._maps)])
        self._rows = rows
        n = int(self._starts[-1]) if rows is None else len(rows)
        self.shape: tuple[int, ...] = (n, *self._maps[0].shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Memory that all crops would need."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __getitem__(self, cells: np.ndarray | slice) -> np.ndarray:
        """Read the crops at these positions (integers or a slice) into memory: (B, C, S, S) uint8."""
        if isinstance(cells, slice):
            cells = np.arange(*cells.indices(len(self)))
        rows = cells if self._rows is None else self._rows[cells]
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        places = rows - self._starts[shards]
        crops = np.empty((len(rows), *self.shape[1:]), np.uint8)
        for crop, shard, place in zip(crops, shards.tolist(), places.tolist(), strict=True):
            crop[:] = self._maps[shard][place]
        return crops

    def only(self, cells: np.ndarray) -> ShardedPixels:
        """Select crops by positions or by a mask; the pixels stay in their files."""
        chosen = np.flatnonzero(cells) if cells.dtype == bool else cells
        return ShardedPixels(self._files, chosen if self._rows is None else self._rows[chosen])

    def __reduce__(self) -> tuple[type[ShardedPixels], tuple[list[str], np.ndarray | None]]:
        return ShardedPixels, (self._files, self._rows)


Pixels = np.ndarray | ShardedPixels


def only(pixels: Pixels, cells: np.ndarray) -> Pixels:
    """Select crops by positions or by a mask; the pixels of crops in files stay there.

    >>> only(np.zeros((5, 2, 8, 8), np.uint8), np.array([0, 3])).shape
    (2, 2, 8, 8)
    """
    return pixels.only(cells) if isinstance(pixels, ShardedPixels) else pixels[cells]


def free_memory() -> int:
    """Bytes of RAM that this process may use.

    This is the machine's available memory, at most what the limit of its container leaves, divided by the
    number of training processes on the machine.

    >>> free_memory() > 0
    True
    """
    page = os.sysconf("SC_PAGE_SIZE")
    free = page * os.sysconf("SC_PHYS_PAGES") // 2  # a guess, for systems without /proc/meminfo
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        lines = dict(line.split(":") for line in meminfo.read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    limit, used = (Path("/sys/fs/cgroup", name) for name in ("memory.max", "memory.current"))
    if limit.is_file() and used.is_file() and (maximum := limit.read_text().strip()).isdecimal():
        free = min(free, int(maximum) - int(used.read_text()))
    return free // int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # set by torchrun


def _mapped(file: str) -> np.ndarray:
    try:
        return np.asarray(np.lib.format.open_memmap(file, mode="r"))
    except (OSError, ValueError) as error:
        raise CropError(
            file,
            found=f"no readable array ({error})",
            required="crops as the store writes them, not replaced during training",
            remedy="Start the training again. If it still fails, materialize the crops of this shard again.",
        ) from error
