"""The vectors of a feature table, read in blocks so that memory does not grow with the number of cells."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from pcip_core.errors import StoreError
from pcip_core.features.blocks import ROWS
from pcip_core.features.means import means_by_image
from pcip_core.store.images import Images
from pcip_core.store.partitions import Store
from pcip_core.store.vectors import feature_table, features_of

_IDS = 16_384  # rows that are read at a time


class StoredFeatures:
    """All vectors of a feature table, in the natural order of the shards. Only the cell ids are held in memory.

    The blocks can be iterated repeatedly; each pass checks that the cells have not changed.

    Args:
        store, screen, table: location of the feature table.

    Attributes:
        cell_id: ids of the n cells.
        image: (n,) index into `images` of each cell's image.
        images: names of the images.
        shape, ndim: those of an (n, d) array.

    Raises:
        StoreError: the table does not exist, or its partitions have different column types.
    """

    ndim = 2

    def __init__(self, store: Store, screen: str, table: str) -> None:
        self._store, self._screen, self._table = store, screen, table
        shards: list[str] = store.shards(screen, table)
        kinds = store.schema(screen, table, shard=shards[0] if shards else None)
        cells, numbers = [pl.Series([], dtype=pl.String)], [np.zeros(0, np.int32)]
        images: dict[str, int] = {}
        for ids in store.batches(screen, table, columns=["cell_id", "image_id"], rows=_IDS):
            cells.append(ids["cell_id"])
            runs = ids["image_id"].rle().struct.unnest()  # the cells of an image are neighbours
            of_run = [images.setdefault(image, len(images)) for image in runs["value"]]
            numbers.append(np.repeat(np.array(of_run, np.int32), runs["len"]))
        self.cell_id: pl.Series = pl.concat(cells, rechunk=False)
        self.image: np.ndarray = np.concatenate(numbers)
        self.images: list[str] = list(images)
        vectors = kinds["features"]
        assert isinstance(vectors, pl.Array)
        self.shape: tuple[int, ...] = (len(self.image), vectors.size)

    def __len__(self) -> int:
        return self.shape[0]

    def places(self, cell_ids: Sequence[str] | pl.Series) -> np.ndarray:
        """The row of each of these cells; -1 for a missing cell."""
        if self.cell_id.equals(
            pl.Series(cell_ids, dtype=pl.String)
        ):  # most often: two tables of the same cells
            return np.arange(len(self))
        wanted = pl.DataFrame({"cell_id": cell_ids}, schema={"cell_id": pl.String})
        known = (
            pl.DataFrame({"cell_id": self.cell_id})
            .with_row_index("row")
            .join(wanted, on="cell_id", how="semi", maintain_order="left")  # few are wanted: few are compared
            .unique("cell_id", keep="first")
        )
        rows = wanted.join(known, on="cell_id", how="left", maintain_order="left")["row"]
        return rows.cast(pl.Int64).fill_null(-1).to_numpy()

    def blocks(self) -> Iterator[np.ndarray]:
        """All vectors in order, as (at most ROWS, d) float32 blocks.

        Raises:
            StoreError: another run has replaced the cells of a shard.
        """
        done = 0
        for batch in self._store.batches(
            self._screen, self._table, columns=["cell_id", "features"], rows=ROWS
        ):
            self._require_same(batch["cell_id"], done)
            done += batch.height
            yield features_of(batch)
        self._require_same(None, done)

    def column(self, number: int) -> np.ndarray:
        """One column of all vectors: (n,) float32."""
        values = [block[:, number].copy() for block in self.blocks()]  # a view would keep its whole block
        return np.concatenate([np.zeros(0, np.float32), *values])

    def groups(self, group: np.ndarray) -> Iterator[np.ndarray]:
        """The vectors of each group in turn, (cells of the group, d), as `groups_of` does.

        Uses a temporary file on the store's disk, of the total size of the vectors.
        """
        counts = np.bincount(group[group >= 0])
        ends, width = counts.cumsum(), self.shape[1]
        free, start = ends - counts, 0  # the next free row of each group in the file
        row_bytes = width * np.dtype(np.float32).itemsize
        with (
            self._store.scratch(self._screen) as folder,
            (folder / "by_group").open("w+b", buffering=0) as file,
        ):
            for block in self.blocks():
                numbers = group[start : start + len(block)]
                start += len(block)
                order = np.argsort(numbers, kind="stable")
                names, first, many = np.unique(numbers[order], return_index=True, return_counts=True)
                for name, at, count in zip(names.tolist(), first.tolist(), many.tolist(), strict=True):
                    if name >= 0:
                        rows = block[order[at : at + count]]
                        os.pwrite(file.fileno(), rows.tobytes(), int(free[name]) * row_bytes)
                        free[name] += count
            for end, count in zip(ends.tolist(), counts.tolist(), strict=True):
                file.seek((end - count) * row_bytes)
                yield np.fromfile(file, np.float32, count * width).reshape(count, width)

    def _require_same(self, cells: pl.Series | None, start: int) -> None:
        """Require these cells from row `start` on; None requires the end of the table."""
        same = start == len(self) if cells is None else cells.equals(self.cell_id.slice(start, len(cells)))
        if not same:
            raise StoreError(
                f"{self._screen}.{self._table}",
                found="cells that changed during reading",
                required="shards that are not replaced during reading",
                remedy="Run again when no other run computes these features.",
            )


def mean_by_protein(store: Store, screen: str, feature_set: str) -> pl.DataFrame:
    """Rows of the table `protein_features_<feature_set>`: one row per protein."""
    table = f"cell_features_{feature_set}"
    cells = StoredFeatures(store, screen, table)
    of_images = Images.of(store, screen).rows(cells.images)
    proteins, means = means_by_image(cells, cells.image, of_images.select("protein"))
    versions = store.read(screen, table, columns=["encoder_version"])["encoder_version"].unique().sort()
    ids = proteins.with_columns(encoder_version=pl.lit(", ".join(versions)))
    return feature_table({name: ids[name] for name in ids.columns}, means.astype(np.float32))
