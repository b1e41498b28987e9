"""The images of a screen with their metadata, and one rule for missing values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import polars as pl

from pcip_core.store.conditions import image_ids_where
from pcip_core.store.parquet import arrow_of
from pcip_core.store.partitions import Store

_NO_TERMS = pl.lit([], pl.List(pl.String))


class Images:
    """One row per image of a screen.

    An image without a protein counts as a separate protein, named by its image id. An unknown cell line is "",
    and an image without annotation has an empty list of terms.

    Args:
        table: the table `images`.

    Attributes:
        table: the stored table; missing values are null.
        frame: the table with the rule above applied: no nulls in protein, cell_line and localization.
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
        """The images of a screen.

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
        """Image -> its labels in a column of labels or of lists of labels; an empty list where the column is null.

        A protein is never null.
        """
        column = self.frame[name] if name == "protein" else self.table[name]
        values = zip(self.table["image_id"].to_list(), column.to_list(), strict=True)
        return {
            image: value if isinstance(value, list) else [] if value is None else [str(value)]
            for image, value in values
        }

    def classes_of(self, name: str) -> list[str]:
        """The labels that are the only one of an image, in alphabetical order; every page colours them by it."""
        return sorted({labels[0] for labels in self.labels_of(name).values() if len(labels) == 1})

    def rows(self, image_ids: Sequence[str]) -> pl.DataFrame:
        """The rows of these images, in this order."""
        ids = pl.DataFrame({"image_id": image_ids}, schema={"image_id": pl.String})
        return ids.join(self.frame, on="image_id", how="left", maintain_order="left")

    def chosen(self, condition: str, where: str) -> set[str]:
        """Ids of the images that meet a condition.

        Args:
            condition: an SQL condition over the columns of the table: `'Vesicles' IN localization`.
            where: location of the condition, for error messages.

        Raises:
            SpecError: it is not a condition over these columns, or takes too long or too much memory. It cannot
                access other tables or files.
        """
        return image_ids_where(arrow_of(self.table), condition, where)
