"""Which cells can be scored, by which label, and which cells belong together when some are left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pcip_core.errors import EvaluationError


@dataclass(frozen=True)
class LabelledCells:
    """Cells with exactly one label each.

    Attributes:
        cell_ids: n ids.
        labels: (n,) their labels.
        image_ids, fields: (n,) the image, and the field within it.
        left_out: why other cells are not here -> how many.
    """

    cell_ids: list[str]
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
            return np.array(
                [f"{image}\0{field}" for image, field in zip(self.image_ids, self.fields, strict=True)]
            )
        raise EvaluationError(
            "benchmark.protocols",
            found=repr(protocol),
            required="leave_image_out, leave_field_out or leave_cell_out",
            remedy="Correct the spec.",
        )


def labelled_cells(
    cells: Iterable[Mapping[str, Any]], labels_of: Mapping[str, Sequence[str]]
) -> LabelledCells:
    """Keep the cells of images with one label; of cells with the same pixels keep the first.

    A cell that stands in two images would be its own nearest neighbour although its image is left out.

    Args:
        cells: rows with cell_id, image_id, field and pixel_hash.
        labels_of: image id -> its labels; images with none or with several are left out.
    """
    kept: dict[str, list[str]] = {name: [] for name in ("cell_id", "label", "image_id", "field")}
    seen: set[str] = set()
    texts: dict[str, str] = {}  # those that many cells share are held once
    left_out = {"cells_without_label": 0, "cells_with_several_labels": 0, "cells_seen_before": 0}
    for cell in cells:
        terms = labels_of.get(cell["image_id"], ())
        if len(terms) != 1:
            left_out["cells_with_several_labels" if terms else "cells_without_label"] += 1
        elif cell["pixel_hash"] in seen:
            left_out["cells_seen_before"] += 1
        else:
            seen.add(cell["pixel_hash"])
            kept["cell_id"].append(cell["cell_id"])
            for name, text in (("label", terms[0]), ("image_id", cell["image_id"]), ("field", cell["field"])):
                kept[name].append(texts.setdefault(text, text))
    del seen
    cell_ids = kept["cell_id"]
    labels, images, fields = (np.array(kept[name], dtype=str) for name in ("label", "image_id", "field"))
    return LabelledCells(cell_ids, labels, images, fields, left_out)
