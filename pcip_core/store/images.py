"""The images of a screen and what is known of them, with one rule for what is not."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import duckdb
import polars as pl

from pcip_core.errors import SpecError
from pcip_core.store.books import NO_EXTENSIONS
from pcip_core.store.parquet import arrow_of
from pcip_core.store.partitions import Store

_NO_TERMS = pl.lit([], pl.List(pl.String))


class Images:
    """One row per image of a screen.

    An image without a protein stands for a protein of its own, with the name of the image. A cell line that is
    not known is "", and an image without annotation has no terms.

    Args:
        table: the table `images`.

    Attributes:
        table: the table as it is stored; what is not known is null.
        frame: the table by the rule above: no null in protein, cell_line and localization.
    """

    def __init__(self, table: pl.DataFrame) -> None:
        self.table = table
        self.frame = table.with_columns(
            protein=pl.coalesce(pl.col("protein").cast(pl.String), "image_id"),
            cell_line=pl.col("cell_line").cast(pl.String).fill_null(""),
            localization=pl.col("localization").cast(pl.List(pl.String)).fill_null(_NO_TERMS),
        )

    @classmethod
    def of(cls, store: Store, screen: str) -> Images:
        """Those of a screen.

        Raises:
            StoreError: the screen has no images.
        """
        return cls(store.read(screen, "images"))

    @cached_property
    def protein_of(self) -> dict[str, str]:
        """Image -> its protein."""
        return self.column("protein")

    @cached_property
    def cell_line_of(self) -> dict[str, str]:
        """Image -> its cell line."""
        return self.column("cell_line")

    @cached_property
    def terms_of(self) -> dict[str, list[str]]:
        """Image -> its annotated compartments."""
        return self.column("localization")

    def column(self, name: str) -> dict[str, Any]:
        """Image -> its value in a column."""
        return dict(zip(self.frame["image_id"].to_list(), self.frame[name].to_list(), strict=True))

    def labels_of(self, name: str) -> dict[str, list[str]]:
        """Image -> its labels in a column of one label or of a list of labels; none where the column is null.

        A protein is never null.
        """
        column = self.frame[name] if name == "protein" else self.table[name]
        values = zip(self.table["image_id"].to_list(), column.to_list(), strict=True)
        return {
            image: value if isinstance(value, list) else [] if value is None else [str(value)]
            for image, value in values
        }

    def rows(self, image_ids: Sequence[str]) -> pl.DataFrame:
        """The rows of these images, in this order."""
        ids = pl.DataFrame({"image_id": image_ids}, schema={"image_id": pl.String})
        return ids.join(self.frame, on="image_id", how="left", maintain_order="left")

    def chosen(self, condition: str, where: str) -> set[str]:
        """Ids of the images that a condition is true of.

        Args:
            condition: what stands behind WHERE, over the columns of the table: `'Vesicles' IN localization`.
            where: what an error names: where the condition was written.

        Raises:
            SpecError: it is no condition over these columns. It sees no table but this one, and no file.
        """
        with duckdb.connect(":memory:", config={**NO_EXTENSIONS, "enable_external_access": "false"}) as con:
            con.register("images", arrow_of(self.table))
            try:
                rows = con.execute(f"SELECT image_id FROM images WHERE ({condition}\n)").fetchall()
            except duckdb.Error as error:
                raise SpecError(
                    where,
                    found=f"{condition!r} ({str(error).splitlines()[0]})",
                    required=f"a condition in SQL over the columns of images: {', '.join(self.table.columns)}",
                    remedy="Correct it; names of terms stand in single quotes: 'Vesicles' IN localization.",
                ) from error
        return {str(name) for (name,) in rows}
