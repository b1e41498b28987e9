"""What the training loop is told of one kind of training, and how both compute an output and a mean loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from pcip_core.models.network import CellNetwork
from pcip_core.training.cells import CellSet
from pcip_core.training.config import TrainingConfig
from pcip_core.training.tracker import Preview


class Batch(NamedTuple):
    """What goes into the network, and what should come out."""

    inputs: tuple[torch.Tensor, ...]
    truth: torch.Tensor


class Task(Protocol):
    """One kind of training.

    Attributes:
        identity: with settings and network, what must be equal for a checkpoint to be gone on from.
        unit: what a batch counts, `pairs` or `cells`.
        training, validation: (n,) positions of the cells trained on, and of those held out.
    """

    identity: str
    unit: str
    training: np.ndarray
    validation: np.ndarray

    def build(self) -> CellNetwork:
        """The untrained network."""

    def batches(self, epoch: int) -> Iterator[Batch]:
        """All batches of an epoch: a function of seed and epoch, whatever was drawn before."""

    def loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The mean loss of a batch, a scalar."""

    def validate(self, network: CellNetwork, precision: torch.dtype) -> dict[str, float]:
        """`validation_loss` and others on the cells held out; nothing when there are none."""

    def preview(self, network: CellNetwork) -> Preview | None:
        """Something to look at, or None."""


TaskKind = Callable[[CellSet, Any, TrainingConfig, torch.device], Task]  # the class of a task


def output_of(network: CellNetwork, batch: Batch, precision: torch.dtype) -> torch.Tensor:
    """The network's output in float32, computed in the given precision."""
    with torch.autocast(batch.truth.device.type, precision, enabled=precision is not torch.float32):
        output = network(*batch.inputs)
    return output.float()


def mean_loss(task: Task, network: CellNetwork, batches: Iterable[Batch], precision: torch.dtype) -> float:
    """The mean of the task's loss over batches."""
    total, count = 0.0, 0
    for batch in batches:
        total += float(task.loss(output_of(network, batch, precision), batch)) * len(batch.truth)
        count += len(batch.truth)
    return total / count
