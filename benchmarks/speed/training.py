"""Speed of training: the loop against the bare step, crops from files, several processes, a GPU, the authors' script.

On a machine without a GPU, the rows of the GPU say so; all others are measured on the CPU.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.common.authors import TRAINING, alone, authors_missing, trained, write_crops
from benchmarks.common.harness import Row
from pcip_core.crops.pixels import ShardedPixels
from pcip_core.models.inpainting import NetworkConfig, build_network
from pcip_core.models.precision import dtype_of
from pcip_core.spec.training import TrainingConfig
from pcip_core.training.cells import CellSet
from pcip_core.training.device import choose_device
from pcip_core.training.loop import build_optimizer, train
from pcip_core.training.precision import multiplies_bf16
from pcip_core.training.processes import ALONE, Processes
from pcip_core.training.task import Batch, output_of, share_of_loss
from pcip_core.training.tasks.inpainting import Inpainting
from pcip_core.training.tracker import SilentTracker
from pcip_core.words import many

DESCRIPTION = (
    "training: loop against bare step, crops from files, two processes, size, GPU, the authors' script"
)
SECONDS = 160  # seven minutes with the authors' code
YEAST = 1_165_713  # cells of the paper's largest yeast screen
EPOCHS = 30
PEAK = {"H100": 989e12, "H200": 989e12}  # dense bf16 operations a second, NVIDIA's data sheets (SXM)
_HUMAN = ("nucleus", "microtubules", "protein")
_REPEATS = 5
_ALIKE = 3.0  # two differences that are both of rounding


def run() -> list[Row]:
    """Everything; the last rows need a GPU."""
    return [
        loop_against_bare(network(_HUMAN, 1.0), batch=16, steps=4),
        loop_against_bare(network(_HUMAN, 0.25), batch=16, steps=16),
        bf16_against_float32(network(_HUMAN, 0.25), batch=16, steps=16),
        streamed_against_held(network(_HUMAN, 0.25), batch=16, steps=16),
        two_processes_against_one(network(_HUMAN, 0.25), cells=72, epochs=3),
        size_on_disk(fields=48),
        *beside_the_authors(batch=16, steps=6),
        *on_gpu(network(("cytosol", "protein"), 1.0), batch=1024, cells=204_800),
    ]


def network(channels: tuple[str, ...], width: float, size_px: int = 64) -> NetworkConfig:
    """Inpainting's network for these channels, the protein last."""
    return NetworkConfig(channels, channels[:-1], channels[-1:], size_px, width)


def loop_against_bare(shape: NetworkConfig, *, batch: int, steps: int, repeats: int = _REPEATS) -> Row:
    """`train` against nothing but the arithmetic: alternating repeats, both sides in one process."""
    precision = precision_here()
    cells, config = drawn(shape, batch * steps), settings(shape, batch, precision)
    bare(shape, batch, 2, precision)  # warm
    loop, alone = compared(
        lambda: speed(cells, shape, config), lambda: bare(shape, batch, steps, precision), repeats
    )
    return against(
        f"training loop, width {shape.width:g}, batch {batch}, {shape.size_px} px, on {choose_device('auto')}, "
        f"{precision}, {many(torch.get_num_threads(), 'thread')}",
        (loop, alone),
        "bare forward, backward and step on random tensors",
        0.97,
    )


def bf16_against_float32(shape: NetworkConfig, *, batch: int, steps: int, repeats: int = _REPEATS) -> Row:
    """The loop in either precision; how they compare depends on the processor."""
    cells = drawn(shape, batch * steps)
    short, full = (settings(shape, batch, name) for name in ("bf16", "float32"))
    speed(cells, shape, short)  # warm
    return against(
        f"training loop in bf16, width {shape.width:g}, batch {batch}, on {choose_device('auto')}",
        compared(lambda: speed(cells, shape, short), lambda: speed(cells, shape, full), repeats),
        "the same in float32",
        None,
    )


