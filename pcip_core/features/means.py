"""Features of many cells as one: the mean of each group (protein, image)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np

from pcip_core.errors import ShapeError

Group = TypeVar("Group", str, tuple[str, ...])


def group_means(features: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean features of groups of cells.

    Args:
        features: (n, d).
        group: (n,) number of each cell's group, 0 to g - 1; each group has a cell.

    Returns:
        (g, d) float64, and (g,) the cells of each group.
    """
    sums, counts = _sums(features, group)
    return sums / counts[:, None], counts


def means_of_parts(
    parts: Iterable[tuple[np.ndarray, Sequence[Group | None]]],
) -> tuple[list[Group], np.ndarray, np.ndarray]:
    """Mean features of groups of cells that come part by part: one part is in memory, and one sum a group.

    Args:
        parts: (n, d) features, and the group of each of the n cells, None for a cell that is left out;
            a group may have cells in several parts.

    Returns:
        The g groups in their order, (g, d) float64, and (g,) the cells of each group.

    Raises:
        ShapeError: a part has not one group a cell, or features of another length than the first.
    """
    sums: dict[Group, np.ndarray] = {}
    counts: dict[Group, int] = {}
    length = None
    for features, groups in parts:
        length = features.shape[1] if length is None else length
        if features.shape != (len(groups), length):
            raise ShapeError(
                "means of groups",
                found=f"features {features.shape} of {len(groups)} cells",
                required=f"({len(groups)}, {length}), as the groups and the first part have it",
                remedy="Make the feature sets of all shards again.",
            )
        number = {group: place for place, group in enumerate(dict.fromkeys(groups))}
        of_part, cells = _sums(features, np.array([number[group] for group in groups], np.int64))
        for group, place in number.items():
            if group is not None:
                sums[group] = sums.get(group, 0.0) + of_part[place]
                counts[group] = counts.get(group, 0) + int(cells[place])
    found = sorted(sums)
    held = np.array([counts[group] for group in found], np.int64)
    added = np.array([sums[group] for group in found]).reshape(len(found), length or 0)
    return found, added / held[:, None], held


def _sums(features: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(g, d) float64 sums of the features of numbered groups, and (g,) their cells."""
    counts, order = np.bincount(group), np.argsort(group, kind="stable")
    ends = counts.cumsum()
    sums = np.zeros((len(counts), features.shape[1]))
    for number, (start, end) in enumerate(zip(ends - counts, ends, strict=True)):
        sums[number] = features[order[start:end]].sum(0, dtype=np.float64)  # np.add.at takes 30 times as long
    return sums, counts
