"""Crops of chosen cells, and galleries of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pcip.crops import read_crops
from pcip_core.spec.screen import Screen
from pcip_core.store.partitions import Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def crops_of(store: Store, screen: Screen, cell_ids: Sequence[str]) -> np.ndarray:
    """The crops of some cells, (n, C, S, S), in their order; of the arrays of the shards only these are read."""
    if cell_ids:
        return read_crops(store, screen.name, cell_ids)[1]
    size = screen.crops.size_px
    return np.zeros((0, len(screen.crop_channels), size, size), np.uint8)


def rows_of_cells(
    store: Store, screen: Screen, rows: Sequence[tuple[str, Sequence[str]]], title: str
) -> "Figure":
    """A figure with one row of cells per name: (name, ids of its cells from left to right)."""
    from pcip_core.plots.cells.gallery import row_gallery
    from pcip_core.plots.cells.key import Scale

    crops = crops_of(store, screen, [cell for _, cells in rows for cell in cells])
    ends = np.cumsum([len(cells) for _, cells in rows])[:-1]
    parts = np.split(crops, ends) if rows else []
    named = [(name, part) for (name, _), part in zip(rows, parts, strict=True)]
    scale = Scale.of_crop(screen)
    return row_gallery(named, screen.crop_channels, screen.protein, f"{screen.title}: {title}", scale=scale)
