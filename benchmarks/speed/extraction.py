"""Speed of feature extraction against the bare encoder, and against the authors' script and network."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.common.authors import SCRIPT, alone, authors_missing, extracted
from benchmarks.common.harness import Row
from benchmarks.speed.training import precision_here
from pcip_core.models.inference import extract_features
from pcip_core.models.inpainting import NetworkConfig, PairedCellInpainting, build_network
from pcip_core.models.precision import computing_in, dtype_of, with_weights_in
from pcip_core.training.device import choose_device

DESCRIPTION = "extraction of all five layers against the bare encoder and the authors' script and network"
SECONDS = 45  # two minutes with the authors' code
_CHANNELS = ("nucleus", "microtubules", "protein")
_REPEATS = 5
_BATCHES = (16, 64)  # of the bare encoder, which is given the better of both
_CASES = ((0.25, 1024), (1.0, 128))  # width, cells a repeat
_BESIDE = 128  # cells, beside the authors' code
_THEIRS: tuple[tuple[str, str | None, float | None], ...] = (
    ("the authors' script, for conv3 alone", None, None),
    ("the authors' script, which takes one layer, run for each of the five", ">= 8 times", 8.0),
    ("the authors' network, five layers pooled, in batches of 32", None, None),
)
"""What of theirs is measured, in the order in which it is told, and the aim beside it.

In float32, their network in batches and ours do the same arithmetic in the same library, so that neither can be much
faster: the aim is for the precision that pcip takes.
"""


def run() -> list[Row]:
    """Against the bare encoder at two widths, in one process; against the authors' at full width, in turns."""
    precision = precision_here()
    cases = [(*case, name) for case in _CASES for name in dict.fromkeys(("float32", precision))]
    return [*(_compared(*case) for case in cases), *_beside_the_authors(precision)]


def _compared(width: float, cells: int, precision: str) -> Row:
    network = build_network(NetworkConfig(_CHANNELS, _CHANNELS[:2], _CHANNELS[2:], width=width), 0)
    device = choose_device("auto")
    pixels = np.random.default_rng(0).integers(0, 256, (cells, 3, 64, 64), np.uint8)
    _bare(network, 64, 64, precision)  # warm
    ours: list[float] = []
    by_batch: dict[int, list[float]] = {batch: [] for batch in _BATCHES}
    for _ in range(_REPEATS):
        for batch, speeds in by_batch.items():
            speeds.append(_bare(network, cells, batch, precision))
        start = time.perf_counter()
        extract_features(network, pixels, device=device, precision=precision)
        ours.append(cells / (time.perf_counter() - start))
    bares = max(by_batch.values(), key=statistics.median)
    ratios = [one / bare for one, bare in zip(ours, bares, strict=True)]
    ratio = statistics.median(ratios)
    is_judged = (
        precision == "float32" or width == 1
    )  # in bf16 a narrow encoder is as fast as reading and maxima allow
    return Row(
        what=f"extraction of conv1 to conv5, width {width:g}, 64 px, {_told(precision)}, on {device}",
        value=statistics.median(ours),
        unit="cells/s",
        against="bare forward of the source encoder on random tensors, the better of batches of 16 and of 64",
        against_value=statistics.median(bares),
        ratio=ratio,
        n=_REPEATS,
        spread=(min(ratios), max(ratios)),
        aim="at least 0.95 of the bare encoder" if is_judged else None,
        held=ratio >= 0.95 if is_judged else None,
    )


@torch.inference_mode()
def _bare(network: PairedCellInpainting, cells: int, batch: int, precision: str) -> float:
    """Cells/s of nothing but the arithmetic."""
    device, dtype = choose_device("auto"), dtype_of(precision)
    encoder = network.source.to(device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    encoder = with_weights_in(encoder, dtype)
    x = torch.rand(batch, 3, 64, 64, device=device).to(memory_format=torch.channels_last)
    start = time.perf_counter()
    with computing_in(dtype, device):
        for _ in range(cells // batch):
            encoder(x)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return cells / (time.perf_counter() - start)


def _beside_the_authors(precision: str) -> list[Row]:
    """Their script reads three TIFFs a cell and takes one layer, a cell at a time; theirs in batches is the network.

    Theirs is in float32. Ours is in float32, and beside their network also in the precision that pcip takes here.
    """
    what = "extraction of conv1 to conv5, width 1, 64 px"
    why = authors_missing(SCRIPT)
    device = choose_device("auto")
    if device.type != "cpu":
        why = "theirs is run on the processor, and ours is on a GPU here"
    if why:
        return [
            Row(f"{what}, float32, against {told}: not run: {why}", None, aim=aim) for told, aim, _ in _THEIRS
        ]
    network = build_network(NetworkConfig(_CHANNELS, _CHANNELS[:2], _CHANNELS[2:]), 0)
    ours: list[float] = []
    fastest: list[float] = []
    theirs = []
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(_REPEATS):
            pixels = np.random.default_rng(repeat).integers(0, 256, (_BESIDE, 3, 64, 64), np.uint8)
            np.save(Path(folder) / "pixels.npy", pixels)
            ours.append(_cells_per_second(network, pixels, "float32"))
            fastest.append(_cells_per_second(network, pixels, precision))
            *speeds, backend = alone(extracted, folder, torch.get_num_threads())[-4:]
            theirs.append([float(speed) for speed in speeds])
    rows = []
    sides = [(*theirs_is, "float32", ours) for theirs_is in _THEIRS]
    sides.append((_THEIRS[-1][0], ">= 1.5 times", 1.5, _told(precision), fastest))
    columns = [*zip(*theirs, strict=True)]
    for (told, aim, times, how, speeds), others in zip(sides, [*columns, columns[-1]], strict=True):
        ratios = [one / other for one, other in zip(speeds, others, strict=True)]
        ratio = statistics.median(ratios)
        rows.append(
            Row(f"{what}, {how}, {torch.get_num_threads()} threads", statistics.median(speeds), "cells/s",
                against=f"{told}, float32, on Keras with {backend}", against_value=statistics.median(others),
                ratio=ratio, n=_REPEATS, spread=(min(ratios), max(ratios)), aim=aim,
                held=None if times is None else ratio >= times)
        )  # fmt: skip
    return rows


def _told(precision: str) -> str:
    return f"{precision}, which pcip takes here" if precision == precision_here() else precision


def _cells_per_second(network: PairedCellInpainting, pixels: np.ndarray, precision: str) -> float:
    """The speed on all cells, after a few to warm up."""
    extract_features(network, pixels[:64], precision=precision)
    start = time.perf_counter()
    extract_features(network, pixels, precision=precision)
    return len(pixels) / (time.perf_counter() - start)
