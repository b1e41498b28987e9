"""Several feature sets as one: each is standardized and divided by the root of its length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pcip_core.features.blocks import Columns


def combined(parts: Sequence[np.ndarray], columns: Sequence[Columns]) -> np.ndarray:
    """Combine vectors of the same cells, so that each set has the same share in the squared distance of two cells.

    Args:
        parts: (n, d) vectors of each set, cell by cell in the same order.
        columns: mean and standard deviation of each set's columns, over all cells of the screen.

    Returns:
        (n, sum of d) float32: the standardized columns of each set, divided by the root of their number.

    >>> values = np.array([[1.0, 5.0], [3.0, 7.0]])
    >>> twice = [Columns(values.mean(0), values.std(0)), Columns(values[:, :1].mean(0), values[:, :1].std(0))]
    >>> np.round(combined([values, values[:, :1]], twice), 3).tolist()
    [[-0.7070000171661377, -0.7070000171661377, -1.0], [0.7070000171661377, 0.7070000171661377, 1.0]]
    """
    scaled = [
        each.standardized(rows) / np.sqrt(rows.shape[1]) for rows, each in zip(parts, columns, strict=True)
    ]
    return np.concatenate(scaled, axis=1).astype(np.float32)


def weights_of(lengths: Sequence[int]) -> np.ndarray:
    """The factor of each column of a combined set, for an evaluation that standardizes columns itself.

    Args:
        lengths: number of columns of each set.

    >>> weights_of([4, 1]).tolist()
    [0.5, 0.5, 0.5, 0.5, 1.0]
    """
    return np.concatenate([np.full(length, length**-0.5) for length in lengths])
