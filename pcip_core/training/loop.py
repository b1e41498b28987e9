"""The one training loop, of every network (paper, "Datasets, Preprocessing, and Training")."""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from pcip_core.errors import TrainingError
from pcip_core.models.network import CellNetwork, Shape, count_parameters
from pcip_core.spec.training import TrainingConfig
from pcip_core.training.cells import CellSet
from pcip_core.training.checkpoints import Checkpoints
from pcip_core.training.device import choose_device, choose_precision
from pcip_core.training.processes import Processes, join
from pcip_core.training.starting import run_in_processes
from pcip_core.training.task import Task, TaskKind, ahead, output_of, share_of_loss
from pcip_core.training.tasks.inpainting import Inpainting
from pcip_core.training.tracker import ProgressTracker, SilentTracker, Tracker

_CHECK_EVERY = 50  # steps between looks at the loss, each of which waits for the device


@dataclass(frozen=True)
class TrainedEncoder:
    """A trained network, in evaluation mode, with its history: one dict of metrics per epoch."""

    network: Any  # the CellNetwork of the task: inpainting's by default
    history: list[dict[str, float]]
    device: torch.device


def train(
    cells: CellSet,
    network: Shape,
    config: TrainingConfig,
    *,
    task: TaskKind = Inpainting,
    tracker: Tracker | None = None,
    checkpoints: Path | None = None,
) -> TrainedEncoder:
    """Train a network.

    Args:
        cells: the crops of all images.
        network: the network's shape, of the kind that the task wants; its channels are those of the cells.
        config: epochs, rates, seed, device.
        task: `Inpainting`, `Autoencoding`, or a supervised task (see `train_supervised`).
        tracker: receives parameters, epochs and previews; by default they are printed. Of several processes
            only the first reports.
        checkpoints: a folder for the state after each epoch. When it holds one of the same training,
            training is resumed there and ends at the same weights (on a CPU bit for bit).

    `config.processes` are started here; in processes that torchrun started, call this in each.

    Raises:
        TrainingError: channels differ, the device is not there, the loss is no longer finite, the task
            cannot use the cells (inpainting: an image has one cell), or one of several processes failed.
    """
    _check(cells, network, config)
    tracker = tracker or ProgressTracker()
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
    """The training as this process does it, alone or as one of several; arguments are those of `train`."""
    device = choose_device(config.device, number=processes.local if processes.size > 1 else None)
    precision = choose_precision(config.precision, device)
    work = task(cells, network, config, device)
    model = work.build().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    processes.share_norms(model)
    optimizer = build_optimizer(model, config)
    states = Checkpoints(checkpoints, work, network, config)
    history = states.resume(model, optimizer, device)[: config.epochs]
    names = {"device_used": str(device), "precision_used": str(precision).removeprefix("torch.")}
    tracker.start({**_parameters(config, work, model), **names, "processes": processes.size})

    for epoch in range(len(history) + 1, config.epochs + 1):
        start = time.perf_counter()
        model.train()
        total, done = torch.zeros((), device=device, dtype=torch.float64), 0
        for step, batch in enumerate(ahead(work.batches(epoch, processes), streamed=work.streamed)):
            loss = share_of_loss(work, output_of(model, batch, precision), batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            processes.add_gradients(model)
            optimizer.step()
            total += loss.detach() * batch.rows
            done += batch.rows
            if step % _CHECK_EVERY == 0:
                _require_finite(float(processes.sum(total)), epoch, config)
            tracker.batch(epoch, done, len(work.training))
        total = processes.sum(total)
        _require_finite(float(total), epoch, config)
        seconds = time.perf_counter() - start

        model.eval()
        with torch.no_grad():
            metrics = {"loss": float(total) / done, **work.validate(model, precision, processes)}
            metrics |= {f"{work.unit}_per_s": done / seconds, "seconds": seconds}
            history.append({"epoch": epoch, **metrics})
            tracker.epoch(epoch, metrics)
            previewed = epoch % config.preview_every == 0 or epoch == config.epochs
            if previewed and processes.rank == 0 and (preview := work.preview(model)) is not None:
                tracker.preview(epoch, preview)
        if processes.rank == 0:
            states.save(model, optimizer, history)

    trained = work.build().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    trained.load_state_dict(model.state_dict())  # a plain network, whatever norms it was trained with
    return TrainedEncoder(trained.eval(), history, device)


def build_optimizer(model: torch.nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Adam, as the paper and its authors set it."""
    return torch.optim.Adam(model.parameters(), lr=config.learning_rate, betas=(config.beta1, 0.999))


def _parameters(config: TrainingConfig, work: Task, model: CellNetwork) -> dict[str, Any]:
    """The settings of a training, its network and its cells, for the tracker."""
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
            remedy="Build the network from the screen whose crops these are.",
        )
    least = min(config.epochs, config.batch_size, config.processes)
    if least < 1 or not 0 <= config.validation_fraction < 1 or not 0 <= config.memory_fraction <= 1:
        raise TrainingError(
            "encoder settings",
            found=f"epochs {config.epochs}, batch_size {config.batch_size}, processes {config.processes}, "
            f"validation_fraction {config.validation_fraction}, memory_fraction {config.memory_fraction}",
            required="epochs, batch_size and processes of 1 or more, validation_fraction in [0, 1), "
            "memory_fraction in [0, 1]",
            remedy="Correct `encoder` in the spec.",
        )


def _require_finite(loss: float, epoch: int, config: TrainingConfig) -> None:
    if not math.isfinite(loss):
        raise TrainingError(
            f"epoch {epoch}",
            found=f"a loss of {loss}",
            required="a finite loss",
            remedy=f"Lower encoder.learning_rate (now {config.learning_rate:g}); the state after epoch "
            f"{epoch - 1} is kept, and no encoder is registered.",
        )
