"""Selection of the columns, cells and numbers of neighbours that can be scored, with reasons for exclusions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pcip_core.errors import EvaluationError
from pcip_core.features.checks import require_rows
from pcip_core.words import many


@dataclass(frozen=True)
class Usable:
    """Columns, cells and numbers of neighbours that can be scored.

    Attributes:
        columns: (d,) bool, the selected columns.
        cells: (n,) bool, the selected cells.
        ks: the selected numbers of neighbours.
        exclusions: reason -> number of excluded columns, cells or ks, including reasons with 0.
            `classes_smaller_than_k` is not an exclusion: it counts the remaining classes with fewer other cells than
            the largest k, which cannot win all of its votes.
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
    """Exclude the columns, cells and ks that no classifier can use.

    Excluded are columns with a value that is not finite, and columns that are constant over the remaining cells;
    cells whose class has no other cell or, with groups, occurs in one group only, because no prediction for them could
    be correct; and ks above the number of neighbours available to some remaining cell. A k above the number of other
    cells of a class remains, because the class can still win the vote; `classes_smaller_than_k` counts these classes.

    Args:
        features: (n, d).
        labels: (n,) class of each cell.
        feature_set: name of the feature set, for the error.
        groups: (n,) group of each cell that is left out together; None leaves out only the cell itself.
        ks: the requested numbers of neighbours.

    Raises:
        ShapeError: features, labels and groups differ in length.
        EvaluationError: no column or no cell is left.

    >>> features, labels = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]]), np.array(["a", "a", "b"])
    >>> selected = usable(features, labels, feature_set="intensity", ks=(1, 5))
    >>> selected.columns.tolist(), selected.cells.tolist(), selected.ks
    ([True, False], [True, True, False], (1,))
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
            found=f"{many(cells.sum(), 'cell')} and {many(columns.sum(), 'column')} that can be scored; left out: "
            + ", ".join(f"{count} {reason}" for reason, count in out.items() if count),
            required="a finite column that varies, and a class with two cells (in two groups, if groups are left out)",
            remedy="Check the features and the labels, or score more images.",
        )

    left = neighbours_left(None if groups is None else groups[cells], int(cells.sum()))
    kept = tuple(k for k in ks if k <= left)
    out["ks_above_neighbours_left"] = len(ks) - len(kept)
    others = np.unique(labels[cells], return_counts=True)[1] - 1
    out["classes_smaller_than_k"] = int((others < max(kept, default=0)).sum())
    return Usable(columns, cells, kept, out)


def neighbours_left(groups: np.ndarray | None, cells: int) -> int:
    """Count the candidate neighbours of the cell with the fewest.

    Args:
        groups: (n,) group of each cell that is left out together; None leaves out only the cell itself.
        cells: n.
    """
    if groups is None:
        return cells - 1
    return cells - int(np.unique(groups, return_counts=True)[1].max())
