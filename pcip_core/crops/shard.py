"""All cells of one shard: read, segment and cut its fields, and account for every object found."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pcip_core.crops.cut import CutCells, cut_cells
from pcip_core.crops.growing import GrowingArray
from pcip_core.crops.shard_cells import Rejected, ShardCells
from pcip_core.errors import ImageFileError, PcipError, SpecError
from pcip_core.images.field import Field
from pcip_core.images.illumination.correction import read_corrected
from pcip_core.images.reading import Planes
from pcip_core.segmentation import METHODS, check_segmentation, checked_labels, least_area, segmenter
from pcip_core.segmentation.mask_checks import check_masks
from pcip_core.segmentation.otsu import keep_objects
from pcip_core.spec.screen import Screen
from pcip_core.words import many

_BELOW = 4  # objects are counted down to `min_area_px` divided by this
_FIELDS_PER_WORKER = 4  # a process takes longer to start than to cut fewer fields


class Cutters:
    """Worker processes that cut the fields of one shard after another.

    They start with the first shard that has enough fields for two workers: because of its imports, a process
    takes longer to start than to cut a field.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def map(self, call: Callable[[Field], Any], fields: Sequence[Field]) -> Iterator[Any]:
        """Yield the results in the order of the fields."""
        if self._pool is None and min(self._workers, len(fields) // _FIELDS_PER_WORKER) > 1:
            context = multiprocessing.get_context("spawn")  # a process with threads must not be forked
            self._pool = ProcessPoolExecutor(self._workers, mp_context=context)
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
        screen: the spec; its sections `segmentation` and `crops` are used.
        fields: the fields of the shard, grouped by image.
        progress: called with the number of fields done.
        workers: number of processes to start for this shard, or a `Cutters` that several shards share. The
            cells and their order do not depend on it.
        into: a .npy file for the crops, which are then memory-mapped, so memory does not grow with the shard.

    Returns:
        The cells and the rejected files, cells and images. Cells with the same pixels as an earlier cell, and
        images with fewer than `crops.min_cells` cells, are rejected.

    Raises:
        SpecError: the segmentation method is unknown, or the segmenter does not accept the spec's options.

    >>> import tempfile, tifffile
    >>> from pcip_core.images.layout import scan
    >>> from pcip_core.spec.loading import load_screen
    >>> spec = '''
    ... name: example
    ... organism: yeast
    ... root: .
    ... files: {pattern: "{well}_{field}_{channel}.tif", image_id: "{well}"}
    ... channels: {nucleus: {role: structural}, protein: {role: protein}}
    ... shards: {buckets: 1}
    ... segmentation: {method: whole}
    ... crops: {window_px: null, size_px: 16, min_cells: 2}
    ... '''
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "example.yaml").write_text(spec)
    ...     for number in (1, 2):
    ...         for channel in ("nucleus", "protein"):
    ...             plane = np.random.default_rng(number).integers(0, 4000, (32, 32)).astype(np.uint16)
    ...             tifffile.imwrite(Path(folder) / f"A01_{number}_{channel}.tif", plane)
    ...     screen = load_screen(Path(folder) / "example.yaml")
    ...     cells = cut_shard(screen, scan(screen).fields)
    >>> cells.pixels.shape, cells.found, cells.rejected
    ((2, 2, 16, 16), 2, [])
    """
    check_segmentation(screen)  # raise here: no field is at fault
    fields = list(fields)
    shard = _Shard(screen, into)
    done = enumerate(zip(fields, _each_cut(screen, fields, workers), strict=True), 1)
    for _, members in groupby(done, key=lambda item: item[1][0].image_id):
        pieces = []
        for number, (field, cut) in members:
            if isinstance(cut, str):
                shard.reject(field, "file", cut)
            else:
                pieces.append((field, cut[0]))
                shard.warnings += cut[1]
            if progress is not None:
                progress(number)
        if pieces:
            shard.add_image(pieces)
    pixels, digest = shard.pixels.finish()
    return ShardCells(pixels, shard.columns(), shard.rejected, shard.found, digest, shard.warnings)


def _each_cut(
    screen: Screen, fields: Sequence[Field], workers: int | Cutters
) -> Iterator[tuple[CutCells, list[str]] | str]:
    """Yield, for each field, its cells and warnings, or the reason for which the field cannot be used."""
    cut = partial(_cut_field, screen)
    if isinstance(workers, Cutters):
        yield from workers.map(cut, fields)
        return
    with Cutters(min(workers, len(fields) // _FIELDS_PER_WORKER)) as cutters:
        yield from cutters.map(cut, fields)


class CutField(NamedTuple):
    """One field.

    Attributes:
        planes: its pixels.
        labels: (H, W), 0 is background.
        cells: cut at the labels.
        warnings: what is unusual about masks of other programs.
        small: number of objects that are left out because their area is below `min_area_px`, down to a quarter of
            it, below which objects may be noise; 0 if they have not been counted.
    """

    planes: Planes
    labels: np.ndarray
    cells: CutCells
    warnings: list[str]
    small: int = 0


def smallest(least: float) -> int:
    """The least area of the objects that `CutField.small` counts, where smaller objects than `least` are left out."""
    return max(1, int(least // _BELOW))


def cut_field(screen: Screen, field: Field, *, count_small: bool = False) -> CutField:
    """Read, segment and cut one field.

    Args:
        screen: the spec.
        field: the field.
        count_small: also count objects below `min_area_px`. The labels and cells do not depend on it.

    Raises:
        ImageFileError: the field cannot be used.
        SpecError: the segmenter fails.
    """
    planes = read_corrected(screen, field)
    warnings = check_masks(screen, planes)
    segmentation, small = screen.segmentation, 0
    least = least_area(segmentation) if count_small and segmentation.method in METHODS else None
    options = dict(segmentation.options) | ({"min_area_px": smallest(least)} if least else {})
    labels = checked_labels(
        _segmented(segmentation.method, options, field, planes), planes.shape, segmentation.method
    )
    if least:
        areas = np.bincount(labels.ravel())[1:]
        small = int(((areas > 0) & (areas < least)).sum())
        labels = keep_objects(labels, least)  # the last step of each of these methods
    cells = cut_cells({name: planes[name] for name in screen.crop_channels}, labels, screen.crops)
    return CutField(planes, labels, cells, warnings, small)


def _cut_field(screen: Screen, field: Field) -> tuple[CutCells, list[str]] | str:
    """The cells of a field and its warnings, or the reason for which it cannot be used; without its planes."""
    try:
        cut = cut_field(screen, field)
        return cut.cells, cut.warnings
    except ImageFileError as error:
        return str(error)


def _segmented(method: str, options: Mapping[str, object], field: Field, planes: Planes) -> object:
    """What the segmenter returns; any error of a user's function names the field."""
    try:
        return segmenter(method)(planes, **options)
    except PcipError:
        raise
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise SpecError(
            f"segmentation.method {method}",
            found=f"{type(error).__name__} ({error}) for field {field.field_id}, in {place.filename}:{place.lineno}",
            required="a label image",
            remedy="Correct segmentation.options, or the function.",
        ) from error