def streamed_against_held(shape: NetworkConfig, *, batch: int, steps: int, repeats: int = _REPEATS) -> Row:
    """Crops read batch by batch from 16 files, which the system is told to forget before, against RAM or GPU."""
    cells, config = drawn(shape, batch * steps), settings(shape, batch, precision_here())
    with tempfile.TemporaryDirectory() as folder:
        files = in_files(np.asarray(cells.pixels), Path(folder), 16)

        def streamed() -> float:
            forget(files)
            there = CellSet(ShardedPixels(files), cells.image, cells.channels)
            return speed(there, shape, dataclasses.replace(config, memory_fraction=0.0))

        streamed()  # warm
        values = compared(streamed, lambda: speed(cells, shape, config), repeats)
    return against(
        f"training from files, width {shape.width:g}, batch {batch}, on {choose_device('auto')}",
        values,
        "crops in memory",
        0.9,
    )


def two_processes_against_one(shape: NetworkConfig, *, cells: int, epochs: int) -> Row:
    """Largest relative difference of an epoch's losses; beside it, what rounding alone makes of one process.

    That is seen by giving it the rows of each batch in another order, of which the arithmetic knows nothing.
    """
    given, config = drawn(shape, cells), dataclasses.replace(settings(shape, 16), epochs=epochs)
    config = dataclasses.replace(config, device="cpu", validation_fraction=0.2)
    two = dataclasses.replace(config, processes=2)
    one, other, *turned = (
        train(given, shape, how, task=task, tracker=SilentTracker()).history
        for how, task in ((config, Inpainting), (two, Inpainting), (config, _Reversed), (config, _Halved))
    )
    value, noise = largest_difference(one, other), max(largest_difference(one, each) for each in turned)
    return Row(
        what=f"two processes (gloo, CPU) against one, losses of {epochs} epochs, width {shape.width:g}",
        value=value,
        unit="largest relative difference",
        against="one process, the rows of each batch in two other orders",
        against_value=noise,
        ratio=value / noise if noise else None,
        n=epochs,
        aim=f"at most {_ALIKE:g} times that",
        held=value <= _ALIKE * noise,
    )


def size_on_disk(*, fields: int) -> Row:
    """What the store would hold of the paper's largest screen, from the bytes a cell of a simulated one."""
    from benchmarks.speed.cropping import bytes_a_cell  # needs all packages of pcip

    with tempfile.TemporaryDirectory() as folder:
        each, cells = bytes_a_cell(Path(folder), fields)
    value = each * YEAST / 1e9
    return Row(
        what=f"crops, cells table and quarantine of {YEAST:,} yeast cells (2 channels, 64 px), extrapolated from "
        f"{each:,.0f} bytes a cell (SIMULATED)",
        value=value,
        unit="GB",
        n=cells,
        aim="at most 9.6 GB",
        held=value <= 9.6,
    )


def beside_the_authors(*, batch: int, steps: int, repeats: int = _REPEATS) -> list[Row]:
    """Their training script in a process of its own, and ours, in turns.

    Each has the same crops as it lays them: theirs in TIFFs of one cell and channel, ours in shards, which are read
    into memory. The second row is of their network without the loader: one batch again and again.
    """
    what = f"training, width 1, batch {batch}, 64 px, float32, {many(torch.get_num_threads(), 'thread')}"
    others = ("the authors' script with its loader", "the authors' network without its loader")
    aims = (1.2, None)
    why = authors_missing(TRAINING)
    if choose_device("auto").type != "cpu":
        why = "theirs is run on the processor, and ours is on a GPU here"
    if why:
        return [
            Row(f"{what}, against {other}: not run: {why}", None, aim=aim_of(aim))
            for other, aim in zip(others, aims, strict=True)
        ]
    shape = network(_HUMAN, 1.0)
    given, config = drawn(shape, batch * steps), settings(shape, batch)
    ours: list[float] = []
    theirs: list[list[str]] = []
    with tempfile.TemporaryDirectory() as folder:
        write_crops(Path(folder), np.asarray(given.pixels), given.image)
        files = in_files(np.asarray(given.pixels), Path(folder), 4)
        cells = CellSet(ShardedPixels(files), given.image, given.channels)
        bare(shape, batch, 2, config.precision)  # warm
        for _ in range(repeats):
            ours.append(speed(cells, shape, config))
            theirs.append(alone(trained, folder, torch.get_num_threads(), batch)[-3:])
    *speeds, backends = zip(*theirs, strict=True)
    return [
        against(what, (ours, [*map(float, times)]), f"{other}, on Keras with {backends[0]}", aim)
        for other, aim, times in zip(others, aims, speeds, strict=True)
    ]


