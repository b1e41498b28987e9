"""Selections of cells that the page refers to by numbers."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from pcip_core.errors import EvaluationError

_KEPT = 30


@dataclass(frozen=True)
class Selection:
    """Some cells, in the order in which the gallery shows them.

    Attributes:
        number: by which the page refers to it.
        rows: (m,) the cells.
        title: in words.
    """

    number: int
    rows: np.ndarray
    title: str


class Selections:
    """The last 30 selections."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, Selection] = OrderedDict()
        self._numbers = itertools.count(1)

    def add(self, rows: np.ndarray, title: str) -> Selection:
        """Keep a new selection."""
        with self._lock:
            made = Selection(next(self._numbers), rows, title)
            self._kept[made.number] = made
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return made

    def of(self, number: int) -> Selection:
        """A selection that was made before.

        Raises:
            EvaluationError: it is not kept any more.
        """
        with self._lock:
            if number not in self._kept:
                raise unusable("selection", f"number {number}", "one of the last selections", "Select again.")
            self._kept.move_to_end(number)
            return self._kept[number]


def unusable(where: str, found: str, required: str, remedy: str = "Load the page again.") -> EvaluationError:
    """The error of a request that cannot be met."""
    return EvaluationError(where, found=found, required=required, remedy=remedy)
