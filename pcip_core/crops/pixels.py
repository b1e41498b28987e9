"""Crops that lie in many files, as one array that need not fit into memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pcip_core.errors import CropError


class ShardedPixels:
    """The crops of several .npy files, one after the other, read as they are asked for.

    It passes to other processes as the files' names.

    Args:
        files: of (n, C, S, S) uint8 each, with the same C and S; at least one.
        rows: which of all crops, in which order; by default all.

    Attributes:
        shape, dtype, ndim, nbytes: as of an array of these crops.

    Raises:
        CropError: no file, one that cannot be read, or one whose crops are of another kind.
    """

    dtype, ndim = np.dtype(np.uint8), 4

    def __init__(self, files: Sequence[str | Path], rows: np.ndarray | None = None) -> None:
        self._files = [str(file) for file in files]
        self._maps = [_mapped(file) for file in self._files]
        kinds = {(values.dtype, values.shape[1:]) for values in self._maps}
        if len(kinds) != 1 or next(iter(kinds))[0] != self.dtype or self._maps[0].ndim != self.ndim:
            raise CropError(
                f"crops of {len(files)} shards",
                found=", ".join(f"{dtype} (n, {', '.join(map(str, one))})" for dtype, one in kinds) or "none",
                required="uint8 (n, C, S, S) with one C and one S",
                remedy="Materialize the crops of the shards that differ again.",
            )
        self._starts = np.cumsum([0, *map(len, self._maps)])
        self._rows = rows
        n = int(self._starts[-1]) if rows is None else len(rows)
        self.shape: tuple[int, ...] = (n, *self._maps[0].shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """What all crops would take in memory."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __getitem__(self, cells: np.ndarray | slice) -> np.ndarray:
        """Crops at positions (integers, or a slice), read into memory: (B, C, S, S) uint8."""
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
        """The crops at these positions (or where a mask is true), still in their files."""
        chosen = np.flatnonzero(cells) if cells.dtype == bool else cells
        return ShardedPixels(self._files, chosen if self._rows is None else self._rows[chosen])

    def __reduce__(self) -> tuple[type[ShardedPixels], tuple[list[str], np.ndarray | None]]:
        return ShardedPixels, (self._files, self._rows)


Pixels = np.ndarray | ShardedPixels


def only(pixels: Pixels, cells: np.ndarray) -> Pixels:
    """Some of the crops, by positions or by a mask; those in files stay there."""
    return pixels.only(cells) if isinstance(pixels, ShardedPixels) else pixels[cells]


def free_memory() -> int:
    """Bytes of RAM that this process may take: of what the machine has free, within the limit of a container,
    its share when several train.
    """
    page = os.sysconf("SC_PAGE_SIZE")
    free = page * os.sysconf("SC_PHYS_PAGES") // 2  # where nothing better is known
    told = Path("/proc/meminfo")
    if told.is_file():
        lines = dict(line.split(":") for line in told.read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    limit, used = (Path("/sys/fs/cgroup", name) for name in ("memory.max", "memory.current"))
    if limit.is_file() and used.is_file() and (most := limit.read_text().strip()).isdigit():
        free = min(free, int(most) - int(used.read_text()))
    return free // int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # torchrun's name for it


def _mapped(file: str) -> np.ndarray:
    try:
        return np.asarray(np.lib.format.open_memmap(file, mode="r"))
    except (OSError, ValueError) as error:
        raise CropError(
            file,
            found=f"no readable array ({error})",
            required="crops as the store keeps them, which are not replaced during a training",
            remedy="Start the training again; when it still fails, materialize that shard's crops again.",
        ) from error
