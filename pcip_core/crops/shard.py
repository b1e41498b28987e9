"""All cells of one shard: read, segment, cut, and account for every object that was found."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from pcip_core.crops.cut import CutCells, cut_cells
from pcip_core.crops.growing import GrowingArray
from pcip_core.crops.shard_cells import Rejected, ShardCells
from pcip_core.errors import ImageFileError
from pcip_core.images.field import Field
from pcip_core.images.reading import read_field
from pcip_core.segmentation import segmenter
from pcip_core.spec.screen import Screen

_FIELDS_A_WORKER = 4  # fewer are cut sooner than a process starts


class Cutters:
    """Processes that cut fields of one shard after the other; started when fields are many enough for two.

    A process takes longer to start than to cut a field, as it imports what finding cells needs.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def map(self, call: Callable[[Field], Any], fields: Sequence[Field]) -> Iterator[Any]:
        """Results in the order of the fields."""
        if self._pool is None and min(self._workers, len(fields) // _FIELDS_A_WORKER) > 1:
            spawned = multiprocessing.get_context("spawn")  # not forked: Dagster's process has threads
            self._pool = ProcessPoolExecutor(self._workers, mp_context=spawned)
        return map(call, fields) if self._pool is None else self._pool.map(call, fields)

    def __enter__(self) -> Cutters:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def cut_shard(
    screen: Screen,
    fields: Iterable[Field],
    *,
    progress: Callable[[int], None] | None = None,
    workers: int | Cutters = 1,
    into: Path | None = None,
) -> ShardCells:
    """Cut every cell of the fields of one shard.

    Args:
        screen: the spec; `segmentation` and `crops` are used.
        fields: the shard's fields, those of one image together.
        progress: called with the number of fields done.
        workers: processes, started for this shard, or those that several shards share; the cells and their
            order do not depend on it.
        into: a .npy file for the crops, which are then mapped: memory does not grow with the shard.
    """
    segmenter(screen.segmentation.method)  # an unknown one is the spec's fault, not a field's
    fields = list(fields)
    shard = _Shard(screen, into)
    done = enumerate(zip(fields, _each_cut(screen, fields, workers), strict=True), 1)
    for _, members in groupby(done, key=lambda item: item[1][0].image_id):
        pieces = []
        for number, (one, cut) in members:
            if isinstance(cut, str):
                shard.reject(one, "file", cut)
            else:
                pieces.append((one, cut))
            if progress is not None:
                progress(number)
        if pieces:
            shard.add_image(pieces)
    pixels, hashed = shard.pixels.finish()
    return ShardCells(pixels, shard.columns(), shard.rejected, shard.found, hashed)


def _each_cut(screen: Screen, fields: Sequence[Field], workers: int | Cutters) -> Iterator[CutCells | str]:
    """The cells of each field in turn, or why the field cannot be used."""
    cut = partial(_cut_field, screen)
    if isinstance(workers, Cutters):
        yield from workers.map(cut, fields)
        return
    with Cutters(min(workers, len(fields) // _FIELDS_A_WORKER)) as own:
        yield from own.map(cut, fields)


def _cut_field(screen: Screen, one: Field) -> CutCells | str:
    segment = segmenter(screen.segmentation.method)
    try:
        planes = read_field(screen, one)
        labels = segment(planes, **screen.segmentation.options)
        return cut_cells({name: planes[name] for name in screen.crop_channels}, labels, screen.crops)
    except ImageFileError as error:
        return str(error)


class _Shard:
    """What a shard holds so far: duplicates and images with too few cells are left out as images arrive."""

    def __init__(self, screen: Screen, into: Path | None) -> None:
        size = screen.crops.size_px
        self.pixels = GrowingArray(into, (len(screen.crop_channels), size, size), np.uint8)
        self.rejected: list[Rejected] = []
        self.found = 0
        self._texts: dict[str, list[str]] = {
            name: [] for name in ("cell_id", "image_id", "field", "pixel_hash")
        }
        extremes = (len(screen.crop_channels),)
        self._numbers = {  # as objects of Python they would need several times the memory
            **{name: GrowingArray(None, (), np.float64) for name in ("y_px", "x_px", "area_px")},
            **{name: GrowingArray(None, extremes, np.float32) for name in ("intensity_min", "intensity_max")},
        }
        self._minimum = screen.crops.min_cells
        self._first_with: dict[str, str] = {}

    def reject(self, one: Field, what: str, reason: str) -> None:
        """Leave something of a field out."""
        self.rejected.append(Rejected(next(iter(one.files.values())), what, one.image_id, reason))

    def add_image(self, pieces: list[tuple[Field, CutCells]]) -> None:
        """All fields of one image that could be cut."""
        kept: list[dict[int, str]] = []
        for one, cut in pieces:
            self.found += len(cut.label) + len(cut.rejected)
            for _, reason in cut.rejected:
                self.reject(one, "cell", reason)
            kept.append(self._without_twins(one, cut))
        count = sum(map(len, kept))
        if count == 0:
            self.reject(pieces[0][0], "image", f"no cells (required: {self._minimum} or more)")
        for (one, cut), ids in zip(pieces, kept, strict=True):
            if count >= self._minimum:
                self._add_cells(one, cut, ids)
                continue
            for _ in ids:
                self.reject(one, "cell", f"image with {count} cells (required: {self._minimum} or more)")

    def columns(self) -> dict[str, list[str] | np.ndarray]:
        """Everything but the pixels, as `ShardCells` has it; nothing is added later."""
        numbers = {name: growing.finish()[0] for name, growing in self._numbers.items()}
        return {**self._texts, **numbers, "crop_row": np.arange(len(self._texts["cell_id"]))}

    def _without_twins(self, one: Field, cut: CutCells) -> dict[int, str]:
        """Row and id of each cell whose pixels have not been seen before; the others are rejected."""
        fresh = {}
        for i, (label, pixels) in enumerate(zip(cut.label, cut.pixel_hash, strict=True)):
            cell_id = f"{one.field_id}_{label:04d}"
            twin = self._first_with.setdefault(pixels, cell_id)
            if twin is cell_id:
                fresh[i] = cell_id
            else:
                self.reject(one, "cell", f"same pixels as cell {twin}")
        return fresh

    def _add_cells(self, one: Field, cut: CutCells, ids: dict[int, str]) -> None:
        rows = list(ids)
        self.pixels.append(cut.pixels if len(rows) == len(cut.pixels) else cut.pixels[rows])
        self._texts["cell_id"] += ids.values()
        self._texts["image_id"] += [one.image_id] * len(rows)
        self._texts["field"] += [one.number] * len(rows)
        self._texts["pixel_hash"] += [cut.pixel_hash[i] for i in rows]
        for name, growing in self._numbers.items():
            growing.append(getattr(cut, name)[rows])
