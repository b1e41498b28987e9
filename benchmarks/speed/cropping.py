"""From image files to crops: speed, memory and size, against the authors' script."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import io
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import scipy.ndimage
import tifffile
import yaml
from imagecodecs import jpeg8_decode
from PIL import Image
from skimage.morphology import remove_small_holes, remove_small_objects

from benchmarks.common.harness import Row
from pcip_assets.provenance import Stopwatch
from pcip_assets.workspace import REPOSITORY
from pcip_core.crops.shard import cut_shard
from pcip_core.images.layout import Field, scan
from pcip_core.images.quality.measures import rows_of
from pcip_core.images.reading import content_hash, read_field
from pcip_core.simulate.plan import plan_screen
from pcip_core.simulate.screen import photograph
from pcip_core.spec.loading import load_screen
from pcip_core.spec.screen import Screen
from pcip_core.spec.simulation import Simulation
from pcip_core.spec.templates import TEMPLATES
from pcip_core.store import rows as frames
from pcip_core.store.partitions import Store

DESCRIPTION = "files to crops: speed, memory and size, against the authors' script"
SECONDS = 170
PLATES, WELLS, FIELDS, SIDE_PX = 3, 64, 3, 1080
DRAWN = 12  # distinct fields; each is written turned and with noise of its own under many wells
SAMPLE = 500  # cells written as the authors' script would
REPEATS, TURNS = 5, 8
WITHIN_PX = 10.0
HPA = REPOSITORY.parent / "shared" / "data" / "human_fields" / "hpa"
AUTHORS = "PCIP_AUTHORS_CODE"
_SCRIPT = Path("human_model", "data_download", "segment_and_crop_human_atlas.py")


def run() -> list[Row]:
    """All rows; those against the authors' script say what they need where it is not here."""
    with tempfile.TemporaryDirectory() as folder:
        return [*whole_plates(Path(folder)), *beside_the_authors(Path(folder))]


# -- three plates -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Cropped:
    """What a run over fields came to: `peak_mb` after so many fields."""

    cells: int
    seconds: float
    peak_mb: dict[int, float]


