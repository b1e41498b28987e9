"""The cells with exactly one label, used for scoring and for training the supervised network."""

from collections.abc import Iterable

import polars as pl

from pcip_assets.assets.feature_sets import PREFIX
from pcip_assets.resources import Library
from pcip_core.evaluation.labelled import LabelledCells, labelled_cells
from pcip_core.features.blocks import ROWS
from pcip_core.spec.screen import Screen


def labelled_cells_of(library: Library, screen: Screen, sets: Iterable[str] = ()) -> LabelledCells:
    """The labelled cells with vectors in all of these feature sets, with their labels and groups."""
    store = library.store
    cells = store.read(screen.name, "cells", columns=["cell_id", "image_id", "field", "pixel_hash"])
    total = cells.height
    for name in sets:
        described = store.read(screen.name, PREFIX + name, columns=["cell_id"])["cell_id"]
        if not described.equals(cells["cell_id"]):
            cells = cells.filter(pl.col("cell_id").is_in(described.implode()))
    label_of = library.images(screen).labels_of(screen.benchmark.label)
    batches = cells.iter_slices(ROWS)  # limits the number of Python objects in memory
    kept = labelled_cells((cell for batch in batches for cell in batch.iter_rows(named=True)), label_of)
    kept.left_out["cells_that_a_feature_set_lacks"] = total - cells.height
    return kept
