"""The cells of a screen with one label, on which feature sets are scored and the supervised network is trained."""

from collections.abc import Iterable

import polars as pl

from pcip_assets.assets.feature_sets import PREFIX
from pcip_assets.resources import Library
from pcip_core.evaluation.labelled import LabelledCells, labelled_cells
from pcip_core.spec.screen import Screen
from pcip_core.store.images import Images

_COLUMNS = ("cell_id", "image_id", "field", "pixel_hash")
_ROWS = 65_536  # that are read at a time


def labelled_cells_of(
    library: Library,
    screen: Screen,
    sets: Iterable[str] = (),
    *,
    column: str | None = None,
    most: int | None = None,
) -> LabelledCells:
    """The labelled cells that all of these feature sets describe, with their labels and groups.

    Args:
        library, screen: where the cells are.
        sets: the feature sets.
        column: the column of images with the labels; by default that of the spec.
        most: draw at most this many of them; by default, all.
    """
    store = library.store
    categories = pl.col("image_id", "field").cast(pl.Categorical)  # 4 bytes per cell, however long the names
    cells = pl.concat(
        batch.with_columns(categories, pl.col("pixel_hash").hash())
        for batch in store.batches(screen.name, "cells", columns=_COLUMNS, rows=_ROWS)
    )
    total = cells.height
    for name in sets:
        described = store.read(screen.name, PREFIX + name, columns=["cell_id"])["cell_id"]
        if not described.equals(cells["cell_id"]):
            cells = cells.filter(pl.col("cell_id").is_in(described.implode()))
    labels = Images.of(library.store, screen.name).labels_of(column or screen.benchmark.label)
    kept = labelled_cells(cells, labels, most=most)
    kept.left_out["cells_that_a_feature_set_lacks"] = total - cells.height
    return kept


def scored_cells_of(
    library: Library, screen: Screen, sets: Iterable[str] = (), *, column: str | None = None
) -> LabelledCells:
    """Those of `labelled_cells_of` that are scored: at most `benchmark.cells`."""
    return labelled_cells_of(library, screen, sets, column=column, most=screen.benchmark.cells)
