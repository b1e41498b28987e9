"""Feature vectors, read when their values are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl

from pcip_core.errors import StoreError
from pcip_core.store.partitions import Store
from pcip_core.store.vectors import features_of

Of = Literal["cells", "proteins"]
_ROWS = 16_384


class _Rows(NamedTuple):
    """What the rows of a feature table are: the beginning of its name, and the column of their names."""

    prefix: str
    key: str


OF: dict[str, _Rows] = {
    "cells": _Rows("cell_features_", "cell_id"),
    "proteins": _Rows("protein_features_", "protein"),
}


class Features:
    """The vectors of a feature set, one per cell or protein, in the order of the stored table.

    The numbers are read when they are asked for, each time anew.

    Attributes:
        name: of the feature set.
        of: `cells` or `proteins`.
    """

    ndim, dtype = 2, np.dtype(np.float32)

    def __init__(self, store: Store, screen: str, name: str, *, of: Of = "cells") -> None:
        self.name, self.of = name, of
        self._store, self._screen = store, screen
        self._table = f"{OF[of].prefix}{name}"

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows, and of features.

        >>> features.shape
        (30, 8)
        """
        shards: list[str | None] = [*self._store.shards(self._screen, self._table)] or [None]
        vectors = self._store.schema(self._screen, self._table, shard=shards[0])["features"]
        assert isinstance(vectors, pl.Array)
        repeated = self._store.batches(
            self._screen, self._table, columns=["encoder_version"]
        )  # it takes no space
        return sum(batch.height for batch in repeated), vectors.size

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def units(self) -> list[str]:
        """A name for each feature: of the set, with its number.

        >>> features.units[:2]
        ['inpainting_conv4_0', 'inpainting_conv4_1']
        """
        return [f"{self.name}_{number}" for number in range(self.shape[1])]

    @property
    def ids(self) -> pl.Series:
        """The cell ids, or the names of the proteins, in the order of the rows.

        >>> features.ids[0]
        'plate_1_A01_1_0000'
        """
        key = OF[self.of].key
        return self._store.read(self._screen, self._table, columns=[key])[key]

    def to_numpy(self) -> np.ndarray:
        """All vectors, (n, d) float32.

        Raises:
            PcipError: a run replaces vectors meanwhile.

        >>> features.to_numpy().shape
        (30, 8)
        """
        out, row = np.empty(self.shape, np.float32), 0
        for batch in self.batches():
            vectors = features_of(batch)
            if row + len(vectors) > len(out) or vectors.shape[1] != out.shape[1]:
                raise self._replaced()
            out[row : row + len(vectors)] = vectors
            row += len(vectors)
        if row < len(out):
            raise self._replaced()
        return out

    def _replaced(self) -> StoreError:
        return StoreError(
            f"{self._screen}.{self._table}",
            found="another number of vectors than at the beginning: a run replaces them",
            required="vectors that stay while they are read",
            remedy="Read them again when the run has ended.",
        )

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        """So that functions of numpy and scikit-learn take the object itself."""
        return self.to_numpy().astype(dtype or np.float32, copy=False)

    def to_polars(self) -> pl.DataFrame:
        """All rows: cell_id, image_id, encoder_version, features; or protein, n_cells, encoder_version, features.

        >>> features.to_polars().columns
        ['cell_id', 'image_id', 'encoder_version', 'features']
        """
        return self._store.read(self._screen, self._table)

    def lazy(self) -> pl.LazyFrame:
        """The rows as a lazy frame, of which only what a query needs is read.

        >>> features.lazy().filter(image_id="plate_1_A01").select("cell_id").collect().height
        5
        """
        return self._store.scan(self._screen, self._table)

    def batches(self, rows: int = _ROWS) -> Iterator[pl.DataFrame]:
        """The rows, at most `rows` at a time, so that memory does not grow with their number.

        >>> [batch.height for batch in features.batches(rows=10)]
        [10, 5, 10, 5]
        """
        return self._store.batches(self._screen, self._table, rows=rows)

    def __repr__(self) -> str:
        n, width = self.shape
        return f"Features({self.name!r}) of {n:,} {self.of}: {width} numbers each"
