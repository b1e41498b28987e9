"""Filters: conditions in SQL over the published file, and the cells that meet them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np

from pcip_core.browse.cells import BrowsedCells
from pcip_core.store.conditions import cell_ids_where

_KEPT = 20  # conditions whose cells are kept


class Filters:
    """The cells that meet conditions. They are looked up again after the published file has changed.

    Args:
        cells: the cells.
        published: the published file.
    """

    def __init__(self, cells: BrowsedCells, published: Path) -> None:
        self._cells, self._published = cells, published
        self._lock = threading.Lock()  # one at a time, as each may take all the memory that it is allowed
        self._kept: OrderedDict[tuple[object, ...], np.ndarray] = OrderedDict()

    def rows(self, condition: str) -> np.ndarray:
        """The rows of the cells that meet a condition, in increasing order; all without one.

        Raises:
            EvaluationError: it is no condition, or it takes too long.
        """
        if not condition.strip():
            return np.arange(len(self._cells))
        with self._lock:
            key = condition, _stamp(self._published)
            if key not in self._kept:
                rows = self._cells.rows_of(cell_ids_where(self._published, self._cells.screen, condition))
                self._kept[key] = np.unique(rows[rows >= 0])
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            return self._kept[key]


def _stamp(file: Path) -> tuple[int, int] | None:
    """What changes when a file is replaced or written."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns
