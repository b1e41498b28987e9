"""What the tests of several processes let those processes do; each of them imports this module, so it is small."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import nn

from pcip_core.errors import TrainingError
from pcip_core.models.deeploc import DeepLocConfig
from pcip_core.models.inpainting import NetworkConfig
from pcip_core.models.pairs import PairConfig
from pcip_core.spec.training import EncoderConfig, TrainingConfig
from pcip_core.training.cells import CellSet
from pcip_core.training.loop import train
from pcip_core.training.processes import ALONE, Processes, join
from pcip_core.training.task import Batch, output_of, share_of_loss
from pcip_core.training.tasks import supervised
from pcip_core.training.tasks.inpainting import Inpainting
from pcip_core.training.tasks.pairs import Pairs
from pcip_core.training.tasks.supervised import Classification
from pcip_core.training.tracker import SilentTracker

CHANNELS = ("cytosol", "protein")
INPAINTING = NetworkConfig(CHANNELS, ("cytosol",), ("protein",), size_px=16, width=0.06)
DEEPLOC = DeepLocConfig(CHANNELS, ("a", "b"), size_px=16, width=0.06)
CONFIG = TrainingConfig(
    **{"epochs": 2, "batch_size": 8, "learning_rate": 1e-3, "preview_every": 1, "width": 0.06, "seed": 3},
    validation_fraction=0.2,
    precision="float32",
)
TWO = dataclasses.replace(CONFIG, processes=2)
TASKS = {"inpainting": 1.0, "agreement": 0.3, "identity": 0.2}
PAIRED = EncoderConfig(**vars(CONFIG), task=TASKS, hardest_of=3)
PAIRS = PairConfig(**vars(INPAINTING), tasks=tuple(TASKS), images=8)


class Recorder(SilentTracker):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self.heard: list[tuple[str, int]] = []
        self.batches: list[tuple[int, int, int]] = []

    def start(self, params: Any) -> None:
        self.params = dict(params)

    def batch(self, epoch: int, done: int, total: int) -> None:
        self.batches.append((epoch, done, total))

    def epoch(self, number: int, metrics: Any) -> None:
        self.heard.append(("epoch", number))

    def preview(self, number: int, preview: Any) -> None:
        self.heard.append(("preview", number))


def _as_double(_layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return tuple(x.double() for x in inputs)


def _in_double(network: Any) -> Any:
    """The network with float64 weights, whatever the type of its inputs."""
    for layer in network.double().modules():
        if any(True for _ in layer.parameters(recurse=False)):
            layer.register_forward_pre_hook(_as_double)
    return network


# Adam divides a gradient by its own size. In float32 a gradient that should be 0 is the rounding error of a sum,
# and Adam makes a whole step of it: another order of a batch's rows moves some weights by two steps, on one
# processor and not on another. In float64 that error is far below Adam's epsilon (1e-8), and no weight moves.
class DoubleInpainting(Inpainting):
    """Inpainting by a network in float64."""

    def build(self) -> Any:
        return _in_double(super().build())


class DoublePairs(Pairs):
    """Several tasks on pairs, by a network in float64."""

    def build(self) -> Any:
        return _in_double(super().build())

    def loss(self, output: Any, batch: Batch) -> torch.Tensor:
        output = {name: values.double() for name, values in output.items()}
        return super().loss(output, batch._replace(truth=batch.truth.double()))


class DoubleClassification(Classification):
    """Classification by a network in float64."""

    def build(self) -> Any:
        return _in_double(super().build())


class _Reversed:
    """The rows of each batch in reverse order, so that sums over them are rounded otherwise."""

    def batches(self, epoch: int, processes: Processes = ALONE) -> Iterator[Batch]:
        for batch in super().batches(epoch, processes):  # type: ignore[misc]
            image = None if batch.image is None else batch.image.flip(0)
            inputs = tuple(x.flip(0) for x in batch.inputs)
            yield batch._replace(inputs=inputs, truth=batch.truth.flip(0), image=image)


class ReversedInpainting(_Reversed, DoubleInpainting):
    """The same training with sums in another order."""


class ReversedPairs(_Reversed, DoublePairs):
    """The same training with sums in another order."""


class ReversedClassification(_Reversed, DoubleClassification):
    """The same training with sums in another order."""


def cells() -> tuple[CellSet, np.ndarray]:
    """41 random cells of 8 images: batches of 8 leave a last one with no row for the second process."""
    rng = np.random.default_rng(0)
    image = np.arange(41) % 8
    pixels = rng.integers(0, 256, (41, 2, 16, 16)).astype(np.uint8)
    pixels[image % 2 == 1] //= 2
    return CellSet(pixels, image, CHANNELS), image % 2


def inpaint(config: TrainingConfig, task: Any = DoubleInpainting, **kwargs: Any) -> Any:
    """Paired cell inpainting of the cells, in float64."""
    kwargs.setdefault("tracker", SilentTracker())
    return train(cells()[0], INPAINTING, config, task=task, **kwargs)


def pair(config: EncoderConfig = PAIRED, task: Any = DoublePairs) -> Any:
    """A network for all tasks on pairs of the cells, in float64."""
    return train(cells()[0], PAIRS, config, task=task, tracker=SilentTracker())


def gradients(processes: Processes = ALONE) -> dict[str, torch.Tensor]:
    """The gradients of all tasks on pairs in the first batch, after the sum over all processes."""
    work = DoublePairs(cells()[0], PAIRS, PAIRED, torch.device("cpu"))
    model = work.build().train()
    processes.share_norms(model)
    batch = next(work.batches(1, processes))
    share_of_loss(work, output_of(model, batch, torch.float32), batch).backward()
    processes.add_gradients(model)
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def supervise(config: TrainingConfig, task: Any = DoubleClassification, **kwargs: Any) -> Any:
    """A classifier of the cells, in float64."""
    kwargs.setdefault("tracker", SilentTracker())
    data, labels = cells()
    with patch.object(supervised, "Classification", task):
        return supervised.train_supervised(data, labels, DEEPLOC, config, held=data.image < 2, **kwargs)


def fail(how: str, tracker: Any) -> None:
    """What the processes of a failing training do: the second fails, the first waits for it."""
    processes = join("gloo")
    if processes.rank == 1 and how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if processes.rank == 1 and how == "known":
        raise TrainingError("epoch 7", found="nothing", required="something", remedy="Look.")
    if processes.rank == 1:
        raise ValueError("no such thing")
    tracker.start({"waits": True})
    processes.sum(torch.ones(1))


def stay(folder: Path, tracker: Any) -> None:
    """Say that this process has begun, by a file, and never end."""
    (folder / str(join("gloo").rank)).touch()
    while True:
        time.sleep(0.1)
