"""Cost of crops of 128 and 256 px by networks with further stages, against crops of 64 px by the paper's stages."""

from __future__ import annotations

import dataclasses
import statistics
import time

import torch

from benchmarks.common.harness import Row
from benchmarks.speed.training import bare, precision_here
from pcip_core.models.inpainting import NetworkConfig, build_network
from pcip_core.models.precision import computing_in, dtype_of, with_weights_in
from pcip_core.training.device import choose_device

DESCRIPTION = "cost of crops of 128 and 256 px with further stages, against crops of 64 px"
SECONDS = 60
_CHANNELS = ("nucleus", "microtubules", "protein")
_PAPER = NetworkConfig(_CHANNELS, _CHANNELS[:2], _CHANNELS[2:])
_CASES = ((6, 128, 1.5), (7, 256, 2.0), (5, 128, None))  # stages, px, most times the cost of the paper's
_REPEATS = 3
_WIDTHS = {0.25: 4, 1.0: 1}  # width -> batches a repeat
_BATCH = 8


def run() -> list[Row]:
    """A step of training and the extraction of features at two widths; all sizes in turns."""
    precision = precision_here()
    return [row for width, steps in _WIDTHS.items() for row in _costs(width, steps, precision)]


def _costs(width: float, steps: int, precision: str) -> list[Row]:
    paper = dataclasses.replace(_PAPER, width=width)
    shapes = [paper] + [dataclasses.replace(paper, stages=stages, size_px=size) for stages, size, _ in _CASES]
    ways = {
        "a step of training, per pair": lambda shape: bare(shape, _BATCH, steps, precision),
        "features of all layers, per cell": lambda shape: _extracted(shape, steps, precision),
    }
    rows = []
    for what, speed in ways.items():
        for shape in shapes:
            speed(shape)  # warm
        turns = [[1e3 / speed(shape) for shape in shapes] for _ in range(_REPEATS)]  # ms
        medians = [statistics.median(values) for values in zip(*turns, strict=True)]
        for number, (stages, size, most) in enumerate(_CASES, 1):
            ratios = [turn[number] / turn[0] for turn in turns]
            ratio = statistics.median(ratios)
            rows.append(
                Row(
                    what=f"{what}: {size} px, {stages} stages, width {width:g}, {precision}",
                    value=medians[number],
                    unit="ms",
                    against="64 px, 5 stages",
                    against_value=medians[0],
                    ratio=ratio,
                    n=_REPEATS,
                    spread=(min(ratios), max(ratios)),
                    aim=None if most is None else f"at most {most:g} times",
                    held=None if most is None else ratio <= most,
                )
            )
    return rows


@torch.inference_mode()
def _extracted(shape: NetworkConfig, batches: int, precision: str) -> float:
    """Cells/s of the activations of all layers."""
    device, dtype = choose_device("auto"), dtype_of(precision)
    network = build_network(shape, 0).to(device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    network = with_weights_in(network, dtype)
    x = torch.rand(_BATCH, len(shape.channels), shape.size_px, shape.size_px, device=device)
    x = x.to(memory_format=torch.channels_last)
    start = time.perf_counter()
    with computing_in(dtype, device):
        for _ in range(batches):
            for _activation in network.activations(x):
                pass
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return _BATCH * batches / (time.perf_counter() - start)
