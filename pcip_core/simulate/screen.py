"""Writing of a simulated screen: images, the tables that a laboratory would have, and the truth."""

from __future__ import annotations

import csv
import dataclasses
import json
import multiprocessing
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from pcip_core.errors import SpecError
from pcip_core.locks import locked
from pcip_core.simulate import human, yeast
from pcip_core.simulate.optics import expose, illumination
from pcip_core.simulate.plan import PlannedImage, channels, keyed_rng, plan_screen
from pcip_core.spec.simulation import Simulation

VERSION = 3  # increase when the same parameters give different images
TRUTH = {  # columns of the tables of truth
    "truth_images": (
        "image_id", "protein", "cell_line", "kind", "localization", "fractions", "variable_rate", "abundance",
        "leak", "focus_px", "n_cells", "simulator_version", "seed",
    ),
    "truth_cells": (
        "image_id", "cell_line", "field", "cell_number", "y_px", "x_px", "area_px", "stage", "expression", "leak",
        "state",
    ),
}  # fmt: skip
_KNOWN = ("image_id", "plate", "well", "protein", "gene", "cell_line", "localization")
_DRAW = {"human": human.draw_field, "yeast": yeast.draw_field}
_LABEL = {"human": human.label_field, "yeast": yeast.label_field}
_PHOTONS = {
    "nucleus": 900.0,
    "microtubules": 420.0,
    "cytosol": 700.0,
    "brightfield": 6000.0,
    "nuclear_pore": 260.0,
    "protein": 50.0,
}
_NOTICE = "SIMULATED image (pcip_core.simulate); no real cell was photographed"


def write_screen(
    simulation: Simulation,
    folder: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> None:
    """Write a simulated screen, unless the folder already holds the same simulation.

    The folder gets `<plate>/<well>_f<field>_<channel>.tif` (uint16), `images.csv` (the annotations that a
    laboratory would have), `truth_images.csv` and `truth_cells.csv` (known only to the simulator; columns in
    docs/reference/simulation.md), `SIMULATED.md` and `simulation.json`. It is written under a temporary name and
    then renamed, so an interrupted simulation leaves no incomplete folder. The next simulation removes the remains
    of a killed one. If several processes request the same screen, they wait for the first.

    Args:
        simulation: the parameters.
        folder: replaced if it holds another simulation.
        progress: called with the number of fields done and the total number of fields.
        workers: number of processes; the images do not depend on it.

    Raises:
        SpecError: the parameters are invalid, or the folder holds files that are no simulation.
    """
    images = plan_screen(simulation)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_name(f".{folder.name}.lock")):
        parameters = json.dumps({"version": VERSION, **dataclasses.asdict(simulation)}, indent=1)
        parameters_file = folder / "simulation.json"
        if parameters_file.is_file() and parameters_file.read_text() == parameters:
            return
        _require_own(folder, parameters_file)
        new, old = (folder.with_name(f".{folder.name}.{suffix}") for suffix in ("new", "old"))
        _clear(new, old)
        try:
            _draw_screen(simulation, images, new, progress, workers)
            (new / "simulation.json").write_text(parameters)
            if folder.exists():
                folder.rename(old)
            new.rename(folder)
        finally:
            _clear(new, old)


def _require_own(folder: Path, parameters_file: Path) -> None:
    """Raise a SpecError if the folder holds files that are not a simulation, which would be lost."""
    files = sorted(folder.iterdir()) if folder.is_dir() and not parameters_file.is_file() else []
    if files:
        raise SpecError(
            folder,
            found=f"files that are no simulation ({files[0].name}), and a spec with the section `simulation`",
            required="a folder that does not exist, is empty or holds a simulation, because it is written anew",
            remedy="Remove the section `simulation` if these are your images; otherwise name another `root`.",
        )


