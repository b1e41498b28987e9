"""What the points of a map can be coloured by: their density, a column, labels, and what the classifier says."""

from __future__ import annotations

import numpy as np
import polars as pl

from pcip_core.browse.cells import BrowsedCells
from pcip_core.browse.classifier import Trained
from pcip_core.browse.drawing.colours import Colouring, by_label, by_number, by_values
from pcip_core.browse.labels import Labels
from pcip_core.browse.selections import unusable

CHOICES = "density, label, predicted, uncertainty or column:NAME"


def colouring_of_cells(
    cells: BrowsedCells, labels: Labels, trained: Trained | None, colour: str
) -> Colouring:
    """The colours of cells.

    Args:
        cells, labels, trained: what is shown.
        colour: `density`, `label`, `predicted`, `uncertainty` or `column:NAME`.

    Raises:
        EvaluationError: there is no such column, or no classifier.
    """
    kind, _, name = colour.partition(":")
    if kind == "density":
        return Colouring()
    if kind == "label":
        return by_label(labels.code, labels.names)
    if kind == "column":
        return by_values(cells.column(name))
    if kind not in ("predicted", "uncertainty"):
        raise unusable("colour", repr(colour), CHOICES)
    if trained is None:
        raise unusable("colour", kind, "a trained classifier", "Train one first.")
    if kind == "uncertainty":
        return by_number(trained.uncertainty)
    names = labels.names  # in the colours of the labels
    number = [names.index(name) if name in names else -1 for name in trained.names]
    return by_label(np.array([*number, -1])[trained.best], names)


def colouring_of_proteins(cells: BrowsedCells, proteins: pl.Series, colour: str) -> Colouring:
    """The colours of proteins: by a column of images in which all images of a protein agree, otherwise density."""
    kind, _, name = colour.partition(":")
    if kind != "column" or name not in cells.images.columns:
        return Colouring()
    names = pl.DataFrame({"protein": proteins})
    return by_values(names.join(cells.agreed(name), on="protein", how="left", maintain_order="left")["value"])