def on_gpu(shape: NetworkConfig, *, batch: int, cells: int) -> list[Row]:
    """Share of the peak, loop against bare step, and all epochs of the paper's largest screen."""
    what = f"training, width {shape.width:g}, batch {batch}, {len(shape.channels)} channels"
    aims = ("at least 0.40 of dense bf16 peak", "at least 0.97 of the bare step", "under 45 minutes")
    if not torch.cuda.is_available():
        return [Row(f"{what}: not run: no GPU here", None, aim=aim) for aim in aims]
    name = torch.cuda.get_device_name()
    precision = precision_here()
    given, config = drawn(shape, cells), settings(shape, batch, precision)
    bare(shape, batch, 10, precision)  # warm
    loop, alone = compared(
        lambda: speed(given, shape, config), lambda: bare(shape, batch, cells // batch, precision), _REPEATS
    )
    pairs_per_s = statistics.median(loop)
    return [
        share_of_peak(what, name, pairs_per_s, operations(shape)),
        against(f"{what}, on {name}", (loop, alone), "bare step, no data", 0.97),
        all_epochs(f"{what}, on {name}", pairs_per_s, cells),
    ]


def share_of_peak(what: str, device: str, pairs_per_s: float, operations_a_pair: float) -> Row:
    """Of a GPU whose peak is known."""
    aim = "at least 0.40 of dense bf16 peak"
    peak = next((value for name, value in PEAK.items() if name in device), None)
    if peak is None:
        return Row(f"{what}: the peak of {device} is not known here", None, aim=aim)
    done = pairs_per_s * operations_a_pair
    return Row(
        what=f"{what}, on {device}: operations of the network ({operations_a_pair / 1e9:.2f} GFLOP a pair)",
        value=done / 1e12,
        unit="TFLOP/s",
        against="dense bf16 peak",
        against_value=peak / 1e12,
        ratio=done / peak,
        aim=aim,
        held=done >= 0.4 * peak,
    )


def all_epochs(what: str, pairs_per_s: float, cells: int) -> Row:
    """Minutes that the paper's training would take at a measured speed."""
    minutes = EPOCHS * YEAST / pairs_per_s / 60
    return Row(
        what=f"{what}: {EPOCHS} epochs of {YEAST:,} cells, extrapolated from one of {cells:,}",
        value=minutes,
        unit="min",
        n=cells,
        aim="under 45 minutes",
        held=minutes < 45,
    )


def operations(shape: NetworkConfig) -> float:
    """Multiplications and additions of one pair, forward and backward, as torch counts them; nothing is computed."""
    model = build_network(shape, 0).to("meta").train()
    size, counter = shape.size_px, FlopCounterMode(display=False)
    with counter:
        x, markers = (
            torch.empty(1, len(n), size, size, device="meta") for n in (shape.channels, shape.structural)
        )
        model(x, markers).sum().backward()
    return float(counter.get_total_flops())


def precision_here() -> str:
    """The precision that a training takes by itself here."""
    return "bf16" if multiplies_bf16(choose_device("auto")) else "float32"


def bare(shape: NetworkConfig, batch: int, steps: int, precision: str) -> float:
    """Pairs/s of forward, backward and step on one batch of random tensors."""
    device = choose_device("auto")
    dtype = dtype_of(precision)
    cells = CellSet(
        np.zeros((2, len(shape.channels), shape.size_px, shape.size_px), np.uint8),
        np.zeros(2),
        shape.channels,
    )
    task = Inpainting(cells, shape, settings(shape, batch), device)
    model = build_network(shape, 0).to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = build_optimizer(model, settings(shape, batch))
    x, markers, truth = (
        torch.rand(batch, len(names), shape.size_px, shape.size_px, device=device).to(
            memory_format=torch.channels_last
        )
        for names in (shape.channels, shape.structural, shape.protein)
    )
    given = Batch((x, markers), truth)
    start = time.perf_counter()
    for _ in range(steps):
        loss = share_of_loss(task, output_of(model, given, dtype), given)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return batch * steps / (time.perf_counter() - start)


def speed(cells: CellSet, shape: NetworkConfig, config: TrainingConfig) -> float:
    """Pairs/s of the one epoch of a training."""
    return train(cells, shape, config, tracker=SilentTracker()).history[-1]["pairs_per_s"]


def settings(shape: NetworkConfig, batch: int, precision: str = "float32") -> TrainingConfig:
    """One epoch, nothing held out."""
    return TrainingConfig(
        **{"epochs": 1, "batch_size": batch, "width": shape.width, "precision": precision},
        validation_fraction=0.0,
        preview_every=100,
    )


def drawn(shape: NetworkConfig, n: int) -> CellSet:
    """Random crops, eight an image."""
    size = (n, len(shape.channels), shape.size_px, shape.size_px)
    return CellSet(
        np.random.default_rng(0).integers(0, 256, size, np.uint8), np.arange(n) // 8, shape.channels
    )


def in_files(pixels: np.ndarray, folder: Path, n: int) -> list[Path]:
    """The crops in n files."""
    files = [folder / f"{number}.npy" for number in range(n)]
    for file, part in zip(files, np.array_split(pixels, n), strict=True):
        np.save(file, part)
    return files


def forget(files: list[Path]) -> None:
    """Tell the system that what it keeps of files in memory is not needed, so that they are read from disk."""
    for file in files:
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def compared(
    ours: Callable[[], float], other: Callable[[], float], repeats: int
) -> tuple[list[float], list[float]]:
    """Both in turns."""
    pairs = [(other(), ours()) for _ in range(repeats)]
    return [pair[1] for pair in pairs], [pair[0] for pair in pairs]


def against(what: str, speeds: tuple[list[float], list[float]], other: str, least: float | None) -> Row:
    """Ours against another's pairs/s, by the median of the ratios of neighbouring repeats."""
    ours, theirs = speeds
    ratios = [one / two for one, two in zip(ours, theirs, strict=True)]
    ratio = statistics.median(ratios)
    return Row(
        what=what,
        value=statistics.median(ours),
        unit="pairs/s",
        against=other,
        against_value=statistics.median(theirs),
        ratio=ratio,
        n=len(ratios),
        spread=(min(ratios), max(ratios)),
        aim=aim_of(least),
        held=None if least is None else ratio >= least,
    )


def aim_of(least: float | None) -> str | None:
    """A ratio asked for, in words."""
    return None if least is None else f"at least {least:g} of it"


def largest_difference(one: list[dict[str, float]], other: list[dict[str, float]]) -> float:
    """Of the losses of two trainings, relative."""
    names = ("loss", "validation_loss")
    return max(
        abs(a[name] - b[name]) / abs(b[name]) for a, b in zip(one, other, strict=True) for name in names
    )


class _Reordered(Inpainting):
    """The rows of each batch in another order: the same training but for rounding."""

    def order(self, n: int) -> torch.Tensor:
        """The order of n rows."""
        raise NotImplementedError

    def batches(self, epoch: int, processes: Processes = ALONE) -> Iterator[Batch]:
        for batch in super().batches(epoch, processes):
            order = self.order(len(batch.truth))
            inputs = (x[order].contiguous(memory_format=torch.channels_last) for x in batch.inputs)
            yield batch._replace(inputs=tuple(inputs), truth=batch.truth[order])


class _Reversed(_Reordered):
    def order(self, n: int) -> torch.Tensor:
        return torch.arange(n).flip(0)


class _Halved(_Reordered):
    def order(self, n: int) -> torch.Tensor:
        return torch.arange(n).roll(n // 2)
