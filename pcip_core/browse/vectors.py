"""The vectors of a feature set, by the rows of the cells that the page shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from pcip_core.browse.cells import FEATURES, BrowsedCells, places
from pcip_core.browse.kept import KeptVectors, keep
from pcip_core.browse.progress import Progress
from pcip_core.errors import EvaluationError, StoreError, WriteError
from pcip_core.features.blocks import Columns, Features, columns_of, places_of
from pcip_core.store.feature_blocks import StoredFeatures
from pcip_core.store.partitions import Store
from pcip_core.words import many

IN_MEMORY = 256 << 20
"""Bytes of vectors that are held in memory; more are kept in a file."""
_ROWS = 1024  # of a block
_LEAST = 1e-30  # a smaller standard deviation is none
_BEGINNING, _ENDING = "vectors.", ".f32"  # of the names of files


class CellVectors:
    """The vectors of one feature set: in memory, or in a file that is made once, if they are many.

    Args:
        cells: the cells.
        feature_set: name of the set.
        cache: folder of the file. If it cannot be written, large sets are read from the store each time.
        progress: of the reading.

    Attributes:
        features: (m, d), in the order of the feature table.
        columns: mean and standard deviation of each feature.
        place: (n,) position of each cell in `features`; -1 for a cell without a vector.
        versions: the model versions of the vectors, separated by commas.

    Raises:
        EvaluationError: there is no such feature set, or a value is not finite.
        StoreError: a run replaces the vectors meanwhile.
    """

    def __init__(
        self, cells: BrowsedCells, feature_set: str, cache: Path, progress: Progress | None = None
    ) -> None:
        require_set(cells, feature_set)
        self.name, self._cells = feature_set, cells
        table = FEATURES + feature_set
        key = key_of(cells.store, cells.screen, [table])
        stored = StoredFeatures(cells.store, cells.screen, table)
        self.versions = versions_of(cells, feature_set)
        self.place = places(stored.cell_id, cells.cell_id)
        where = f"{cells.screen}: feature set {feature_set}"
        self.features, self.columns = _read(stored, _file(cache, feature_set), key, where, progress)
        if key_of(cells.store, cells.screen, [table]) != key:
            raise StoreError(
                where,
                found="vectors that a run has replaced while they were read",
                required="vectors that stay",
                remedy="Try again when the run has ended.",
            )
        self._mean, self._scale = scaling(self.columns)
        self._row = np.full(stored.shape[0], -1)
        described = np.flatnonzero(self.place >= 0)
        self._row[self.place[described]] = described

    def standardized(self, rows: np.ndarray) -> np.ndarray:
        """The standardized vectors of some cells, (len(rows), d) float32.

        Raises:
            EvaluationError: a cell has no vector.
        """
        return (self._of(rows) - self._mean) * self._scale

    def _of(self, rows: np.ndarray) -> np.ndarray:
        missing = self.place[rows] < 0
        if missing.any():
            raise EvaluationError(
                f"{self._cells.screen}: feature set {self.name}",
                found=f"no vector of {many(int(missing.sum()), 'cell')}, as "
                f"{self._cells.cell_id[int(rows[missing][0])]}",
                required="a vector of each chosen cell",
                remedy="Choose other cells, or another feature set.",
            )
        return rows_of(self.features, self.place[rows])

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All vectors as they are stored, block by block: the rows of the cells, and their vectors, float32."""
        for place, block in places_of(self.features):
            for start in range(0, len(block), _ROWS):
                part = block[start : start + _ROWS]
                rows = self._row[place.start + start : place.start + start + len(part)]
                present = rows >= 0
                yield (rows, part) if present.all() else (rows[present], part[present])

    def distances(self, seeds: np.ndarray) -> np.ndarray:
        """The distance of each cell to the mean of the seeds, (n,) float32, as `nearest` computes it.

        A cell without a vector is at an infinite distance.
        """
        query = self._of(seeds).mean(0)
        out = np.full(len(self._cells), np.inf, np.float32)
        for rows, block in self.blocks():
            apart = block - query
            apart *= self._scale
            out[rows] = np.sqrt(np.einsum("ij,ij->i", apart, apart))
        return out

    def projected(self, weights: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The standardized vectors times weights, (d, k): the rows of the cells, and (m, k) float32, block by block."""
        of_stored = self._scale[:, None] * weights.astype(np.float32)
        for rows, block in self.blocks():
            yield rows, (block - self._mean) @ of_stored


def _read(
    stored: StoredFeatures, file: Path, key: str, where: str, progress: Progress | None
) -> tuple[Features, Columns]:
    """Vectors from memory, from their file, or, if it cannot be written, from the store."""
    n, width = stored.shape
    if n * width * 4 <= IN_MEMORY:
        whole = np.concatenate([np.zeros((0, width), np.float32), *stored.blocks()])
        return whole, columns_of(whole, where)
    try:
        kept = KeptVectors.opened(file, (n, width), key) or keep(
            stored, file, key, where, progress or Progress()
        )
    except WriteError:
        return stored, columns_of(stored, where)
    return kept, kept.columns


def scaling(columns: Columns) -> tuple[np.ndarray, np.ndarray]:
    """What standardizes vectors in float32: the means to subtract, and the factors, 0 for a constant feature.

    >>> scaling(Columns(np.array([3.0, 1.0]), np.array([0.5, 0.0])))[1].tolist()
    [2.0, 0.0]
    """
    varied = columns.deviation > _LEAST
    factors = np.where(varied, 1 / np.where(varied, columns.deviation, 1), 0)
    return columns.mean.astype(np.float32), factors.astype(np.float32)


def require_set(cells: BrowsedCells, feature_set: str) -> None:
    """Require a feature set of the screen.

    Raises:
        EvaluationError: there is none of this name.
    """
    known = cells.feature_sets()
    if feature_set not in known:
        raise EvaluationError(
            f"{cells.screen}: feature set {feature_set}",
            found="no such table",
            required=f"one of {', '.join(known) or 'none yet'}",
            remedy=f"Choose another, or: pcip run {cells.screen}",
        )


def versions_of(cells: BrowsedCells, feature_set: str) -> str:
    """The model versions of the vectors of a feature set, separated by commas."""
    column = "encoder_version"
    stored = cells.store.read(cells.screen, FEATURES + feature_set, columns=[column])[column]
    return ", ".join(stored.drop_nulls().unique().sort())


def rows_of(features: Features, rows: np.ndarray) -> np.ndarray:
    """Select rows in the given order: (len(rows), d)."""
    from pcip_core.features import blocks

    return features.rows(rows) if isinstance(features, KeptVectors) else blocks.rows_of(features, rows)


def remove_old(cache: Path, feature_sets: Collection[str]) -> None:
    """Remove the files of feature sets that are no more."""
    for file in cache.glob(f"{_BEGINNING}*{_ENDING}"):
        if file.name.removeprefix(_BEGINNING).removesuffix(_ENDING) not in feature_sets:
            file.unlink(missing_ok=True)


def key_of(store: Store, screen: str, tables: Collection[str]) -> str:
    """What identifies the present rows of some tables: the stamps of their files."""
    with store.frozen(screen) as parts:
        stamps = {f"{name} {shard}": part.stamp for (name, shard), part in parts.items() if name in tables}
    return hashlib.blake2b(json.dumps(sorted(stamps.items())).encode(), digest_size=16).hexdigest()


def _file(cache: Path, feature_set: str) -> Path:
    return cache / f"{_BEGINNING}{feature_set}{_ENDING}"
