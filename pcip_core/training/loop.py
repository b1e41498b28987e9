"""The training loop of paired cell inpainting (paper, "Datasets, Preprocessing, and Training")."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import mse_loss

from pcip_core.errors import TrainingError
from pcip_core.models.inpainting import NetworkConfig, PairedCellInpainting, build_network, count_parameters
from pcip_core.pairs import draw_partners, hold_out
from pcip_core.training.batches import PairBatches, epoch_pairs
from pcip_core.training.cells import CellSet
from pcip_core.training.config import TrainingConfig
from pcip_core.training.device import choose_device, choose_precision
from pcip_core.training.tracker import Preview, ProgressTracker, Tracker

_PREVIEWED = 8
_CHECK_EVERY = 50  # steps between looks at the loss, each of which waits for the device


@dataclass(frozen=True)
class TrainedEncoder:
    """A trained network, in evaluation mode, with its history: one dict of metrics an epoch."""

    network: PairedCellInpainting
    history: list[dict[str, float]]
    device: torch.device


def train(
    cells: CellSet,
    network: NetworkConfig,
    config: TrainingConfig,
    *,
    tracker: Tracker | None = None,
    checkpoints: Path | None = None,
) -> TrainedEncoder:
    """Train a network on pairs of cells.

    Args:
        cells: the crops of all images.
        network: the network's shape; its channels are those of the cells.
        config: epochs, rates, seed, device.
        tracker: hears of parameters, epochs and previews; by default they are printed.
        checkpoints: a folder for the state after each epoch. When it holds one of the same training,
            training goes on from there and ends at the same weights (on a CPU bit for bit).

    Raises:
        TrainingError: channels differ, an image has one cell, the device is not there, or the loss
            is no longer finite.
    """
    _check(cells, network, config)
    tracker = tracker or ProgressTracker()
    device = choose_device(config.device)
    precision = choose_precision(config.precision, device)
    held = hold_out(cells.image, fraction=config.validation_fraction, seed=config.seed)
    training, validation = np.flatnonzero(~held), np.flatnonzero(held)
    batches = PairBatches(cells.pixels, network, device)

    model = build_network(network, config.seed).to(device)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate, betas=(config.beta1, 0.999))
    history = _resume(checkpoints, model, optimizer, config, network, device)
    tracker.start(
        {
            **dataclasses.asdict(config),
            "device_used": str(device),
            "precision_used": str(precision).removeprefix("torch."),
            "parameters": count_parameters(model),
            "channels": ",".join(network.channels),
            "size_px": network.size_px,
            "training_cells": len(training),
            "validation_cells": len(validation),
            "torch": torch.__version__,
        }
    )

    for epoch in range(len(history) + 1, config.epochs + 1):
        start = time.perf_counter()
        source, target, flips = epoch_pairs(cells.image[training], seed=config.seed, epoch=epoch)
        source, target = training[source], training[target]
        model.train()
        total = torch.zeros((), device=device, dtype=torch.float64)
        for step, first in enumerate(range(0, len(source), config.batch_size)):
            batch = slice(first, first + config.batch_size)
            x, markers, truth = batches.of(source[batch], target[batch], flips[batch])
            with torch.autocast(device.type, precision, enabled=precision is not torch.float32):
                prediction = model(x, markers)  # (B, protein, S, S)
            loss = mse_loss(prediction.float(), truth)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(x)
            if step % _CHECK_EVERY == 0:
                _require_finite(float(total), epoch, config)
            tracker.batch(epoch, min(batch.stop, len(source)), len(source))
        _require_finite(float(total), epoch, config)
        seconds = time.perf_counter() - start

        metrics = {"loss": float(total) / len(source)}
        if len(validation):
            metrics["validation_loss"] = _validate(model, batches, cells.image, validation, config, precision)
        metrics |= {"pairs_per_s": len(source) / seconds, "seconds": seconds}
        history.append({"epoch": epoch, **metrics})
        tracker.epoch(epoch, metrics)
        if epoch % config.preview_every == 0 or epoch == config.epochs:
            shown = validation if len(validation) else training
            tracker.preview(epoch, _preview(model, batches, cells, network, shown, config.seed))
        _save(checkpoints, model, optimizer, history, config, network)
    return TrainedEncoder(model.eval(), history, device)


def _check(cells: CellSet, network: NetworkConfig, config: TrainingConfig) -> None:
    if cells.channels != network.channels or cells.pixels.shape[-1] != network.size_px:
        raise TrainingError(
            "crops",
            found=f"channels {cells.channels} of {cells.pixels.shape[-1]} px",
            required=f"channels {network.channels} of {network.size_px} px",
            remedy="Build the network from the screen whose crops these are.",
        )
    if config.epochs < 1 or config.batch_size < 1 or not 0 <= config.validation_fraction < 1:
        raise TrainingError(
            "encoder settings",
            found=f"epochs {config.epochs}, batch_size {config.batch_size}, "
            f"validation_fraction {config.validation_fraction}",
            required="epochs and batch_size of 1 or more, validation_fraction in [0, 1)",
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


def _pairs_to_validate(image: np.ndarray, validation: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Held-out cells as targets, each with another cell of its image as the source; the same every epoch."""
    return draw_partners(image, seed=seed, epoch=0)[validation], validation


