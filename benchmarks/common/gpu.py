"""What a GPU makes of training and extraction, as one JSON, in at most ten minutes: `benchmarks/gpu.sh`.

It needs torch, numpy and safetensors only, so that it runs on a bare GPU machine from the checkout. A part for which
too little time is left is not run, and says so. With `--cpu`, it tries all parts at tiny sizes on the processor; its
figures then mean nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common.harness import Row
from benchmarks.speed import training
from pcip_core.crops.pixels import ShardedPixels
from pcip_core.models.inference import extract_features
from pcip_core.models.inpainting import NetworkConfig, build_network
from pcip_core.training.cells import CellSet

LIMIT_S = 570  # the JSON is printed after these in any case
_PIECE = 16  # files of streamed crops


@dataclass(frozen=True)
class Sizes:
    """The sizes of all parts.

    Attributes:
        shape: the network.
        batches: pairs per step of the bare step; the loop runs with the fastest.
        steps: steps of a measurement.
        repeats: of the loop and the bare step, in turns.
        cells: of one epoch from memory and from files.
        extracted: cells per measurement of extraction.
        extraction_batches: cells per batch of extraction.
    """

    shape: NetworkConfig
    batches: tuple[int, ...]
    steps: int
    repeats: int
    cells: int
    extracted: int
    extraction_batches: tuple[int, ...]


FULL = Sizes(
    training.network(("cytosol", "protein"), 1.0), (256, 1024, 2048), 30, 3, 200_000, 32_768, (64, 256, 1024)
)
TINY = Sizes(training.network(("cytosol", "protein"), 0.05, 16), (4, 8), 2, 2, 48, 16, (4, 8))


class Report:
    """The rows so far, and the time that is left. Whatever hangs, the report is printed before the limit."""

    def __init__(self, sizes: Sizes, limit_s: float = LIMIT_S) -> None:
        self.sizes, self.rows = sizes, list[Row]()
        self._limit, self._start, self._printed = limit_s, time.monotonic(), threading.Lock()
        self._watch = threading.Timer(limit_s, self._end)
        self._watch.daemon = True
        self._watch.start()

    def part(self, name: str, seconds: float, measure: Callable[[Sizes], list[Row]]) -> None:
        """Run one part if as many seconds are left; a part that fails says why, and the others run."""
        left = self._limit - (time.monotonic() - self._start)
        print(f"{name}: {left:.0f} s left", file=sys.stderr, flush=True)
        if left < seconds:
            self.rows.append(Row(f"{name}: not run: {left:.0f} s left, about {seconds:.0f} s needed", None))
            return
        try:
            self.rows += measure(self.sizes)
        except Exception as error:
            text = str(error).strip().splitlines()
            self.rows.append(Row(f"{name}: failed: {type(error).__name__}: {text[0] if text else ''}", None))

    def print(self) -> None:
        """Print the JSON, once. Nothing ends the process after that."""
        self._watch.cancel()
        if not self._printed.acquire(blocking=False):
            return
        record = {
            "benchmark": "gpu",
            "machine": _machine(),
            "commit": _commit(),
            "torch": torch.__version__,
            "seconds": round(time.monotonic() - self._start),
            "rows": [dataclasses.asdict(row) for row in self.rows],
        }
        print(json.dumps(record, indent=1), flush=True)

    def _end(self) -> None:
        self.rows.append(Row(f"ended after {self._limit:.0f} s: the part that then ran is missing", None))
        self.print()
        os._exit(0)


def measure_all(report: Report) -> None:
    """Run all parts, the most important first."""
    report.part("bare step against the peak", 60, bare_steps)
    report.part("loop against the bare step", 90, loop)
    report.part("extraction", 30, extraction)
    report.part("one epoch from memory and from files", 150, epochs)
    report.part("two processes", 90, two_processes)


def bare_steps(sizes: Sizes) -> list[Row]:
    """The step in bf16 and in float32 by batch, and the best as a share of the peak."""
    rows, fastest = [], 0.0
    for precision in ("bf16", "float32"):
        for batch in sizes.batches if precision == "bf16" else sizes.batches[-1:]:
            training.bare(sizes.shape, batch, 3, precision)  # warm
            speed = training.bare(sizes.shape, batch, sizes.steps, precision)
            rows.append(Row(f"bare step, {precision}, batch {batch}", speed, "pairs/s", n=sizes.steps))
            fastest = max(fastest, speed if precision == "bf16" else 0.0)
    return [*rows, training.share_of_peak("bare step", _device(), fastest, training.operations(sizes.shape))]


def loop(sizes: Sizes) -> list[Row]:
    """The whole training loop against the step without data, in turns; its share of the peak; all epochs."""
    shape, batch = sizes.shape, sizes.batches[1]
    precision = training.precision_here()
    config = training.settings(shape, batch, precision)
    cells = training.drawn(shape, batch * sizes.steps)
    training.speed(cells, shape, config)  # warm
    both = training.compared(
        lambda: training.speed(cells, shape, config),
        lambda: training.bare(shape, batch, sizes.steps, precision),
        sizes.repeats,
    )
    speed = statistics.median(both[0])
    what = f"training loop, {precision}, width {shape.width:g}, batch {batch}, on {_device()}"
    return [
        training.against(what, both, "bare step, no data", 0.97),
        training.share_of_peak(what, _device(), speed, training.operations(shape)),
        training.all_epochs(what, speed, len(cells.image)),
    ]


def extraction(sizes: Sizes) -> list[Row]:
    """All five layers, by precision and batch; the crops lie in memory."""
    network, device = build_network(sizes.shape, 0), training.choose_device("auto")
    pixels = np.asarray(training.drawn(sizes.shape, sizes.extracted).pixels)
    rows = []
    for precision in ("float32", "bf16"):
        for batch in sizes.extraction_batches:
            how: dict[str, Any] = {"batch_size": batch, "device": device, "precision": precision}
            extract_features(network, pixels[: 2 * batch], **how)  # warm
            start = time.perf_counter()
            extract_features(network, pixels, **how)
            speed = len(pixels) / (time.perf_counter() - start)
            rows.append(Row(f"extraction, {precision}, batch {batch}", speed, "cells/s", n=len(pixels)))
    return rows


def epochs(sizes: Sizes) -> list[Row]:
    """One epoch of many cells from memory, and from files."""
    shape = sizes.shape
    cells = training.drawn(shape, sizes.cells)
    config = training.settings(shape, sizes.batches[1], training.precision_here())
    held = training.speed(cells, shape, config)
    with tempfile.TemporaryDirectory() as folder:
        files = training.in_files(np.asarray(cells.pixels), Path(folder), _PIECE)
        training.forget(files)
        streamed = CellSet(ShardedPixels(files), cells.image, cells.channels)
        speed = training.speed(streamed, shape, dataclasses.replace(config, memory_fraction=0.0))
    what = f"one epoch of {sizes.cells:,} cells"
    return [
        Row(f"{what}, crops in memory", held, "pairs/s", n=1),
        Row(f"{what}, crops from files", speed, "pairs/s", "crops in memory", held, speed / held, n=1,
            aim=training.aim_of(0.9), held=speed >= 0.9 * held),
    ]  # fmt: skip


def two_processes(sizes: Sizes) -> list[Row]:
    """Two processes, one GPU each, against one process."""
    cards = torch.cuda.device_count()
    if torch.cuda.is_available() and cards < 2:
        return [Row(f"two processes: not run: {cards} GPU", None)]
    shape, batch = sizes.shape, sizes.batches[1]
    cells = training.drawn(shape, batch * sizes.steps)
    config = training.settings(shape, batch, training.precision_here())
    one = training.speed(cells, shape, config)
    two = training.speed(cells, shape, dataclasses.replace(config, processes=2))
    what = f"training in two processes, batch {batch} shared by both"
    return [Row(what, two, "pairs/s", "one process", one, two / one, n=1)]


def _device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "the processor"


def _machine() -> str:
    cards = f"{torch.cuda.device_count()} x {_device()}" if torch.cuda.is_available() else "no GPU"
    return f"{platform.machine()}, {os.cpu_count()} cores, {cards}, Python {platform.python_version()}"


def _commit() -> str | None:
    """The commit of the checkout; None without git."""
    try:
        command = ["git", "rev-parse", "HEAD"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def main(arguments: list[str] | None = None) -> int:
    """Print the report; without a GPU, say so and run nothing, unless `--cpu` asks for a try."""
    parser = argparse.ArgumentParser(prog="benchmarks/gpu.sh", description=__doc__)
    parser.add_argument("--cpu", action="store_true", help="try all parts at tiny sizes on the processor")
    asked = parser.parse_args(arguments)
    if not torch.cuda.is_available() and not asked.cpu:
        print(
            "No GPU here that torch sees: nothing was run. --cpu tries all parts at tiny sizes.",
            file=sys.stderr,
        )
        return 1
    report = Report(TINY if asked.cpu else FULL)
    measure_all(report)
    report.print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
