"""Does extraction keep the arithmetic busy: its cells/s against the bare encoder on random tensors."""

from __future__ import annotations

import statistics
import time

import numpy as np
import torch

from benchmarks.harness import Row
from pcip_core.features.deep import extract_features
from pcip_core.models.inpainting import NetworkConfig, PairedCellInpainting, build_network
from pcip_core.training.device import choose_device

DESCRIPTION = "extraction of all five layers against the bare encoder"
_CHANNELS = ("nucleus", "microtubules", "protein")
_REPEATS, _BATCH = 5, 64
_CASES = ((0.25, 1024), (1.0, 128))  # width, cells a repeat


def run() -> list[Row]:
    """One row a width: medians of alternating repeats, both sides in one process."""
    return [_compared(*case) for case in _CASES]


def _compared(width: float, cells: int) -> Row:
    network = build_network(NetworkConfig(_CHANNELS, _CHANNELS[:2], _CHANNELS[2:], width=width), 0)
    device = choose_device("auto")
    pixels = np.random.default_rng(0).integers(0, 256, (cells, 3, 64, 64), np.uint8)
    _bare(network, _BATCH)  # warm
    ours, bares = [], []
    for _ in range(_REPEATS):
        bares.append(_bare(network, cells))
        start = time.perf_counter()
        extract_features(network, pixels, batch_size=_BATCH, device=device)
        ours.append(cells / (time.perf_counter() - start))
    ratios = [one / bare for one, bare in zip(ours, bares, strict=True)]
    ratio = statistics.median(ratios)
    return Row(
        what=f"extraction of conv1 to conv5, width {width:g}, 64 px, on {device}",
        value=statistics.median(ours),
        unit="cells/s",
        against="bare forward of the source encoder on random tensors",
        against_value=statistics.median(bares),
        ratio=ratio,
        n=_REPEATS,
        spread=(min(ratios), max(ratios)),
        aim="at least 0.90 of the bare encoder",
        held=ratio >= 0.90,
    )


@torch.inference_mode()
def _bare(network: PairedCellInpainting, cells: int) -> float:
    """Cells/s of nothing but the arithmetic."""
    device = choose_device("auto")
    encoder = network.source.to(device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    x = torch.rand(_BATCH, 3, 64, 64, device=device).to(memory_format=torch.channels_last)
    start = time.perf_counter()
    for _ in range(cells // _BATCH):
        encoder(x)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return cells / (time.perf_counter() - start)
