"""The cells of a screen with their columns and crops, in the natural order of the shards.

A row is the position of a cell in this order. Maps, selections and labels refer to cells by their rows.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property

import numpy as np
import polars as pl

from pcip_core.errors import CropError, EvaluationError, StoreError
from pcip_core.store.images import Images
from pcip_core.store.partitions import Store

FEATURES = "cell_features_"
NUMBERS = ("area_px", "y_px", "x_px")
_HELD = ("cell_id", "image_id", "field", "shard", "crop_row", "pixel_hash", *NUMBERS)
_INTERNAL = ("crop_row", "pixel_hash")
_FREQUENT = 500
_SHARDS_OPEN = 256  # arrays of crops that are kept open


class BrowsedCells:
    """All cells of a screen.

    Args:
        store, screen: where they are.

    Attributes:
        cell_id: ids of the n cells.
        images: the images, with the columns of `Images.frame`.
        image: (n,) int32 row of each cell's image in `images`.

    Raises:
        StoreError: the screen has no cells or no images.
    """

    def __init__(self, store: Store, screen: str) -> None:
        self.store, self.screen = store, screen
        table = store.read(screen, "cells", columns=_HELD)
        self.images = Images.of(store, screen).frame
        self.cell_id = table["cell_id"]
        self._table = table.drop("cell_id", "image_id", "shard")
        self._shards = table["shard"].unique(maintain_order=True).to_list()
        self._shard = places(pl.Series(self._shards, dtype=pl.String), table["shard"]).astype(np.int32)
        self.image = places(self.images["image_id"], table["image_id"]).astype(np.int32)
        self._open: OrderedDict[int, tuple[pl.Series, pl.DataFrame, np.ndarray]] = OrderedDict()
        if (self.image < 0).any():
            raise StoreError(
                f"{screen}.cells",
                found=f"a cell of the image {table['image_id'][int(np.argmin(self.image))]}, which is not in images",
                required="the image of each cell",
                remedy=f"Run `pcip run {screen}`.",
            )

    def __len__(self) -> int:
        return len(self.cell_id)

    @cached_property
    def columns(self) -> dict[str, pl.DataType]:
        """The columns of images and cells with one value per row, by name: those of images first."""
        of_cells = {name: kind for name, kind in self._table.schema.items() if name not in _INTERNAL}
        of_images = {name: kind for name, kind in self.images.schema.items() if name != "image_id"}
        return of_images | {"image_id": pl.String()} | of_cells | {"shard": pl.String()}

    def column(self, name: str) -> pl.Series:
        """The values of one column, one per cell. Terms of a list are joined by `, `.

        Raises:
            EvaluationError: there is no such column.
        """
        if name not in self.columns:
            raise EvaluationError(
                f"{self.screen}: column {name}",
                found="no such column of cells or images",
                required=f"one of {', '.join(self.columns)}",
                remedy="Choose one of these.",
            )
        if name in self._table.columns:
            values = self._table[name]
        elif name == "shard":
            return pl.Series(name, self._shards, dtype=pl.String).gather(self._shard)
        else:
            values = self.images[name]
            if isinstance(values.dtype, pl.List):
                values = values.cast(pl.List(pl.String)).list.join(", ")
            values = values.gather(self.image)
        return values

    def frequent(self, name: str) -> list[str]:
        """The most frequent values of a column as texts, the most frequent first: at most 500."""
        values = self.column(name).cast(pl.String).drop_nulls().rename("value").to_frame()
        counted = values.group_by("value").len().sort("len", "value", descending=[True, False])
        return counted["value"].head(_FREQUENT).to_list()

    def agreed(self, name: str) -> pl.DataFrame:
        """A column of images by protein, null where the images of a protein differ: `protein` and `value`."""
        value = self.images[name]
        texts = value.cast(pl.List(pl.String)).list.join(", ") if isinstance(value.dtype, pl.List) else value
        named = pl.DataFrame({"protein": self.images["protein"], "value": texts})
        same = pl.when(pl.col("value").n_unique() == 1).then(pl.col("value").first())
        return named.group_by("protein").agg(same.alias("value"))

    def described(self, rows: np.ndarray) -> pl.DataFrame:
        """All columns of some cells, one row per cell: `cell_id` first."""
        cells = pl.DataFrame({"cell_id": self.cell_id.gather(rows)})
        of_images = self.images[self.image[rows].astype(np.int64)].select(
            pl.col(pl.List(pl.String)).list.join(", "), pl.exclude(pl.List(pl.String))
        )
        shard = pl.Series("shard", self._shards, dtype=pl.String).gather(self._shard[rows])
        own = self._table[rows].drop(_INTERNAL)
        named = [name for name in of_images.columns if name not in (*own.columns, "shard")]
        return pl.concat([cells, own, shard.to_frame(), of_images.select(named)], how="horizontal")

    def crops(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The crops of some cells, (m, C, S, S) uint8, and the least and greatest grey level of each channel, (m, C).

        Raises:
            CropError: the cells of the screen have changed since they were read.
        """
        pixels, low, high = [], [], []
        for row in rows.tolist():
            ids, table, crops = self._shard_of(int(self._shard[row]))
            place = int(self._table["crop_row"][row])
            hashes = table["pixel_hash"]
            if (
                place >= len(ids)
                or ids[place] != self.cell_id[row]
                or hashes[place] != self._table["pixel_hash"][row]
            ):
                raise CropError(
                    f"{self.screen}: cell {self.cell_id[row]}",
                    found="other cells than when the page was opened",
                    required="crops that have not changed since",
                    remedy=f"Start `pcip browse {self.screen}` again.",
                )
            pixels.append(crops[place])
            low.append(table["intensity_min"][place].to_numpy())
            high.append(table["intensity_max"][place].to_numpy())
        return np.stack(pixels), np.stack(low), np.stack(high)

    def rows_of(self, cell_ids: pl.Series) -> np.ndarray:
        """The row of each of these cells, (m,) int64; -1 for an unknown one."""
        return places(self.cell_id, cell_ids)

    def pixel_hashes(self, rows: np.ndarray) -> pl.Series:
        """The hash of the pixels of some cells, in their order."""
        return self._table["pixel_hash"].gather(rows)

    def feature_sets(self) -> list[str]:
        """The feature sets that describe cells of this screen."""
        names = self.store.tables(self.screen)
        return [name.removeprefix(FEATURES) for name in names if name.startswith(FEATURES)]

    def _shard_of(self, shard: int) -> tuple[pl.Series, pl.DataFrame, np.ndarray]:
        if shard not in self._open:
            table, crops = self.store.read_with_array(self.screen, "cells", "crops", self._shards[shard])
            self._open[shard] = (
                table["cell_id"],
                table.select("intensity_min", "intensity_max", "pixel_hash"),
                crops,
            )
        self._open.move_to_end(shard)
        while len(self._open) > _SHARDS_OPEN:
            self._open.popitem(last=False)
        return self._open[shard]


def places(known: pl.Series, wanted: pl.Series) -> np.ndarray:
    """The position of each wanted name among the known ones, (m,) int64; -1 for an unknown name.

    >>> places(pl.Series(["a", "b", "c"]), pl.Series(["c", "x", "a"])).tolist()
    [2, -1, 0]
    """
    if known.equals(wanted):
        return np.arange(len(known))
    asked = pl.DataFrame({"name": wanted}, schema={"name": pl.String})
    names = pl.DataFrame({"name": known}, schema={"name": pl.String}).with_row_index("row")
    names = names.join(
        asked, on="name", how="semi", maintain_order="left"
    )  # few are wanted: few are compared
    rows = asked.join(names.unique("name", keep="first"), on="name", how="left", maintain_order="left")["row"]
    return rows.cast(pl.Int64).fill_null(-1).to_numpy()
