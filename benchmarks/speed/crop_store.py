"""Crops in one .npy file per shard against other containers: reads of pairs, scans of a shard, and size."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import tifffile
import zarr

from benchmarks.common.harness import Row
from pcip_core.crops.cut import cut_cells
from pcip_core.segmentation import segmenter
from pcip_core.simulate.plan import plan_screen
from pcip_core.simulate.screen import photograph
from pcip_core.spec.loading import load_screen
from pcip_core.spec.templates import TEMPLATES
from pcip_core.store.partitions import Store
from pcip_core.store.schemas import CELLS

DESCRIPTION = (
    "crops in one .npy per shard against TIFF per channel and cell, zarr and HDF5: pairs, scans, bytes"
)
SECONDS = 150
SIZES = (1000, 2000, 4000, 8000)  # cells of a shard
_DRAWN, _AN_IMAGE = 4, 20  # simulated fields whose cells are turned and mirrored; cells that make pairs
_REPEATS, _A_REPEAT_S = 5, 0.2
_BATCH = 64  # cells at a time in a scan
_OURS, _TIFF = ".npy a shard, memory-mapped", "TIFF a channel and cell"
_AIM, _TIMES = "at least 20 times the pair reads of TIFFs", 20

Read = Callable[[np.ndarray], np.ndarray]
"""(k,) rows -> (k, C, S, S) crops."""


@dataclass(frozen=True)
class Container:
    """How one container is written under a folder, and opened from there."""

    write: Callable[[Path, np.ndarray], None]
    open: Callable[[Path, int], Read]


def run() -> list[Row]:
    """Each container at each size; repeats of the containers alternate."""
    drawn = _cells()
    rows: list[Row] = []
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            rows += measured(Path(folder), drawn[np.arange(size) % len(drawn)], last=size == SIZES[-1])
    return rows


def measured(folder: Path, pixels: np.ndarray, *, last: bool) -> Iterator[Row]:
    """Rows of one size; those of size, writing and scans for the last one alone."""
    size, readers, written = len(pixels), {}, {}
    for name, container in CONTAINERS.items():
        (folder / name).mkdir()
        start = time.perf_counter()
        container.write(folder / name, pixels)
        written[name] = time.perf_counter() - start
        readers[name] = container.open(folder / name, size)
        assert np.array_equal(readers[name](np.arange(0, size, 97)), pixels[::97]), name
    about = f"{size:,} cells of 3 x 64 x 64 (SIMULATED)"
    pairs = _medians({name: _pairs_a_second(read, size) for name, read in readers.items()})
    for name in CONTAINERS:
        yield _row(f"pairs read one at a time, {about}, {name}", pairs, name, "pairs/s", judged=True)
    if not last:
        return
    cold = _medians({name: _cold(folder / name, CONTAINERS[name], size) for name in CONTAINERS})
    scans = _medians({name: _scan(read, pixels.nbytes, size) for name, read in readers.items()})
    for name in CONTAINERS:
        what = f"the same after the files are dropped from memory, {about}, {name}"
        yield _row(what, cold, name, "pairs/s")
    for name in CONTAINERS:
        yield _row(f"scan in batches of {_BATCH}, {about}, {name}", scans, name, "MB/s")
    for name in CONTAINERS:
        speed = {one: [pixels.nbytes / 1e6 / seconds] for one, seconds in written.items()}
        yield _row(f"writing, {about}, {name}", speed, name, "MB/s")
    bytes_ = {name: [_on_disk(folder / name) / size] for name in CONTAINERS}
    for name in CONTAINERS:
        yield _row(f"on disk (blocks that files take), {about}, {name}", bytes_, name, "bytes a cell")


def _row(what: str, found: dict[str, list[float]], name: str, unit: str, *, judged: bool = False) -> Row:
    """One container against TIFFs; ours is judged where there is an aim."""
    value, theirs = (statistics.median(found[one]) for one in (name, _TIFF))
    judged = judged and name == _OURS
    return Row(
        what=what,
        value=value,
        unit=unit,
        against=None if name == _TIFF else _TIFF,
        against_value=None if name == _TIFF else theirs,
        ratio=None if name == _TIFF else value / theirs,
        n=len(found[name]),
        spread=(min(found[name]), max(found[name])),
        aim=_AIM if judged else None,
        held=value >= _TIMES * theirs if judged else None,
    )


def _medians(measure: dict[str, Callable[[int], float]]) -> dict[str, list[float]]:
    """Repeats of each, in turns, so that a slow minute is slow for all."""
    found: dict[str, list[float]] = {name: [] for name in measure}
    for repeat in range(_REPEATS):
        for name, one in measure.items():
            found[name].append(one(repeat))
    return found


def _pairs_a_second(read: Read, size: int, *, at_least: int = 20) -> Callable[[int], float]:
    """Both cells of random pairs of an image, one pair after the other, for a fifth of a second."""

    def measure(repeat: int) -> float:
        rng, done, start = np.random.default_rng(repeat), 0, time.perf_counter()
        pairs = _drawn_pairs(rng, size, 50_000)
        while done < at_least or time.perf_counter() - start < _A_REPEAT_S:
            read(pairs[done % len(pairs)])
            done += 1
        return done / (time.perf_counter() - start)

    return measure


def _drawn_pairs(rng: np.random.Generator, size: int, count: int) -> np.ndarray:
    """(count, 2) rows: two cells of one image, whose cells lie together."""
    first = rng.integers(0, size // _AN_IMAGE, count) * _AN_IMAGE
    one, step = rng.integers(0, _AN_IMAGE, count), rng.integers(1, _AN_IMAGE, count)
    return np.stack([first + one, first + (one + step) % _AN_IMAGE], 1)


def _cold(folder: Path, container: Container, size: int) -> Callable[[int], float]:
    """As above for 100 pairs, opened anew, after the system is asked to forget the files."""

    def measure(repeat: int) -> float:
        for path in _files(folder):
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        pairs = _drawn_pairs(np.random.default_rng(repeat), size, 100)
        start = time.perf_counter()
        read = container.open(folder, size)
        for pair in pairs:
            read(pair)
        return len(pairs) / (time.perf_counter() - start)

    return measure


def _scan(read: Read, nbytes: int, size: int) -> Callable[[int], float]:
    """The whole shard from its first cell to its last."""

    def measure(_: int) -> float:
        start = time.perf_counter()
        for first in range(0, size, _BATCH):
            read(np.arange(first, min(first + _BATCH, size)))
        return nbytes / 1e6 / (time.perf_counter() - start)

    return measure


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _on_disk(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in _files(folder))


# -- the containers -----------------------------------------------------------------------------------


def _write_ours(folder: Path, pixels: np.ndarray) -> None:
    rows = CELLS.frame({"cell_id": [f"cell {row}" for row in range(len(pixels))]})
    Store(folder).commit("screen", {"cells": rows}, shard="plate_1", arrays={"crops": pixels})


def _open_ours(folder: Path, _: int) -> Read:
    crops = Store(folder).read_with_array("screen", "cells", "crops", "plate_1")[1]
    return lambda rows: crops[rows]


def _write_tiffs(folder: Path, pixels: np.ndarray) -> None:
    for cell, planes in enumerate(pixels):
        for channel, plane in enumerate(planes):
            tifffile.imwrite(folder / f"{cell}_{channel}.tif", plane)


def _open_tiffs(folder: Path, _: int) -> Read:
    def read(rows: np.ndarray) -> np.ndarray:
        return np.stack([[tifffile.imread(folder / f"{row}_{c}.tif") for c in range(3)] for row in rows])

    return read


def _zarr(*, compressed: bool) -> Container:
    """zarr v3: a chunk a cell, in shards of 500 chunks."""

    def write(folder: Path, pixels: np.ndarray) -> None:
        cell = (1, *pixels.shape[1:])
        array = zarr.create_array(
            store=str(folder / "crops.zarr"),
            shape=pixels.shape,
            dtype="uint8",
            chunks=cell,
            shards=(500, *pixels.shape[1:]),
            compressors="auto" if compressed else None,
        )
        array[:] = pixels

    def opened(folder: Path, _: int) -> Read:
        array = zarr.open_array(str(folder / "crops.zarr"), mode="r")

        def read(rows: np.ndarray) -> np.ndarray:
            run = len(rows) > 2 and rows[-1] - rows[0] == len(rows) - 1
            return np.asarray(array[rows[0] : rows[-1] + 1] if run else array.oindex[rows])

        return read

    return Container(write, opened)


def _hdf5(*, compressed: bool) -> Container:
    """HDF5: in one piece, or a chunk a cell with gzip."""

    def write(folder: Path, pixels: np.ndarray) -> None:
        chunks = {"chunks": (1, *pixels.shape[1:]), "compression": "gzip"} if compressed else {}
        with h5py.File(folder / "crops.h5", "w") as file:
            file.create_dataset("crops", data=pixels, **chunks)

    def opened(folder: Path, _: int) -> Read:
        crops = h5py.File(folder / "crops.h5", "r")["crops"]

        def read(rows: np.ndarray) -> np.ndarray:
            if len(rows) > 2 and rows[-1] - rows[0] == len(rows) - 1:
                return crops[rows[0] : rows[-1] + 1]
            return np.stack([crops[row] for row in rows])  # its fancy indexing is slower than this

        return read

    return Container(write, opened)


CONTAINERS = {
    _OURS: Container(_write_ours, _open_ours),
    _TIFF: Container(_write_tiffs, _open_tiffs),
    "zarr v3, zstd": _zarr(compressed=True),
    "zarr v3, not compressed": _zarr(compressed=False),
    "HDF5, not compressed": _hdf5(compressed=False),
    "HDF5, gzip": _hdf5(compressed=True),
}


def _cells() -> np.ndarray:
    """(n, 3, 64, 64) uint8 simulated cells, each in eight positions."""
    screen = load_screen(TEMPLATES["simulated_human"])
    assert screen.simulation is not None
    segment, cut = segmenter(screen.segmentation.method), []
    for image in plan_screen(screen.simulation)[:_DRAWN]:
        planes = photograph(screen.simulation, image, 1)[0]
        labels = segment(planes, **screen.segmentation.options)
        cut.append(cut_cells({name: planes[name] for name in screen.crop_channels}, labels, screen.crops))
    cells = np.concatenate([one.pixels for one in cut])
    turned = [np.rot90(side, turn, (2, 3)) for side in (cells, cells[..., ::-1]) for turn in range(4)]
    return np.ascontiguousarray(np.concatenate(turned))
