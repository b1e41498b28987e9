"""What a training reports, and a plain listener for machines without the platform."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Preview:
    """A few predicted cells, all arrays float32 in [0, 1] but the prediction, which is unbounded.

    Attributes:
        source: (n, C, S, S).
        target: (n, C, S, S) the target cell with its true protein.
        prediction: (n, P, S, S) of the protein channels.
        channels, protein: the names of the C, and of the P.
    """

    source: np.ndarray
    target: np.ndarray
    prediction: np.ndarray
    channels: tuple[str, ...]
    protein: tuple[str, ...]


class Tracker(Protocol):
    """Receives the reports of a training."""

    def start(self, params: Mapping[str, Any]) -> None:
        """The parameters, once, before the first epoch (again when a training is resumed)."""

    def batch(self, epoch: int, done: int, total: int) -> None:
        """After each step: how many of the epoch's pairs or cells are done. Must be quick."""

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """After each epoch (counted from 1): loss, validation_loss, pairs_per_s (or cells_per_s), seconds."""

    def preview(self, number: int, preview: Preview) -> None:
        """Every few epochs: what the network makes of a few cells; never of a supervised network."""


class SilentTracker:
    """Receives reports and does nothing."""

    def start(self, params: Mapping[str, Any]) -> None:
        pass

    def batch(self, epoch: int, done: int, total: int) -> None:
        pass

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        pass

    def preview(self, number: int, preview: Preview) -> None:
        pass


class ProgressTracker(SilentTracker):
    """Prints one line per epoch to stderr."""

    def start(self, params: Mapping[str, Any]) -> None:
        print(", ".join(f"{name}={value}" for name, value in params.items()), file=sys.stderr)

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        values = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        print(f"epoch {number}: {values}", file=sys.stderr)
