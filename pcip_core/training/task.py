"""One kind of training, as the loop sees it, and how both compute an output and a mean loss."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from pcip_core.models.network import CellNetwork
from pcip_core.spec.training import TrainingConfig
from pcip_core.training.cells import CellSet
from pcip_core.training.processes import ALONE, Processes
from pcip_core.training.tracker import Preview


class Batch(NamedTuple):
    """What goes into the network, and what should come out.

    Attributes:
        inputs, truth: one row a pair or cell.
        others: how many rows of the same batch other processes have.
    """

    inputs: tuple[torch.Tensor, ...]
    truth: torch.Tensor
    others: int = 0

    @property
    def rows(self) -> int:
        """Rows of the whole batch."""
        return len(self.truth) + self.others


class Task(Protocol):
    """One kind of training.

    Attributes:
        identity: with settings and network, what must be equal for a training to be resumed.
        unit: what a batch counts, `pairs` or `cells`.
        streamed: whether the crops are read from files, batch by batch.
        training, validation: (n,) positions of the cells trained on, and of those held out.
    """

    identity: str
    unit: str
    streamed: bool
    training: np.ndarray
    validation: np.ndarray

    def build(self) -> CellNetwork:
        """The untrained network."""

    def batches(self, epoch: int, processes: Processes = ALONE) -> Iterator[Batch]:
        """This process's rows of all batches of an epoch: a function of seed and epoch, whatever was drawn
        before."""

    def loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The mean loss of a batch, a scalar."""

    def validate(
        self, network: CellNetwork, precision: torch.dtype, processes: Processes = ALONE
    ) -> dict[str, float]:
        """`validation_loss` and others on the cells held out, the same in all processes; nothing when there
        are none."""

    def preview(self, network: CellNetwork) -> Preview | None:
        """Something to look at, or None."""


_AHEAD = 3  # batches

TaskKind = Callable[[CellSet, Any, TrainingConfig, torch.device], Task]  # the class of a task


def ahead(batches: Iterator[Batch], *, streamed: bool) -> Iterator[Batch]:
    """The same batches; where crops are read from files, a few are made ahead by a thread."""
    if not streamed:
        yield from batches
        return
    with ThreadPoolExecutor(1, "batches") as thread:  # one, so that they stay in order
        _arithmetic_alone(thread)
        waiting = deque(thread.submit(next, batches, None) for _ in range(_AHEAD))
        while (batch := waiting.popleft().result()) is not None:
            waiting.append(thread.submit(next, batches, None))
            yield batch


def _arithmetic_alone(thread: ThreadPoolExecutor) -> None:
    """Let a thread compute by itself, and all others as before.

    With helpers of its own there were more threads of OpenMP than cores, and those of the network, which otherwise wait
    for each other awake, would sleep and be woken at each operation.
    """

    def alone() -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # torch takes the number over in a thread when it is first asked there

    threads = torch.get_num_threads()
    thread.submit(alone).result()
    torch.set_num_threads(threads)  # for threads to come


def output_of(network: CellNetwork, batch: Batch, precision: torch.dtype) -> torch.Tensor:
    """The network's output in float32, computed in the given precision."""
    with torch.autocast(batch.truth.device.type, precision, enabled=precision is not torch.float32):
        output = network(*batch.inputs)
    return output.float()


def share_of_loss(task: Task, output: torch.Tensor, batch: Batch) -> torch.Tensor:
    """What this process's rows add to the mean loss of the whole batch: of no rows 0, with a gradient."""
    mine = len(batch.truth)
    return task.loss(output, batch) * (mine / batch.rows) if mine else output.sum()


def mean_loss(
    task: Task,
    network: CellNetwork,
    batches: Iterator[Batch],
    precision: torch.dtype,
    processes: Processes,
) -> float:
    """The mean of the task's loss over the batches of all processes."""
    total, count = 0.0, 0
    for batch in ahead(batches, streamed=task.streamed):
        total += float(share_of_loss(task, output_of(network, batch, precision), batch)) * batch.rows
        count += batch.rows
    device = next(network.parameters()).device
    return float(processes.sum(torch.tensor(total, dtype=torch.float64, device=device))) / count
