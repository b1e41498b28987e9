"""The cells of a screen with one label, on which feature sets are scored and the supervised network is trained."""

from collections.abc import Iterable

import polars as pl

from pcip_assets.assets.feature_sets import PREFIX
from pcip_assets.resources import Library
from pcip_core.evaluation.labelled import LabelledCells, labelled_cells
from pcip_core.spec.screen import Screen
from pcip_core.store.images import Images


def labelled_cells_of(
    library: Library, screen: Screen, sets: Iterable[str] = (), *, column: str | None = None
) -> LabelledCells:
    """The labelled cells that all of these feature sets describe, with their labels and groups.

    Args:
        library, screen: where the cells are.
        sets: the feature sets.
        column: the column of images with the labels; by default that of the spec.
    """
    store = library.store
    cells = store.read(screen.name, "cells", columns=["cell_id", "image_id", "field", "pixel_hash"])
    total = cells.height
    for name in sets:
        described = store.read(screen.name, PREFIX + name, columns=["cell_id"])["cell_id"]
        if not described.equals(cells["cell_id"]):
            cells = cells.filter(pl.col("cell_id").is_in(described.implode()))
    labels = Images.of(library.store, screen.name).labels_of(column or screen.benchmark.label)
    kept = labelled_cells(cells, labels)
    kept.left_out["cells_that_a_feature_set_lacks"] = total - cells.height
    return kept


def scored_cells_of(
    library: Library, screen: Screen, sets: Iterable[str] = (), *, column: str | None = None
) -> LabelledCells:
    """Those of `labelled_cells_of` that are scored: at most `benchmark.cells`."""
    return labelled_cells_of(library, screen, sets, column=column).drawn(screen.benchmark.cells)
