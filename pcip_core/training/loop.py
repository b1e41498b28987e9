"""The training loop, shared by all networks (paper, "Datasets, Preprocessing, and Training")."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from pcip_core.errors import PrecisionError, TrainingError
from pcip_core.models.network import CellNetwork, Shape, count_parameters
from pcip_core.spec.training import TrainingConfig
from pcip_core.training.cells import CellSet
from pcip_core.training.checkpoints import Checkpoints
from pcip_core.training.device import choose_device
from pcip_core.training.precision import Choice, choose_precision
from pcip_core.training.processes import Processes, join
from pcip_core.training.starting import run_in_processes
from pcip_core.training.task import Task, TaskKind, ahead, output_of, share_of_loss
from pcip_core.training.tasks.inpainting import Inpainting
from pcip_core.training.tracker import ProgressTracker, SilentTracker, Tracker

_CHECK_EVERY = 50  # steps between checks of the loss, each of which waits for the device


Start = Callable[[Callable[..., Any], Tracker], Any]
"""Starts the processes of a training; see `train`."""


@dataclass(frozen=True)
class TrainedEncoder:
    """A trained network, in evaluation mode.

    Attributes:
        network: the CellNetwork of the task.
        history: one dict of metrics per epoch.
        device: the processor.
        precision: `float32` or `bf16`; in it, the network also describes cells.
    """

    network: Any
    history: list[dict[str, float]]
    device: torch.device
    precision: str


def train(
    cells: CellSet,
    network: Shape,
    config: TrainingConfig,
    *,
    task: TaskKind = Inpainting,
    tracker: Tracker | None = None,
    checkpoints: Path | None = None,
    start: Start | None = None,
) -> TrainedEncoder:
    """Train a network.

    Args:
        cells: the crops of all images.
        network: the configuration of the network, of the type that the task requires, with the channels of the cells.
        config: epochs, learning rate, seed, device and other settings.
        task: `Inpainting`, `Autoencoding`, or a supervised task (see `train_supervised`).
        tracker: receives parameters, epochs and previews; by default they are printed. With several processes, only
            the first reports.
        checkpoints: a folder for the state after each epoch. If it contains a checkpoint of the same training, the
            training is resumed from it, and ends at the same weights (bit for bit on a CPU).
        start: starts the processes elsewhere, as on other machines: called with a function that trains in each of
            them, once they are connected, and takes a `tracker`; and with the tracker of the reports. It returns
            what the first process returns.

    This function starts `config.processes` processes. Within torchrun, call it in each process.

    Returns:
        The trained network and its history.

    Raises:
        TrainingError: the channels differ, the device is not available, the loss is not finite, the task cannot use
            the cells (inpainting: an image has only one cell), or one of several processes failed.

    >>> import numpy as np
    >>> from pcip_core.models.inpainting import NetworkConfig
    >>> from pcip_core.training.tracker import SilentTracker
    >>> pixels = (np.arange(512) % 251).astype(np.uint8).reshape(4, 2, 8, 8)
    >>> cells = CellSet(pixels, np.array([0, 0, 1, 1]), ("dna", "protein"))
    >>> network = NetworkConfig(cells.channels, ("dna",), ("protein",), size_px=8, width=0.03)
    >>> config = TrainingConfig(epochs=2, batch_size=4, device="cpu", validation_fraction=0)
    >>> trained = train(cells, network, config, tracker=SilentTracker())
    >>> [epoch["epoch"] for epoch in trained.history], "loss" in trained.history[0]
    ([1, 2], True)
    """
    _check(cells, network, config)
    tracker = tracker or ProgressTracker()
    if start is not None:
        alone = dataclasses.replace(config, processes=1)  # each of them starts no others
        job = partial(train, cells, network, alone, task=task, checkpoints=checkpoints)
        return start(job, tracker)
    backend = "nccl" if choose_device(config.device).type == "cuda" else "gloo"
    processes = join(backend)
    if config.processes > 1 and processes.size == 1:
        job = partial(train, cells, network, config, task=task, checkpoints=checkpoints)
        return run_in_processes(job, config.processes, backend=backend, tracker=tracker)
    if processes.rank > 0:
        tracker = SilentTracker()
    return _train_here(cells, network, config, task, tracker, checkpoints, processes)


def _train_here(
    cells: CellSet,
    network: Shape,
    config: TrainingConfig,
    task: TaskKind,
    tracker: Tracker,
    checkpoints: Path | None,
    processes: Processes,
) -> TrainedEncoder:
    """Train in this process, alone or as one of several. The arguments are those of `train`."""
    device = choose_device(config.device, number=processes.local if processes.size > 1 else None)
    work = task(cells, network, config, device)
    model = work.build().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    processes.share_norms(model)
    optimizer = build_optimizer(model, config)
    states = Checkpoints(checkpoints, work, network, config)
    history, choice = states.resume(model, optimizer, device)
    history = history[: config.epochs]
    if choice is None:
        choice = choose_precision(config.precision, work, device, processes)
        if config.precision == "auto" and processes.rank == 0:  # also kept if the first epoch is interrupted
            states.save(model, optimizer, history, choice)
    here = {"device_used": str(device), "processes": processes.size}
    tracker.start(_parameters(config, work, model) | choice.as_params() | here)
    if history:
        tracker.resumed(len(history), config.epochs)
    for epoch in range(len(history) + 1, config.epochs + 1):
        start = time.perf_counter()
        model.train()
        total, done = torch.zeros((), device=device, dtype=torch.float64), 0
        for step, batch in enumerate(ahead(work.batches(epoch, processes), streamed=work.streamed)):
            loss = share_of_loss(work, output_of(model, batch, choice.dtype), batch)
            set_rate(optimizer, config, epoch - 1 + (done + batch.rows / 2) / len(work.training))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            processes.add_gradients(model)
            optimizer.step()
            total += loss.detach() * batch.rows
            done += batch.rows
            if step % _CHECK_EVERY == 0:
                _require_finite(float(processes.sum(total)), epoch, config, choice)
            tracker.batch(epoch, done, len(work.training))
        total = processes.sum(total)
        _require_finite(float(total), epoch, config, choice)
        seconds = time.perf_counter() - start

        model.eval()
        with torch.no_grad():
            metrics = {"loss": float(total) / done, **work.validate(model, choice.dtype, processes)}
            metrics |= {f"{work.unit}_per_s": done / seconds, "seconds": seconds}
            history.append({"epoch": epoch, **metrics})
            tracker.epoch(epoch, metrics)
            previewed = epoch % config.preview_every == 0 or epoch == config.epochs
            if previewed and processes.rank == 0 and (preview := work.preview(model)) is not None:
                tracker.preview(epoch, preview)
        if processes.rank == 0:
            states.save(model, optimizer, history, choice)

    trained = work.build().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    trained.load_state_dict(model.state_dict())  # with standard norms, also after several processes
    return TrainedEncoder(trained.eval(), history, device, choice.precision)


def build_optimizer(model: torch.nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Make the optimizer: Adam, with the settings of the paper and of the authors' code, or AdamW with weight decay."""
    rate, betas = config.learning_rate, (config.beta1, 0.999)
    if config.weight_decay:
        return torch.optim.AdamW(model.parameters(), rate, betas, weight_decay=config.weight_decay)
    return torch.optim.Adam(model.parameters(), rate, betas)


