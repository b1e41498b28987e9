"""Does extraction keep the arithmetic busy: against the bare encoder, and against the authors' script and network."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.authors import SCRIPT, alone, authors_missing, extracted
from benchmarks.harness import Row
from pcip_core.features.deep import extract_features
from pcip_core.models.inpainting import NetworkConfig, PairedCellInpainting, build_network
from pcip_core.training.device import choose_device

DESCRIPTION = (
    "extraction of all five layers against the bare encoder; the authors' script and network beside it"
)
SECONDS = 60  # two minutes with the authors' code
_CHANNELS = ("nucleus", "microtubules", "protein")
_REPEATS, _BATCH = 5, 64
_CASES = ((0.25, 1024), (1.0, 128))  # width, cells a repeat
_BESIDE = 128  # cells, beside the authors' code


def run() -> list[Row]:
    """Against the bare encoder at two widths, in one process; against the authors' at full width, in turns."""
    return [*(_compared(*case) for case in _CASES), *_beside_the_authors()]


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
        aim="at least 0.95 of the bare encoder",
        held=ratio >= 0.95,
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


def _beside_the_authors() -> list[Row]:
    """Their script reads three TIFFs a cell and takes one layer, a cell at a time; theirs in batches is the network."""
    what = "extraction of conv1 to conv5, width 1, 64 px, against the authors' code"
    aims = {"script": (">= 8 times", 8.0), "network": (">= 1.5 times", 1.5)}
    why = authors_missing(SCRIPT)
    device = choose_device("auto")
    if device.type != "cpu":
        why = "theirs is run on the processor, and ours is on a GPU here"
    if why:
        return [Row(f"{what}; {side}: not run: {why}", None, aim=aim) for side, (aim, _) in aims.items()]
    network = build_network(NetworkConfig(_CHANNELS, _CHANNELS[:2], _CHANNELS[2:]), 0)
    ours, theirs = [], {"script": [], "network": []}  # type: ignore[var-annotated]
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(_REPEATS):
            pixels = np.random.default_rng(repeat).integers(0, 256, (_BESIDE, 3, 64, 64), np.uint8)
            np.save(Path(folder) / "pixels.npy", pixels)
            extract_features(network, pixels[:_BATCH], batch_size=_BATCH)  # warm
            start = time.perf_counter()
            extract_features(network, pixels, batch_size=_BATCH)
            ours.append(_BESIDE / (time.perf_counter() - start))
            script, batches, backend = alone(extracted, folder, torch.get_num_threads())[-3:]
            theirs["script"].append(float(script))
            theirs["network"].append(float(batches))
    told = {
        "script": f"the authors' script, one layer, on Keras with {backend}",
        "network": f"the authors' network, five layers pooled, in batches of 32, on Keras with {backend}",
    }
    rows = []
    for side, (aim, times) in aims.items():
        ratios = [one / other for one, other in zip(ours, theirs[side], strict=True)]
        ratio = statistics.median(ratios)
        rows.append(
            Row(f"extraction of conv1 to conv5, width 1, 64 px, {torch.get_num_threads()} threads",
                statistics.median(ours), "cells/s", against=told[side],
                against_value=statistics.median(theirs[side]), ratio=ratio, n=_REPEATS,
                spread=(min(ratios), max(ratios)), aim=aim, held=ratio >= times)
        )  # fmt: skip
    return rows