def whole_plates(folder: Path) -> list[Row]:
    """Three plates of simulated yeast fields, shard by shard into a store."""
    write_plates(folder / "raw")
    plate, cores = WELLS * FIELDS, os.cpu_count() or 1
    total = PLATES * plate
    marks = (plate // 2, *(number * plate for number in range(1, PLATES + 1)))
    whole = _alone(folder / "raw", folder / "store", total, cores, marks)
    some = total // 12
    one, many = (_alone(folder / "raw", folder / f"by_{n}", some, n, (some,)) for n in (1, cores))
    what = f"{total} fields of {SIDE_PX} px ({DRAWN} drawn, written turned and with noise of their own)"
    rows = [
        Row(f"{what}: fields, {cores} processes", total / whole.seconds, "fields/s", n=total),
        Row(f"{what}: cells, {cores} processes", whole.cells / whole.seconds, "cells/s", n=whole.cells),
        Row(f"{some} of these fields, {cores} processes, their start included", some / many.seconds, "fields/s",
            against="one process", against_value=some / one.seconds, ratio=one.seconds / many.seconds, n=some),
        Row(f"{some} of these fields, one process: peak memory", one.peak_mb[some], "MiB", n=some),
    ]  # fmt: skip
    first = whole.peak_mb[plate]
    for mark in marks:
        ratio = whole.peak_mb[mark] / first
        where = "in the middle of the first plate" if mark == marks[0] else "the last plate written"
        rows.append(
            Row(f"peak memory up to {mark} fields, {where}; {cores} workers included (a resident set each, summed)",
                whole.peak_mb[mark], "MiB", against="the first plate written", against_value=first,
                ratio=ratio, n=mark, aim="flat: within 10 %" if mark > plate else None,
                held=ratio <= 1.10 if mark > plate else None)
        )  # fmt: skip
    rows.append(measuring(folder / "raw"))
    return [*rows, *_sizes(folder / "store", folder / "tiffs", whole.cells)]


def measuring(root: Path, fields: int = 3 * DRAWN) -> Row:
    """Processor time of measuring the quality of fields, beside hashing and reading them from the page cache."""
    screen = load_screen(TEMPLATES["simulated_yeast"], root=str(root))
    reading, measures = [], []
    for field in scan(screen).fields[:fields]:
        start = time.process_time()
        content_hash(screen, field)
        planes = read_field(screen, field)
        read = time.process_time()
        rows_of(field.field_id, planes)
        reading.append(read - start)
        measures.append(time.process_time() - read)
    first, second = statistics.median(reading) * 1e3, statistics.median(measures) * 1e3
    return Row(f"quality of a field of 2 channels, {SIDE_PX} px, measured", second, "ms", n=fields,
               against="hashing and reading it, uncompressed, from memory", against_value=first, ratio=second / first,
               aim="under 0.2 of reading", held=second / first < 0.2)  # fmt: skip


def bytes_a_cell(folder: Path, fields: int) -> tuple[float, int]:
    """What a store holds for each cell of so many fields, its tables included; and the number of cells."""
    write_plates(folder / "raw", fields)
    cropped = _alone(folder / "raw", folder / "store", fields, os.cpu_count() or 1, ())
    return _stored(folder / "store") / cropped.cells, cropped.cells


def _stored(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def write_plates(root: Path, fields: int = PLATES * WELLS * FIELDS) -> None:
    """Files of the fields; a field is one of a few that are drawn, turned by a right angle or mirrored."""
    simulation = Simulation("yeast", plates=PLATES, field_size_px=SIDE_PX)
    drawn = [photograph(simulation, image, 1)[0] for image in plan_screen(simulation)[:DRAWN]]
    for plate in range(PLATES):
        (root / f"plate_{plate + 1}").mkdir(parents=True)
    for number in range(fields):
        rng = np.random.default_rng(number)
        well, field = divmod(number % (WELLS * FIELDS), FIELDS)
        place = (
            root / f"plate_{number // (WELLS * FIELDS) + 1}" / f"{'ABCDEFGH'[well // 12]}{well % 12 + 1:02d}"
        )
        for channel, plane in drawn[number % DRAWN].items():
            turned = np.rot90(plane[:: 1 - 2 * (number // DRAWN // 4 % 2)], number // DRAWN)
            noise = np.rint(2 * rng.standard_normal(turned.shape, np.float32))
            file = place.with_name(f"{place.name}_f{field + 1}_{channel}.tif")
            tifffile.imwrite(file, np.clip(turned + noise, 0, 65535).astype(np.uint16))


def _alone(root: Path, store: Path, fields: int, workers: int, marks: tuple[int, ...]) -> Cropped:
    """The first so many fields, in a process that holds nothing else."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_crop, root, store, fields, workers, marks).result()


def _crop(root: Path, folder: Path, fields: int, workers: int, marks: tuple[int, ...]) -> Cropped:
    """Files to committed crops as the asset `crops` does it, without Dagster."""
    screen, store, cells = load_screen(TEMPLATES["simulated_yeast"], root=str(root)), Store(folder), 0
    peaks: dict[int, float] = {}
    with Stopwatch() as watch:

        def progress(before: int, done: int) -> None:
            if before + done in marks:
                peaks[before + done] = watch.peak_mb

        before, first = 0, scan(screen).fields[:fields]
        for shard, members in groupby(first, key=lambda one: one.shard):
            of_shard = list(members)
            cells += _to_store(screen, store, shard, of_shard, workers, partial(progress, before))
            before += len(of_shard)
            peaks[before] = watch.peak_mb  # writing a plate takes memory too
    return Cropped(cells, watch.seconds, peaks)


def _to_store(
    screen: Screen, store: Store, shard: str, fields: list[Field], workers: int, progress: Any
) -> int:
    """Cut one shard and commit it; the number of cells."""
    with store.scratch(screen.name) as folder:
        into = folder / "crops.npy"
        cut = cut_shard(screen, fields, workers=workers, into=into, progress=progress)
        tables = {
            "cells": frames.cells_table(cut, shard),
            "quarantine_crops": frames.quarantine_table("crops", cut.rejected, shard),
        }
        store.commit(screen.name, tables, shard=shard, arrays={"crops": into})
    return len(cut.pixels)


def _sizes(store: Path, folder: Path, cells: int) -> list[Row]:
    """Bytes a cell: what the store holds, and a sample of its cells as one float TIFF a channel."""
    ours = _stored(store) / cells
    home = Store(store)
    (screen,) = home.screens()
    rows, crops = home.read_with_array(screen, "cells", "crops", home.shards(screen, "cells")[0])
    low, high = (np.array(rows[f"intensity_{end}"].to_list()) for end in ("min", "max"))
    folder.mkdir()
    for cell in range(SAMPLE):
        for channel, plane in enumerate(crops[cell]):
            light = low[cell, channel] + plane / 255 * (high - low)[cell, channel]
            Image.fromarray(light.astype(np.float32)).save(folder / f"{cell}_{channel}.tif")
    theirs = sum(file.stat().st_size for file in folder.iterdir()) / SAMPLE
    return [
        Row("crop store: array, cells table and quarantine", ours, "bytes a cell", n=cells,
            against=f"one float32 TIFF a channel and cell, as the authors' script writes ({SAMPLE} cells)",
            against_value=theirs, ratio=ours / theirs, aim="smaller", held=ours < theirs)
    ]  # fmt: skip


# -- one field of the Human Protein Atlas -------------------------------------------------------------


def beside_the_authors(folder: Path) -> list[Row]:
    """One RGB field of the atlas through pcip, and through the authors' script, in turns."""
    what = f"HPA field, RGB jpg to crops on disk, {TURNS} times, turned and mirrored, one process, no imports"
    code = os.environ.get(AUTHORS)
    if not HPA.is_dir():
        return [Row(f"{what}: the field is not here ({HPA})", None)]
    if code is None or not (Path(code) / _SCRIPT).is_file():
        how = f"needs a checkout of alexxijielu/paired_cell_inpainting (GPL-2.0) named by {AUTHORS}"
        return [Row(f"{what}: {how}", None, aim=">= 5 times the authors' script")]
    screen = _hpa_screen(folder / "hpa")
    rows = [_decoding(folder / "hpa")]
    for blurred in (True, False):
        script = _authors_script(Path(code) / _SCRIPT, blurred=blurred)
        ours, theirs = [], []
        for repeat in range(REPEATS + 1):
            store, crops = (
                Store(folder / "stores" / f"{blurred}{repeat}"),
                folder / f"authors_{blurred}{repeat}",
            )
            began = time.perf_counter()
            _to_store(screen, store, "antibody", scan(screen).fields, 1, None)
            ours.append((time.perf_counter() - began) / TURNS)
            began = time.perf_counter()
            _run_theirs(script, folder / "hpa", crops)
            theirs.append((time.perf_counter() - began) / TURNS)
        ours, theirs = ours[1:], theirs[1:]  # the first warms caches of both
        ratios = [their / our for our, their in zip(ours, theirs, strict=True)]
        ratio = statistics.median(theirs) / statistics.median(ours)
        how = (
            "with today's defaults" if blurred else "resizing without a blur, scikit-image's default in 2018"
        )
        rows.append(
            Row(what, 1 / statistics.median(ours), "fields/s", against=f"the authors' script, {how}",
                against_value=1 / statistics.median(theirs), ratio=ratio, n=REPEATS,
                spread=(min(ratios), max(ratios)), aim=">= 5 times", held=ratio >= 5)
        )  # fmt: skip
        published = _read_theirs(crops)
        cells = store.read(screen.name, "cells", columns=["field", "y_px", "x_px"]).to_dicts()
        apart = np.array(
            [min(np.hypot(cell["y_px"] - y, cell["x_px"] - x) for cell in cells if cell["field"] == turn)
             for turn, y, x in published]
        )  # fmt: skip
        rows.append(
            Row(f"HPA field: share of the authors' crops with one of ours within {WITHIN_PX:g} px ({how})",
                float((apart <= WITHIN_PX).mean()), against="crops: ours over theirs",
                against_value=len(cells) / len(published), n=len(published),
                spread=(float(apart.min()), float(apart.max())), aim="1", held=bool((apart <= WITHIN_PX).all()))
        )  # fmt: skip
    return rows


def _decoding(root: Path) -> Row:
    """The part of the work that no change to the code of pcip can shorten."""
    files = [file.read_bytes() for file in sorted((root / "antibody").iterdir())]
    seconds = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        for file in files:
            jpeg8_decode(file)
        seconds.append((time.perf_counter() - began) / TURNS)
    return Row(
        f"HPA field: decoding of the RGB jpg alone, by libjpeg-turbo, {TURNS} times",
        1 / statistics.median(seconds[1:]), "fields/s", n=REPEATS,
    )  # fmt: skip


def _hpa_screen(root: Path) -> Screen:
    """The field as the atlas gives it out, an RGB jpg, and turned; under the atlas's spec with files by pattern."""
    planes = [np.asarray(Image.open(HPA / f"57_F11_1_{colour}.png")) for colour in ("red", "green", "blue")]
    (root / "antibody").mkdir(parents=True)
    for turn in range(TURNS):
        turned = np.rot90(np.dstack(planes)[:: 1 - turn // 4 * 2], turn)
        file = root / "antibody" / f"57_F11_{turn}_blue_red_green.jpg"
        Image.fromarray(turned).save(file, quality=95)
    spec = yaml.safe_load((TEMPLATES["human_protein_atlas"]).read_text())
    spec["files"] = {"pattern": "{gene}/{plate}_{well}_{field}_{channel}.jpg", "image_id": "{gene}_{well}"}
    spec["shards"] = {"by": "{gene}"}
    spec["crops"]["min_cells"] = 2
    del spec["images"]
    path = root.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(spec))
    return load_screen(path, root=str(root))


def _run_theirs(script: Any, root: Path, folder: Path) -> None:
    """The script's own loop over folders and files, with paths of ours."""
    folder.mkdir(parents=True)
    with contextlib.redirect_stdout(io.StringIO()):
        for image in sorted((root / "antibody").iterdir()):
            script.find_centers_and_crop(
                str(image), "antibody", image.name, f"{folder}/", f"{folder}/centres.txt"
            )


def _read_theirs(folder: Path) -> list[tuple[str, float, float]]:
    """Field, y and x at full size of each crop that the script has written; it works on a quarter-size image."""
    lines = [line.split("\t") for line in (folder / "centres.txt").read_text().splitlines()]
    return [(name.rsplit("_", 2)[1], 4.0 * int(y), 4.0 * int(x)) for name, x, y in lines]


def _authors_script(path: Path, *, blurred: bool) -> Any:
    """The authors' script as a module, given what libraries have dropped or renamed since it was written."""
    gone = "scipy.ndimage.measurements"
    spec = importlib.util.spec_from_file_location("authors_script", path)
    assert spec is not None
    assert spec.loader is not None
    script: Any = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings(), mock.patch.dict(sys.modules, {gone: scipy.ndimage}):
        spec.loader.exec_module(script)
    script.np = SimpleNamespace(**vars(np), int=int)
    script.remove_small_holes = lambda mask, min_size: remove_small_holes(mask, max_size=min_size - 1)
    script.remove_small_objects = lambda mask, min_size: remove_small_objects(
        mask, max_size=int(min_size) - 1
    )
    if not blurred:
        script.resize = partial(script.resize, anti_aliasing=False)
    return script
