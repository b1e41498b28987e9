"""Simulated archives in the layouts of the paper's yeast data: CyCLOPS WT2, and the labelled cells of Chong et al.

Names of files, arrays, channels and classes are those of the archives; the cells are SIMULATED. The sizes are reduced.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import tifffile

from pcip_core.simulate.plan import CLASSES, PlannedImage, plan_screen
from pcip_core.simulate.screen import photograph
from pcip_core.spec.simulation import Simulation

SETS = ("train", "valid", "test")
LABELS = (  # 18 columns of Index1; Spindle and Spindle Pole are one class in the paper, which makes 17
    *("Actin", "Bud", "Bud Neck", "Bud Site", "Cell Periphery", "Cytoplasm", "Cytoplasmic Foci", "Eisosomes"),
    *("Endoplasmic Reticulum", "Endosome", "Golgi", "Lipid Particles", "Mitochondria", "Nucleus"),
    *("Peroxisomes", "Spindle", "Spindle Pole", "Vacuole"),
)
_SIDE_PX = 64
_FIELDS = 4  # of a protein of CyCLOPS
_NOTICE = "SIMULATED image (pcip_core.simulate); no real cell was photographed"


def write_cyclops(
    folder: Path, *, proteins_per_class: int = 2, field_size_px: int = 640, seed: int = 0
) -> int:
    """Write `plate_<n>/<protein>_<field>_<rfp|gfp>.tif`, four fields of each protein; return the number of proteins."""
    simulation = Simulation(
        "yeast",
        plates=2,
        proteins_per_class=proteins_per_class,
        fields_per_image=_FIELDS,
        mixed_proteins=0,
        variable_proteins=0,
        field_size_px=field_size_px,
        seed=seed,
    )
    images = plan_screen(simulation)
    for image in images:
        (folder / image.plate).mkdir(parents=True, exist_ok=True)
        for field in range(1, _FIELDS + 1):
            planes, _ = photograph(simulation, image, field)
            for name, channel in (("rfp", "cytosol"), ("gfp", "protein")):
                path = folder / image.plate / f"{image.gene}_{field}_{name}.tif"
                tifffile.imwrite(path, planes[channel], description=_NOTICE, metadata=None)
    return len(images)


def write_chong(
    folder: Path,
    *,
    cells_per_class: int = 12,
    field_size_px: int = 640,
    seed: int = 1,
    sets: Sequence[str] = SETS,
) -> int:
    """Write `Chong_{train,valid,test}_set.hdf5` with `data1`, `Index1`, `Info1` and their columns; return the cells.

    A simulated class is one compartment or a fixed mixture of two, because the simulator has fewer compartments. Each
    file holds other cells. `Info1` holds simple measurements in place of CellProfiler's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    simulation = Simulation("yeast", field_size_px=field_size_px, seed=seed)
    plan = plan_screen(simulation)[0]
    written = 0
    for place, name in enumerate(sets):
        pixels, classes = [], []
        for number, fractions in enumerate(_mixtures()):
            image = replace(
                plan,
                number=1000 * place + number,
                fractions=fractions,
                kind="single" if len(fractions) == 1 else "mixed",
            )
            cells = list(_cells(simulation, image, cells_per_class))
            pixels += cells
            classes += [number] * len(cells)
        data = np.stack(pixels).reshape(len(pixels), -1).astype(np.float64)
        with h5py.File(folder / f"Chong_{name}_set.hdf5", "w") as file:
            file.attrs["notice"] = _NOTICE
            file["data1"] = data
            file["Index1"] = np.eye(len(LABELS), dtype=np.uint8)[classes]
            file["Index1_columns"] = np.array(LABELS, "S")
            protein, cytosol = data[:, : _SIDE_PX**2], data[:, _SIDE_PX**2 :]
            info = {
                f"{channel}_{measure}": function(values, axis=1)
                for channel, values in (("GFP", protein), ("RFP", cytosol))
                for measure, function in (("Mean", np.mean), ("StdDev", np.std), ("Max", np.max))
            }
            file["Info1"] = np.stack(list(info.values()), axis=1)
            file["Info1_columns"] = np.array(list(info), "S")
        written += len(data)
    return written


def _mixtures() -> list[dict[str, float]]:
    """The compartments of each of the 18 columns: ten single ones, then mixtures of neighbours in the list."""
    names = CLASSES["yeast"]
    single = [{name: 1.0} for name in names]
    pairs = [{names[at]: 0.5, names[(at + 3) % len(names)]: 0.5} for at in range(len(LABELS) - len(single))]
    return single + pairs


def _cells(simulation: Simulation, image: PlannedImage, most: int) -> Iterator[np.ndarray]:
    """At most so many cells of an image, (2, 64, 64): protein, cytosol."""
    half, given = _SIDE_PX // 2, 0
    for field in range(1, 20):
        planes, truth = photograph(simulation, image, field)
        both = np.stack([planes["protein"], planes["cytosol"]])
        for row in truth:
            y, x = round(float(row["y_px"])), round(float(row["x_px"]))
            crop = both[:, max(y - half, 0) : y + half, max(x - half, 0) : x + half]
            if crop.shape == (2, _SIDE_PX, _SIDE_PX) and given < most:
                given += 1
                yield crop
        if given == most:
            return
