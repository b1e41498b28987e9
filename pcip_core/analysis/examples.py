"""Selection of example cells of a protein, at equal steps along an order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import polars as pl

T = TypeVar("T")


def evenly(items: Sequence[T], n: int) -> list[T]:
    """At most n of the items, from the first to the last at equal steps.

    >>> evenly("abcdefghi", 3)
    ['a', 'e', 'i']
    """
    return [items[place] for place in np.linspace(0, len(items) - 1, min(n, len(items))).astype(int)]


def rows_of_proteins(cells: pl.DataFrame, proteins: pl.DataFrame) -> list[np.ndarray]:
    """The row numbers of the cells of each protein and cell line.

    Args:
        cells: n rows with `protein` and `cell_line`, text or categorical.
        proteins: g rows with `protein` and `cell_line`.
    """
    names = proteins.select("protein", "cell_line").rows()
    return [
        cells.select(((pl.col("protein") == protein) & (pl.col("cell_line") == line)).arg_true())
        .to_series()
        .to_numpy()
        for protein, line in names
    ]


def examples_along(
    cells: pl.DataFrame, place: np.ndarray, ranked: pl.DataFrame, *, proteins: int = 10, each: int = 12
) -> pl.DataFrame:
    """Cells of the first proteins, at equal steps along an order.

    Args:
        cells: n rows with cell_id, protein and cell_line.
        place: (n,) position of each cell in the order; cells with NaN are left out.
        ranked: proteins, with protein, cell_line and `rank`.
        proteins: number of proteins.
        each: largest number of cells per protein.

    Returns:
        One row per protein: rank, protein, cell_line, and `cell_ids`, a list in the order of the places.
    """
    first = ranked.select("rank", "protein", "cell_line").head(proteins)
    chosen = []
    for rows in rows_of_proteins(cells, first):
        order = rows[np.argsort(place[rows], kind="stable")]
        placed = order[: np.isfinite(place[rows]).sum()]  # NaN comes last
        chosen.append(cells["cell_id"].gather(evenly(placed.tolist(), each)).to_list())
    return first.with_columns(cell_ids=pl.Series(chosen, dtype=pl.List(pl.String)))
