"""Does the training loop keep the arithmetic busy: its pairs/s against the bare step on random tensors."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.nn.functional import mse_loss

from benchmarks.harness import Row
from pcip_core.models.inpainting import NetworkConfig, build_network
from pcip_core.training.cells import CellSet
from pcip_core.training.config import TrainingConfig
from pcip_core.training.device import choose_device, choose_precision
from pcip_core.training.loop import train
from pcip_core.training.tracker import Preview

DESCRIPTION = "training loop against the bare forward, backward and step"
_CHANNELS = ("nucleus", "microtubules", "protein")
_REPEATS = 5
_CASES = ((0.25, 16, 16), (1.0, 16, 4))  # width, batch, steps a repeat


class _Silent:
    """Keeps the throughput of the last epoch."""

    pairs_per_s = 0.0

    def start(self, params: Mapping[str, Any]) -> None:
        pass

    def batch(self, epoch: int, done: int, total: int) -> None:
        pass

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        self.pairs_per_s = metrics["pairs_per_s"]

    def preview(self, number: int, preview: Preview) -> None:
        pass


def run() -> list[Row]:
    """One row a width: medians of alternating repeats, both sides in one process."""
    return [_compared(*case) for case in _CASES]


def _compared(width: float, batch: int, steps: int) -> Row:
    network = NetworkConfig(_CHANNELS, _CHANNELS[:2], _CHANNELS[2:], width=width)
    pixels = np.random.default_rng(0).integers(0, 256, (batch * steps, 3, 64, 64), np.uint8)
    cells = CellSet(pixels, np.arange(len(pixels)) // 8, _CHANNELS)
    config = TrainingConfig(
        epochs=1, batch_size=batch, width=width, validation_fraction=0.0, preview_every=100
    )
    _bare(network, batch, 2)  # warm
    loops, bares = [], []
    for _ in range(_REPEATS):
        bares.append(_bare(network, batch, steps))
        listener = _Silent()
        train(cells, network, config, tracker=listener)
        loops.append(listener.pairs_per_s)
    ratios = [loop / bare for loop, bare in zip(loops, bares, strict=True)]
    ratio = statistics.median(ratios)
    return Row(
        what=f"training loop, width {width:g}, batch {batch}, 64 px, on {choose_device('auto')}",
        value=statistics.median(loops),
        unit="pairs/s",
        against="bare forward, backward and step on random tensors",
        against_value=statistics.median(bares),
        ratio=ratio,
        n=_REPEATS,
        spread=(min(ratios), max(ratios)),
        aim="at least 0.95 of the bare step",
        held=ratio >= 0.95,
    )


def _bare(network: NetworkConfig, batch: int, steps: int) -> float:
    """Pairs/s of nothing but the arithmetic."""
    device = choose_device("auto")
    precision = choose_precision("auto", device)
    model = build_network(network, 0).to(device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, betas=(0.5, 0.999))
    x, markers, truth = (
        torch.rand(batch, channels, 64, 64, device=device).to(memory_format=torch.channels_last)
        for channels in (3, 2, 1)
    )
    start = time.perf_counter()
    for _ in range(steps):
        with torch.autocast(device.type, precision, enabled=precision is not torch.float32):
            prediction = model(x, markers)
        loss = mse_loss(prediction.float(), truth)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return batch * steps / (time.perf_counter() - start)
