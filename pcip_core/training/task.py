"""The interface between the training loop and the tasks, and the computation of outputs and mean losses."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from pcip_core.models.network import CellNetwork
from pcip_core.models.precision import computing_in
from pcip_core.training.cells import CellSet
from pcip_core.training.processes import ALONE, Processes
from pcip_core.training.tracker import Preview

Output = torch.Tensor | dict[str, torch.Tensor]
"""The output of a network, or of each of its tasks."""


class Batch(NamedTuple):
    """The inputs of the network and the expected output.

    Attributes:
        inputs, truth: one row per pair or cell.
        others: number of rows of the same batch in other processes.
        image: number of the image of each pair, where a task needs it.
        processes: the processes that share the batch, where a loss is a statistic of the whole batch.
    """

    inputs: tuple[torch.Tensor, ...]
    truth: torch.Tensor
    others: int = 0
    image: torch.Tensor | None = None
    processes: Processes = ALONE

    @property
    def rows(self) -> int:
        """Number of rows of the whole batch."""
        return len(self.truth) + self.others


class Task(Protocol):
    """A training task: batches, loss and validation of one kind of network.

    Attributes:
        identity: text that, together with settings and network, must be equal to resume a training.
        unit: the unit of a row of a batch, `pairs` or `cells`.
        fewest_rows: of a batch whose loss can be compared between precisions.
        streamed: whether the crops are read from files, batch by batch.
        training, validation: positions of the training cells, and of the held-out cells.
    """

    identity: str
    unit: str
    fewest_rows: int
    streamed: bool
    training: np.ndarray
    validation: np.ndarray

    def build(self) -> CellNetwork:
        """Build the untrained network."""

    def batches(self, epoch: int, processes: Processes = ALONE) -> Iterator[Batch]:
        """Yield the rows of this process for all batches of an epoch, which depend only on the seed and the epoch."""

    def loss(self, output: Any, batch: Batch) -> torch.Tensor:
        """Compute the mean loss of a batch, a scalar, from the output of the network."""

    def validate(
        self, network: CellNetwork, precision: torch.dtype, processes: Processes = ALONE
    ) -> dict[str, float]:
        """Compute `validation_loss` and other metrics on the held-out cells, equal in all processes.

        Empty if no cells are held out.
        """

    def preview(self, network: CellNetwork) -> Preview | None:
        """Make a preview of predictions, or None."""


_AHEAD = 3  # batches

TaskKind = Callable[[CellSet, Any, Any, torch.device], Task]  # the class of a task


def ahead(batches: Iterator[Batch], *, streamed: bool) -> Iterator[Batch]:
    """Yield the same batches; if crops are read from files, a thread prefetches a few batches."""
    if not streamed:
        yield from batches
        return
    with ThreadPoolExecutor(1, "batches") as thread:  # a single thread keeps the order
        _arithmetic_alone(thread)
        waiting = deque(thread.submit(next, batches, None) for _ in range(_AHEAD))
        while (batch := waiting.popleft().result()) is not None:
            waiting.append(thread.submit(next, batches, None))
            yield batch


def _arithmetic_alone(thread: ThreadPoolExecutor) -> None:
    """Make torch use a single thread for the arithmetic within `thread`, without affecting other threads.

    With further threads there would be more OpenMP threads than cores. The threads of the network, which normally
    wait actively for each other, would then sleep and have to be woken at each operation.
    """

    def alone() -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # torch applies the number in a thread on the first query there

    threads = torch.get_num_threads()
    thread.submit(alone).result()
    torch.set_num_threads(threads)  # for later threads


def output_of(network: CellNetwork, batch: Batch, precision: torch.dtype) -> Output:
    """Compute the output of the network in the given precision, and return it as float32."""
    with computing_in(precision, batch.truth.device):
        output = network(*batch.inputs)
    if isinstance(output, dict):
        return {name: values.float() for name, values in output.items()}
    return output.float()


def share_of_loss(task: Task, output: Output, batch: Batch) -> torch.Tensor:
    """Compute the contribution of this process to the mean loss of the whole batch; 0 with a gradient for no rows."""
    mine = len(batch.truth)
    if mine:
        return task.loss(output, batch) * (mine / batch.rows)
    outputs = output.values() if isinstance(output, dict) else [output]
    return torch.stack([values.sum() for values in outputs]).sum()


def mean_loss(
    task: Task,
    network: CellNetwork,
    batches: Iterator[Batch],
    precision: torch.dtype,
    processes: Processes,
) -> float:
    """Compute the mean loss of the task over the batches of all processes."""
    total, count = 0.0, 0
    for batch in ahead(batches, streamed=task.streamed):
        total += float(share_of_loss(task, output_of(network, batch, precision), batch)) * batch.rows
        count += batch.rows
    device = next(network.parameters()).device
    return float(processes.sum(torch.tensor(total, dtype=torch.float64, device=device))) / count
