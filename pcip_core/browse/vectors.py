"""The vectors of a feature set, by the rows of the cells that the page shows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from pcip_core.browse.cells import FEATURES, BrowsedCells, places
from pcip_core.errors import EvaluationError
from pcip_core.features.blocks import Columns, Features, columns_of, places_of, rows_of
from pcip_core.store.feature_blocks import StoredFeatures
from pcip_core.words import many

_IN_MEMORY = 256 << 20  # bytes; larger sets are read from the store each time


class CellVectors:
    """The vectors of one feature set. A set of up to 256 MB is held in memory.

    Args:
        cells: the cells.
        feature_set: name of the set.

    Attributes:
        features: (m, d), in the order of the feature table.
        place: (n,) position of each cell in `features`; -1 for a cell without a vector.

    Raises:
        EvaluationError: there is no such feature set.
    """

    def __init__(self, cells: BrowsedCells, feature_set: str) -> None:
        known = cells.feature_sets()
        if feature_set not in known:
            raise EvaluationError(
                f"{cells.screen}: feature set {feature_set}",
                found="no such table",
                required=f"one of {', '.join(known) or 'none yet'}",
                remedy=f"Choose another, or: pcip run {cells.screen}",
            )
        self.name, self._cells = feature_set, cells
        stored = StoredFeatures(cells.store, cells.screen, FEATURES + feature_set)
        self.place = places(stored.cell_id, cells.cell_id)
        self.features: Features = stored
        if stored.shape[0] * stored.shape[1] * 4 <= _IN_MEMORY:
            self.features = np.concatenate([np.zeros((0, stored.shape[1]), np.float32), *stored.blocks()])

    @cached_property
    def columns(self) -> Columns:
        """Mean and standard deviation of each feature over all cells."""
        return columns_of(self.features, f"{self._cells.screen}: feature set {self.name}")

    @cached_property
    def row(self) -> np.ndarray:
        """(m,) row of each vector's cell; -1 where the cell is gone."""
        rows = np.full(len(self.features), -1)
        described = np.flatnonzero(self.place >= 0)
        rows[self.place[described]] = described
        return rows

    def standardized(self, rows: np.ndarray) -> np.ndarray:
        """The standardized vectors of some cells, (len(rows), d) float64.

        Raises:
            EvaluationError: a cell has no vector.
        """
        missing = self.place[rows] < 0
        if missing.any():
            raise EvaluationError(
                f"{self._cells.screen}: feature set {self.name}",
                found=f"no vector of {many(int(missing.sum()), 'cell')}, as "
                f"{self._cells.cell_id[int(rows[missing][0])]}",
                required="a vector of each chosen cell",
                remedy="Choose other cells, or another feature set.",
            )
        return self.columns.standardized(rows_of(self.features, self.place[rows]))

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All standardized vectors, block by block: the rows of the cells, and their vectors."""
        for place, block in places_of(self.features):
            rows = self.row[place]
            present = rows >= 0
            yield rows[present], self.columns.standardized(block[present])

    def versions(self) -> str:
        """The model versions of the vectors, separated by commas."""
        table = FEATURES + self.name
        found = self._cells.store.read(self._cells.screen, table, columns=["encoder_version"])
        return ", ".join(found["encoder_version"].drop_nulls().unique().sort())

    def distances(self, seeds: np.ndarray) -> np.ndarray:
        """The distance of each cell to the mean of the seeds, (n,) float64, as `nearest` computes it.

        A cell without a vector is at an infinite distance.
        """
        query = self.standardized(seeds).mean(0)
        out = np.full(len(self._cells), np.inf)
        for rows, block in self.blocks():
            out[rows] = np.linalg.norm(block - query, axis=1)
        return out