@torch.no_grad()
def _validate(
    model: PairedCellInpainting,
    batches: PairBatches,
    image: np.ndarray,
    validation: np.ndarray,
    config: TrainingConfig,
    precision: torch.dtype,
) -> float:
    """Mean squared error on cells that were never trained on."""
    model.eval()
    source, target = _pairs_to_validate(image, validation, config.seed)
    total = 0.0
    for first in range(0, len(source), config.batch_size):
        batch = slice(first, first + config.batch_size)
        x, markers, truth = batches.of(source[batch], target[batch])
        with torch.autocast(x.device.type, precision, enabled=precision is not torch.float32):
            prediction = model(x, markers)
        total += float(mse_loss(prediction.float(), truth)) * len(x)
    return total / len(source)


@torch.no_grad()
def _preview(
    model: PairedCellInpainting,
    batches: PairBatches,
    cells: CellSet,
    network: NetworkConfig,
    shown: np.ndarray,
    seed: int,
) -> Preview:
    model.eval()
    chosen = shown[np.linspace(0, len(shown) - 1, min(_PREVIEWED, len(shown))).astype(int)]
    source, target = _pairs_to_validate(cells.image, chosen, seed)
    x, markers, _ = batches.of(source, target)
    prediction = model(x, markers).float().cpu().numpy()
    truth = cells.pixels[target].astype(np.float32) / 255
    return Preview(x.cpu().numpy(), truth, prediction, network.channels, network.protein)


def _identity(config: TrainingConfig, network: NetworkConfig) -> str:
    """What must be equal for a checkpoint to be gone on from; more epochs may be asked for later."""
    same = dataclasses.replace(config, epochs=0, preview_every=0, device="", precision="")
    return f"{same} {network}"


def _save(
    folder: Path | None,
    model: PairedCellInpainting,
    optimizer: torch.optim.Optimizer,
    history: list[dict[str, float]],
    config: TrainingConfig,
    network: NetworkConfig,
) -> None:
    """Weights, optimizer and history, written beside and renamed."""
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "history": history,
        "identity": _identity(config, network),
    }
    beside = folder / f"last.{os.getpid()}.tmp"
    with beside.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(folder / "last.pt")


def _resume(
    folder: Path | None,
    model: PairedCellInpainting,
    optimizer: torch.optim.Optimizer,
    config: TrainingConfig,
    network: NetworkConfig,
    device: torch.device,
) -> list[dict[str, float]]:
    """Load the last checkpoint into model and optimizer; the history so far, empty when there is none."""
    path = folder / "last.pt" if folder else None
    if path is None or not path.is_file():
        return []
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    if state["identity"] != _identity(config, network):
        raise TrainingError(
            path,
            found="the checkpoint of a training with other settings",
            required=_identity(config, network),
            remedy="Train into another folder, or remove this one.",
        )
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return list(state["history"])[: config.epochs]
