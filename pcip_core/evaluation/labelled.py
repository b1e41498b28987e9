"""Selection of labelled cells for benchmarks, and the groups that each protocol leaves out together."""

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
        cell_ids: n cell ids.
        labels: (n,) label of each cell.
        image_ids, fields: (n,) image of each cell, and field within the image.
        left_out: reason -> number of excluded cells.
    """

    cell_ids: list[str]
    labels: np.ndarray
    image_ids: np.ndarray
    fields: np.ndarray
    left_out: dict[str, int] = field(default_factory=dict)

    def groups(self, protocol: str) -> np.ndarray | None:
        """Return the group of each cell, (n,), that a protocol leaves out together; None: only the cell itself.

        Raises:
            EvaluationError: the protocol is unknown.
        """
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
    """Select the cells of images with exactly one label; of cells with equal pixels, select the first.

    A cell that occurs in two images would otherwise be its own nearest neighbour, even with its image left out.

    Args:
        cells: rows with cell_id, image_id, field and pixel_hash.
        labels_of: image id -> its labels. Images without a label or with several labels are excluded.

    >>> cells = [
    ...     {"cell_id": "a", "image_id": "1", "field": "1", "pixel_hash": "x"},
    ...     {"cell_id": "b", "image_id": "2", "field": "1", "pixel_hash": "y"},
    ... ]
    >>> selected = labelled_cells(cells, {"1": ["nucleus"]})
    >>> selected.cell_ids, selected.left_out["cells_without_label"]
    (['a'], 1)
    """
    kept: dict[str, list[str]] = {name: [] for name in ("cell_id", "label", "image_id", "field")}
    seen: set[str] = set()
    texts: dict[str, str] = {}  # keeps one copy of texts that many cells share
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
