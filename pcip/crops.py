"""Crops of chosen cells, read from the arrays of the shards, with the names of their channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pcip_core.errors import CropError, StoreError, meant
from pcip_core.store.partitions import Store
from pcip_core.words import many

_NAMED = 3  # unknown cells that an error names


@dataclass(frozen=True, repr=False, eq=False)
class Crops:
    """The crops of some cells.

    Attributes:
        cells: their rows of the table `cells`.
        channels: names of the channels.
        pixels: (n, C, S, S) uint8; each channel of each crop is rescaled from its least to its greatest intensity.
    """

    cells: pl.DataFrame
    channels: tuple[str, ...]
    pixels: np.ndarray

    @property
    def cell_ids(self) -> list[str]:
        """Ids of the cells, in the order of the crops."""
        return self.cells["cell_id"].to_list()

    def channel(self, name: str) -> np.ndarray:
        """One channel: (n, S, S) uint8.

        Raises:
            PcipError: there is no such channel; the message lists the channels.

        >>> crops.channel("protein").shape
        (2, 4, 4)
        """
        if name not in self.channels:
            raise CropError(
                f"crops: channel {name}",
                found=f"no such channel{meant(name, self.channels)}",
                required=f"one of {', '.join(self.channels)}",
                remedy="Correct the name.",
            )
        return self.pixels[:, self.channels.index(name)]

    def intensities(self) -> np.ndarray:
        """The crops in grey levels of the images, (n, C, S, S) float32: exact to 1/255 of the range of each channel.

        >>> crops.intensities()[0, :, 0, 0].tolist()
        [0.0, 1.0]
        """
        least, greatest = (
            np.array(self.cells[name].to_list(), np.float32)[:, :, None, None]
            for name in ("intensity_min", "intensity_max")
        )
        return least + self.pixels / np.float32(255) * (greatest - least)

    def __len__(self) -> int:
        return len(self.pixels)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        """The pixels, so that functions of numpy take the object itself."""
        return np.asarray(self.pixels, dtype)

    def __repr__(self) -> str:
        channels = " and ".join(filter(None, [", ".join(self.channels[:-1]), self.channels[-1]]))
        return f"Crops of {many(len(self), 'cell')}: {self.pixels.shape} {self.pixels.dtype}, channels {channels}"


def read_crops(
    store: Store, screen: str, cell_ids: Sequence[str] | pl.Series
) -> tuple[pl.DataFrame, np.ndarray]:
    """The rows of the table `cells` and the crops of some cells, in their order.

    Of the arrays, only these crops are read. A cell may be named several times.

    Returns:
        The rows, and the crops, (n, C, S, S) uint8, channels in the order of `main.screens.channels`.

    Raises:
        StoreError: the screen has no crops, or lacks a cell.
        CropError: the array of a shard is missing.
    """
    try:
        names = pl.Series("cell_id", cell_ids, dtype=pl.String)
    except TypeError as error:
        raise StoreError(
            f"{screen}.cells",
            found=f"cells named by {type(next(iter(cell_ids))).__name__}",
            required="ids of cells, which are texts",
            remedy=f"SELECT cell_id FROM {screen}.cells lists them.",
        ) from error
    wanted = names.unique().implode()
    frames: list[pl.DataFrame] = []
    parts: list[np.ndarray] = []
    shards = store.shards(screen, "cells")
    if not shards:
        store.schema(screen, "cells")  # the error of the store says how to make them
    for shard in shards:
        cells, crops = store.read_with_array(screen, "cells", "crops", shard)
        rows = cells["cell_id"].is_in(wanted).arg_true()
        frames.append(cells[rows])
        parts.append(np.array(crops[rows.to_numpy()]))
    known, pixels = pl.concat(frames, how="diagonal_relaxed"), np.concatenate(parts)
    places = dict(zip(known["cell_id"].to_list(), range(known.height), strict=True))
    if lacking := [name for name in names.unique(maintain_order=True).to_list() if name not in places]:
        raise StoreError(
            f"{screen}.cells",
            found=f"no cell {', '.join(map(str, lacking[:_NAMED]))} ({many(len(lacking), 'unknown cell')})",
            required="ids of cells of this screen",
            remedy=f"SELECT cell_id FROM {screen}.cells lists them.",
        )
    order = np.array([places[name] for name in names.to_list()], np.int64)
    return known[order], pixels[order]
