"""Which cells and images can be scored, by which label, and which cells are left out together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from pcip_core.errors import EvaluationError


@dataclass(frozen=True)
class LabelledCells:
    """Cells with exactly one label each.

    Attributes:
        cell_ids: n ids.
        labels: (n,) their labels.
        image_ids, fields: (n,) the image, and the field within it.
        left_out: reason why other cells are excluded -> number of cells.
    """

    cell_ids: pl.Series
    labels: np.ndarray
    image_ids: np.ndarray
    fields: np.ndarray
    left_out: dict[str, int] = field(default_factory=dict)

    def groups(self, protocol: str) -> np.ndarray | None:
        """(n,) the group that is left out together under a protocol; None leaves out the cell alone."""
        if protocol == "leave_cell_out":
            return None
        if protocol == "leave_image_out":
            return self.image_ids
        if protocol == "leave_field_out":
            image, field = (np.unique(part, return_inverse=True)[1] for part in (self.image_ids, self.fields))
            return image * (int(field.max(initial=0)) + 1) + field
        raise EvaluationError(
            "benchmark.protocols",
            found=repr(protocol),
            required="leave_image_out, leave_field_out or leave_cell_out",
            remedy="Correct the spec.",
        )

    def of_images(self, images: Sequence[str], reason: str) -> LabelledCells:
        """The cells of these images; the others are counted in `left_out` under the reason."""
        kept = np.isin(self.image_ids, images)
        return LabelledCells(
            self.cell_ids.filter(pl.Series(kept)),
            self.labels[kept],
            self.image_ids[kept],
            self.fields[kept],
            {**self.left_out, reason: int((~kept).sum())},
        )


def labelled_cells(cells: pl.DataFrame, labels_of: Mapping[str, Sequence[str]]) -> LabelledCells:
    """Keep the cells of images with one label; of cells with the same pixels keep the first.

    A cell that stands in two images would be its own nearest neighbour although its image is left out.

    Args:
        cells: one row per cell with cell_id, image_id, field and pixel_hash.
        labels_of: image id -> its labels; images with none or with several are left out.
    """
    images = pl.DataFrame(
        {
            "image_id": list(labels_of),
            "labels": [len(labels) for labels in labels_of.values()],
            "label": [labels[0] if labels else None for labels in labels_of.values()],
        },
        schema={"image_id": pl.String, "labels": pl.Int64, "label": pl.String},
    )
    labels = cells.select("image_id").join(images, on="image_id", how="left", maintain_order="left")
    count = labels["labels"].fill_null(0)
    labelled = cells.with_columns(labels["label"]).filter(count == 1)
    kept = labelled.unique("pixel_hash", keep="first", maintain_order=True)
    left_out = {
        "cells_without_label": int((count == 0).sum()),
        "cells_with_several_labels": int((count > 1).sum()),
        "cells_seen_before": labelled.height - kept.height,
    }
    return LabelledCells(
        kept["cell_id"],
        texts_of(kept["label"]),
        texts_of(kept["image_id"]),
        texts_of(kept["field"]),
        left_out,
    )


def texts_of(values: pl.Series) -> np.ndarray:
    """A column of strings as an array of strings; no Python string is made for each row."""
    distinct = values.unique(maintain_order=True)
    numbers = pl.int_range(len(distinct), dtype=pl.UInt32, eager=True)
    number = values.replace_strict(distinct, numbers).cast(pl.UInt32)  # an empty mapping gives nulls of no type
    return np.array(distinct.to_list(), dtype=str)[number.to_numpy()]


@dataclass(frozen=True)
class LabelledImages:
    """The images of labelled cells.

    Attributes:
        of_cell: (n,) number of each cell's image.
        terms, proteins, lines: (m,) the one label, the protein and the cell line of each image.
    """

    of_cell: np.ndarray
    terms: np.ndarray
    proteins: np.ndarray
    lines: np.ndarray


def labelled_images(cells: LabelledCells, images: pl.DataFrame) -> LabelledImages:
    """The images of these cells, in the order of their ids.

    Args:
        cells: at least one.
        images: one row per image with image_id, protein and cell_line, none of them null; others may be among them.
    """
    names, first, of_cell = np.unique(cells.image_ids, return_index=True, return_inverse=True)
    known = pl.DataFrame({"image_id": names.tolist()}).join(
        images.select("image_id", "protein", "cell_line"), on="image_id", how="left", maintain_order="left"
    )
    return LabelledImages(
        of_cell, cells.labels[first], texts_of(known["protein"]), texts_of(known["cell_line"])
    )


def agreed_labels(images: pl.DataFrame) -> pl.DataFrame:
    """One row per protein with the `label` that all its images have alone; null where they have no such label.

    Args:
        images: one row per image with `protein` and the list of its terms, `localization`.
    """
    terms = pl.col("localization")
    agreed = (terms.list.len() == 1).all() & (terms.list.first().n_unique() == 1)
    label = pl.when(agreed).then(terms.list.first().first())
    return images.group_by("protein", maintain_order=True).agg(label=label)
