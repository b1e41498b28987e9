"""Which cells of a screen have one label, by which they are scored and the supervised network is trained."""

from collections.abc import Iterable
from typing import Any

from pcip_assets.assets.sets import PREFIX
from pcip_assets.resources import Library
from pcip_core.evaluation.labelled import LabelledCells, labelled_cells
from pcip_core.screen import Screen


def labelled_cells_of(library: Library, screen: Screen, sets: Iterable[str] = ()) -> LabelledCells:
    """The labelled cells that all of these feature sets describe, with their labels and groups."""
    cells = library.store.read(
        screen.name, "cells", columns=["cell_id", "image_id", "field", "pixel_hash"]
    ).to_pylist()
    everywhere = {cell["cell_id"] for cell in cells}
    for name in sets:
        table = library.store.read(screen.name, PREFIX + name, columns=["cell_id"])
        everywhere &= set(table["cell_id"].to_pylist())
    images = library.store.read(screen.name, "images").to_pylist()
    label_of = {row["image_id"]: _terms(row[screen.benchmark.label]) for row in images}
    kept = labelled_cells([cell for cell in cells if cell["cell_id"] in everywhere], label_of)
    kept.left_out["cells_that_a_feature_set_lacks"] = len(cells) - len(everywhere)
    return kept


def _terms(value: Any) -> list[str]:
    return list(value) if isinstance(value, list) else [] if value is None else [str(value)]