class _Shard:
    """The cells of a shard so far. Duplicates and images with too few cells are rejected as images arrive."""

    def __init__(self, screen: Screen, into: Path | None) -> None:
        size = screen.crops.size_px
        self.pixels = GrowingArray(into, (len(screen.crop_channels), size, size), np.uint8)
        self.rejected: list[Rejected] = []
        self.warnings: list[str] = []
        self.found = 0
        self._texts: dict[str, list[str]] = {
            name: [] for name in ("cell_id", "image_id", "field", "pixel_hash")
        }
        extremes = (len(screen.crop_channels),)
        self._numbers = {  # lists of Python numbers would need several times the memory
            **{name: GrowingArray(None, (), np.float64) for name in ("y_px", "x_px", "area_px")},
            **{name: GrowingArray(None, extremes, np.float32) for name in ("intensity_min", "intensity_max")},
        }
        self._minimum = screen.crops.min_cells
        self._first_with: dict[str, str] = {}

    def reject(self, field: Field, what: str, reason: str) -> None:
        """Record an object, a file or an image of this field that is not used."""
        self.rejected.append(Rejected(next(iter(field.files.values())), what, field.image_id, reason))

    def add_image(self, pieces: list[tuple[Field, CutCells]]) -> None:
        """Add all fields of one image that could be cut."""
        kept: list[dict[int, str]] = []
        for field, cut in pieces:
            self.found += len(cut.label) + len(cut.rejected)
            for _, reason in cut.rejected:
                self.reject(field, "cell", reason)
            kept.append(self._without_duplicates(field, cut))
        count = sum(map(len, kept))
        if count == 0:
            self.reject(pieces[0][0], "image", f"no cells (required: {self._minimum} or more)")
        for (field, cut), ids in zip(pieces, kept, strict=True):
            if count >= self._minimum:
                self._add_cells(field, cut, ids)
                continue
            for _ in ids:
                self.reject(
                    field, "cell", f"image with {many(count, 'cell')} (required: {self._minimum} or more)"
                )

    def columns(self) -> dict[str, list[str] | np.ndarray]:
        """The columns of `ShardCells`. No image can be added later."""
        numbers = {name: growing.finish()[0] for name, growing in self._numbers.items()}
        return {**self._texts, **numbers, "crop_row": np.arange(len(self._texts["cell_id"]))}

    def _without_duplicates(self, field: Field, cut: CutCells) -> dict[int, str]:
        """Row -> id of each cell whose pixels are new; reject the others."""
        new_ids = {}
        for i, (label, pixels) in enumerate(zip(cut.label, cut.pixel_hash, strict=True)):
            cell_id = f"{field.field_id}_{label:04d}"
            first = self._first_with.setdefault(pixels, cell_id)
            if first is cell_id:
                new_ids[i] = cell_id
            else:
                self.reject(field, "cell", f"same pixels as cell {first}")
        return new_ids

    def _add_cells(self, field: Field, cut: CutCells, ids: dict[int, str]) -> None:
        rows = list(ids)
        self.pixels.append(cut.pixels if len(rows) == len(cut.pixels) else cut.pixels[rows])
        self._texts["cell_id"] += ids.values()
        self._texts["image_id"] += [field.image_id] * len(rows)
        self._texts["field"] += [field.number] * len(rows)
        self._texts["pixel_hash"] += [cut.pixel_hash[i] for i in rows]
        for name, growing in self._numbers.items():
            growing.append(getattr(cut, name)[rows])
