"""The reports of a training, and a tracker that prints them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


def resuming(epoch: int, epochs: int) -> str:
    """The line that says that a training is resumed.

    >>> resuming(12, 30)
    'resuming after epoch 12 of 30'
    """
    return f"resuming after epoch {epoch} of {epochs}"


@dataclass(frozen=True)
class Preview:
    """A few cells with their predictions. All arrays are float32 in [0, 1], except the prediction, which is unbounded.

    Attributes:
        source: (n, C, S, S) source cells.
        target: (n, C, S, S) target cells with their true protein.
        prediction: (n, P, S, S) predicted protein channels.
        channels, protein: names of the C channels, and of the P protein channels.
    """

    source: np.ndarray
    target: np.ndarray
    prediction: np.ndarray
    channels: tuple[str, ...]
    protein: tuple[str, ...]


class Tracker(Protocol):
    """Receives the reports of a training."""

    def start(self, params: Mapping[str, Any]) -> None:
        """Receive the parameters before the first epoch, and again when a training is resumed."""

    def resumed(self, epoch: int, epochs: int) -> None:
        """Receive the last complete epoch of an interrupted training that is resumed, and the number of all epochs."""

    def batch(self, epoch: int, done: int, total: int) -> None:
        """Receive the number of pairs or cells of the epoch done, after each step. Must be fast."""

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Receive the metrics of each epoch, from 1: loss, validation_loss, pairs_per_s (or cells_per_s), seconds."""

    def preview(self, number: int, preview: Preview) -> None:
        """Receive predictions for a few cells, every few epochs; never for a supervised network."""


class SilentTracker:
    """Receives reports and does nothing."""

    def start(self, params: Mapping[str, Any]) -> None:
        pass

    def resumed(self, epoch: int, epochs: int) -> None:
        pass

    def batch(self, epoch: int, done: int, total: int) -> None:
        pass

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        pass

    def preview(self, number: int, preview: Preview) -> None:
        pass


class ProgressTracker(SilentTracker):
    """Prints one line per epoch to stderr."""

    def resumed(self, epoch: int, epochs: int) -> None:
        print(resuming(epoch, epochs), file=sys.stderr)

    def start(self, params: Mapping[str, Any]) -> None:
        print(", ".join(f"{name}={value}" for name, value in params.items()), file=sys.stderr)

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        values = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        print(f"epoch {number}: {values}", file=sys.stderr)
