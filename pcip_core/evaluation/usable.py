"""What of a feature set can be scored, and why the rest cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pcip_core.errors import EvaluationError
from pcip_core.features.checks import require_rows


@dataclass(frozen=True)
class Usable:
    """What is scored.

    Attributes:
        columns: (d,) bool, the columns kept.
        cells: (n,) bool, the cells kept.
        ks: the numbers of neighbours kept.
        exclusions: reason -> how many columns, cells or ks it leaves out; 0 where none. `classes_smaller_than_k`
            is said of what is kept: classes that cannot win every vote of the largest k.
    """

    columns: np.ndarray
    cells: np.ndarray
    ks: tuple[int, ...]
    exclusions: dict[str, int]


def usable(
    features: np.ndarray,
    labels: np.ndarray,
    *,
    feature_set: str,
    groups: np.ndarray | None = None,
    ks: Sequence[int] = (),
) -> Usable:
    """Leave out what no classifier can use.

    Columns: those with a value that is not finite, and those that are the same in all kept cells. Cells:
    those whose class has no other cell or, where groups are left out together, stands in one group only, as
    no prediction for them could be right. Ks: those above the neighbours left to some kept cell. A k above a
    class's other cells stays, as the class may still have most votes; how many such classes there are is told.

    Args:
        features: (n, d).
        labels: (n,) class of each cell.
        feature_set: its name, for the error.
        groups: (n,) what is left out together; None leaves out the cell alone.
        ks: the numbers of neighbours asked for.

    Raises:
        ShapeError: features, labels and groups differ in length.
        EvaluationError: no column or no cell is left.
    """
    require_rows(feature_set, features, labels, groups)
    out = dict.fromkeys(
        (
            "columns_not_finite",
            "columns_constant",
            "cells_of_classes_with_one_cell",
            "cells_of_classes_in_one_group",
            "ks_above_neighbours_left",
            "classes_smaller_than_k",
        ),
        0,
    )
    classes, member, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    single = (sizes < 2)[member]
    out["cells_of_classes_with_one_cell"] = int(single.sum())
    cells = ~single
    if groups is not None and len(labels):
        pairs = np.unique(np.stack([member, np.unique(groups, return_inverse=True)[1]]), axis=1)
        together = (np.bincount(pairs[0], minlength=len(classes)) < 2)[member] & ~single
        out["cells_of_classes_in_one_group"] = int(together.sum())
        cells &= ~together

    columns = np.isfinite(features).all(0)
    out["columns_not_finite"] = int((~columns).sum())
    if cells.any():
        varied = features[cells].min(0) < features[cells].max(0)  # False for NaN
        out["columns_constant"] = int((columns & ~varied).sum())
        columns &= varied
    if not cells.any() or not columns.any():
        raise EvaluationError(
            feature_set,
            found=f"{cells.sum()} cells and {columns.sum()} columns that can be scored; left out: "
            + ", ".join(f"{count} {reason}" for reason, count in out.items() if count),
            required="a varied, finite column, and a class of two cells (in two groups, if those are left out)",
            remedy="Look at the features and the labels, or score more images.",
        )

    left = neighbours_left(None if groups is None else groups[cells], int(cells.sum()))
    kept = tuple(k for k in ks if k <= left)
    out["ks_above_neighbours_left"] = len(ks) - len(kept)
    others = np.unique(labels[cells], return_counts=True)[1] - 1
    out["classes_smaller_than_k"] = int((others < max(kept, default=0)).sum())
    return Usable(columns, cells, kept, out)


def neighbours_left(groups: np.ndarray | None, cells: int) -> int:
    """How many candidate neighbours the worst-off cell has."""
    if groups is None:
        return cells - 1
    return cells - int(np.unique(groups, return_counts=True)[1].max())