def _clear(*folders: Path) -> None:
    """Remove folders as far as possible; one that is still there fails the next drawing."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _draw_screen(
    simulation: Simulation,
    images: list[PlannedImage],
    folder: Path,
    progress: Callable[[int, int], None] | None,
    workers: int,
) -> None:
    """Write all files except `simulation.json` into a new folder."""
    for plate in sorted({image.plate for image in images}):
        (folder / plate).mkdir(parents=True)
    cells: dict[str, list[dict[str, Any]]] = {}
    total = len(images) * simulation.fields_per_image
    for done, (image, rows) in enumerate(_drawn(simulation, images, folder, workers), 1):
        cells[image.image_id] = rows
        if progress is not None:
            progress(done * simulation.fields_per_image, total)
    _write_tables(folder, images, cells, simulation)
    (folder / "SIMULATED.md").write_text(
        "# These images are simulated\n\nNo real cell was photographed. They were drawn by "
        "`pcip_core.simulate` with the parameters in `simulation.json`. The truth about each image and "
        "cell is in `truth_images.csv` and `truth_cells.csv`.\n"
    )


def _drawn(
    simulation: Simulation, images: list[PlannedImage], folder: Path, workers: int
) -> Iterator[tuple[PlannedImage, list[dict[str, Any]]]]:
    """Draw and write all images with one or several processes, and yield each with its rows of truth."""
    draw = partial(_draw_image, simulation, folder)
    if workers <= 1:
        yield from zip(images, map(draw, images), strict=True)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from zip(images, pool.map(draw, images, chunksize=4), strict=True)


def photograph(
    simulation: Simulation, image: PlannedImage, field: int
) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
    """Simulate the images of one field.

    Args:
        simulation: the parameters.
        image: an image of `plan_screen(simulation)`.
        field: number of the field, from 1.

    Returns:
        Channel -> (H, W) uint16, and one row of truth per cell.

    >>> small = Simulation("yeast", field_size_px=96)
    >>> planes, truth = photograph(small, plan_screen(small)[0], 1)
    >>> list(planes), planes["protein"].shape, truth[0]["state"]
    (['cytosol', 'protein'], (96, 96), 'Cytoplasm=1')
    """
    light, truth = _DRAW[simulation.organism](simulation, image, field)
    pictures = {}
    for channel in channels(simulation):
        pictures[channel] = expose(
            keyed_rng(simulation, image.number, field, channel),
            light[channel],
            illumination(keyed_rng(simulation, image.plate, channel), simulation.field_size_px),
            photons=_PHOTONS[channel] * (image.abundance if channel == "protein" else 1.0),
            background=0.04 if channel != "protein" else 0.03 + 0.05 / (0.5 + image.abundance),
            blur_px=image.focus,
        )
    return pictures, truth


def true_labels(simulation: Simulation, image: PlannedImage, field: int) -> np.ndarray:
    """The true segmentation of a field: (H, W) int32, yeast cells with their buds or human nuclei.

    The label of a cell is its `cell_number` in the truth. Cells at the border are included.

    >>> small = Simulation("yeast", field_size_px=96)
    >>> image = plan_screen(small)[0]
    >>> labels, truth = true_labels(small, image, 1), photograph(small, image, 1)[1]
    >>> labels[int(truth[0]["y_px"]), int(truth[0]["x_px"])] == truth[0]["cell_number"]
    np.True_
    """
    return _LABEL[simulation.organism](simulation, image, field)


def _draw_image(simulation: Simulation, folder: Path, image: PlannedImage) -> list[dict[str, Any]]:
    rows = []
    for field in range(1, simulation.fields_per_image + 1):
        pictures, truth = photograph(simulation, image, field)
        for channel, picture in pictures.items():
            name = f"{image.well}_f{field}_{channel}.tif"
            tifffile.imwrite(
                folder / image.plate / name, picture, description=_NOTICE, metadata=None, software="pcip"
            )
        rows += truth
    return rows


def _write_tables(
    folder: Path, images: list[PlannedImage], cells: dict[str, list[dict[str, Any]]], simulation: Simulation
) -> None:
    known = [
        {
            "image_id": image.image_id,
            "plate": image.plate,
            "well": image.well,
            "protein": image.protein,
            "gene": image.gene,
            "cell_line": image.cell_line,
            "localization": ";".join(image.fractions),
        }
        for image in images
    ]
    truth = [
        {
            "image_id": image.image_id,
            "protein": image.protein,
            "cell_line": image.cell_line,
            "kind": image.kind,
            "localization": ";".join(image.fractions),
            "fractions": ";".join(f"{name}={share:g}" for name, share in image.fractions.items()),
            "variable_rate": image.rate,
            "abundance": round(image.abundance, 4),
            "leak": round(image.leak, 4),
            "focus_px": round(image.focus, 4),
            "n_cells": len(cells[image.image_id]),
            "simulator_version": VERSION,
            "seed": simulation.seed,
        }
        for image in images
    ]
    truth_cells = [
        {"image_id": image.image_id, "cell_line": image.cell_line, **row}
        for image in images
        for row in cells[image.image_id]
    ]
    columns = {"images": _KNOWN, **TRUTH}
    for name, rows in (("images", known), ("truth_images", truth), ("truth_cells", truth_cells)):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, columns[name], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
