"""Crops of chosen cells, and galleries of them."""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import polars as pl

from pcip_core.spec.screen import Screen
from pcip_core.store.partitions import Store

T = TypeVar("T")


def crops_of(store: Store, screen: Screen, cell_ids: Sequence[str]) -> np.ndarray:
    """The crops of some cells, (n, C, S, S), in their order; only they are read of the shards' arrays."""
    wanted, found = pl.Series(sorted(set(cell_ids)), dtype=pl.String), {}
    for shard in store.shards(screen.name, "cells"):
        cells, crops = store.read_with_array(screen.name, "cells", "crops", shard)
        ids = cells["cell_id"]
        for row in ids.is_in(wanted.implode()).arg_true():
            found[ids[row]] = np.array(crops[row])
    size = screen.crops.size_px
    none = np.zeros((0, len(screen.crop_channels), size, size), np.uint8)
    return np.stack([found[cell] for cell in cell_ids]) if cell_ids else none


def rows_of_cells(store: Store, screen: Screen, rows: Sequence[tuple[str, Sequence[str]]], title: str) -> Any:
    """A figure with a row of cells a name: (name, ids of cells from left to right)."""
    from pcip_core.plots.cells.gallery import row_gallery

    crops = crops_of(store, screen, [cell for _, cells in rows for cell in cells])
    ends = np.cumsum([len(cells) for _, cells in rows])[:-1]
    named = [(name, own) for (name, _), own in zip(rows, np.split(crops, ends), strict=True)] if rows else []
    return row_gallery(named, screen.crop_channels, screen.protein, f"{screen.title}: {title}")


def evenly(items: Sequence[T], n: int) -> list[T]:
    """At most n of them, from the first to the last at equal steps."""
    return [items[place] for place in np.linspace(0, len(items) - 1, min(n, len(items))).astype(int)]