def set_rate(optimizer: torch.optim.Optimizer, config: TrainingConfig, epochs: float) -> None:
    """Set the learning rate of a step, which depends only on the epochs up to its middle.

    It rises linearly in the first `warm_up * config.epochs` epochs. Then it is constant, or falls along half a cosine
    to 0 after the last epoch (Loshchilov and Hutter, "SGDR", ICLR 2017, equation 5, without restarts).

    >>> optimizer = torch.optim.SGD([torch.zeros(1)])
    >>> config = TrainingConfig(epochs=10, learning_rate=1.0, schedule="cosine", warm_up=0.2)
    >>> for epochs in (0.5, 1, 2, 6, 10):
    ...     set_rate(optimizer, config, epochs)
    ...     print(round(optimizer.param_groups[0]["lr"], 6))
    0.25
    0.5
    1.0
    0.5
    0.0
    """
    part, factor = epochs / config.epochs, 1.0
    if part < config.warm_up:
        factor = part / config.warm_up
    elif config.schedule == "cosine":
        factor = (1 + math.cos(math.pi * (part - config.warm_up) / (1 - config.warm_up))) / 2
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * factor


def _parameters(config: TrainingConfig, work: Task, model: CellNetwork) -> dict[str, Any]:
    """Collect the settings of a training, its network and its cells for the tracker."""
    return {
        **dataclasses.asdict(config),
        "parameters": count_parameters(model),
        "channels": ",".join(model.config.channels),
        "size_px": model.config.size_px,
        "training_cells": len(work.training),
        "validation_cells": len(work.validation),
        "torch": torch.__version__,
    }


def _check(cells: CellSet, network: Shape, config: TrainingConfig) -> None:
    if cells.channels != network.channels or cells.pixels.shape[-1] != network.size_px:
        raise TrainingError(
            "crops",
            found=f"channels {cells.channels} of {cells.pixels.shape[-1]} px",
            required=f"channels {network.channels} of {network.size_px} px",
            remedy="Build the network for the screen of these crops.",
        )
    started = getattr(config, "start", "none") != "none"  # then no epoch is needed
    least = min(config.epochs + started, config.batch_size, config.processes)
    if least < 1 or not 0 <= config.validation_fraction < 1 or not 0 <= config.memory_fraction <= 1:
        raise TrainingError(
            "encoder settings",
            found=f"epochs {config.epochs}, batch_size {config.batch_size}, processes {config.processes}, "
            f"validation_fraction {config.validation_fraction}, memory_fraction {config.memory_fraction}",
            required="epochs, batch_size and processes of at least 1, validation_fraction in [0, 1), "
            "memory_fraction in [0, 1]",
            remedy="Correct `encoder` in the spec.",
        )


def _require_finite(loss: float, epoch: int, config: TrainingConfig, choice: Choice) -> None:
    if math.isfinite(loss):
        return
    in_bf16 = choice.precision == "bf16"
    raise (PrecisionError if in_bf16 else TrainingError)(
        f"epoch {epoch}",
        found=f"a loss of {loss}{' in bf16' if in_bf16 else ''}",
        required="a finite loss",
        remedy=f"Lower encoder.learning_rate (now {config.learning_rate:g})"
        f"{', or set encoder.precision to float32' if in_bf16 else ''}. The checkpoint of epoch {epoch - 1} "
        "is kept, and no encoder is registered.",
    )
