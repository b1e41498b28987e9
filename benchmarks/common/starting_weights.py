"""Make the encoders that a training can start from (`encoder.start`), from simulated cells alone.

Run `python -m benchmarks.common.starting_weights [NAME ...]`. It simulates cells, trains with the recipe `agreement`,
writes `pcip_core/models/starts/NAME.safetensors`, and prints the digest that belongs into `DIGESTS`. Machines that
compute alike give equal weights; others differ by rounding.

A start shall suit images of other microscopes. Its cells therefore vary more than those of a simulated screen: each
image has one of several magnifications, and the cells of half of the images are cut out of their background.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

from pcip_core.crops.cut import corner, cut_cells
from pcip_core.models.starts import starting
from pcip_core.simulate.human import whole_cells
from pcip_core.simulate.plan import channels, plan_screen
from pcip_core.simulate.screen import photograph, true_labels
from pcip_core.spec.recipes import RECIPES
from pcip_core.spec.sections import Crops
from pcip_core.spec.simulation import Simulation
from pcip_core.spec.training import START_CHANNELS, START_SHAPE, Augmentation, EncoderConfig
from pcip_core.training.cells import CellSet
from pcip_core.training.loop import train
from pcip_core.training.tasks.pairs import network_and_task
from pcip_core.training.tracker import ProgressTracker

FOLDER = Path(starting.__file__).parent


@dataclass(frozen=True)
class Recipe:
    """How the cells of a start are simulated.

    Attributes:
        simulation: the screen; its seed is not that of any shipped spec.
        windows: side of the window around a cell in px, one of which is drawn for each image.
    """

    simulation: Simulation
    windows: tuple[int, ...]


def _simulation(organism: str, size: int) -> Simulation:
    return Simulation(
        organism,
        plates=6,
        proteins_per_class=12,
        fields_per_image=1,
        mixed_proteins=60,
        variable_proteins=0,
        field_size_px=size,
        seed=100,
    )


STARTS = {
    "simulated_human": Recipe(_simulation("human", 640), (72, 88, 104, 128, 152)),
    "simulated_yeast": Recipe(_simulation("yeast", 304), (44, 52, 60, 68, 80)),
}
_AGREEMENT = RECIPES["agreement"] | {
    "augment": Augmentation(**RECIPES["agreement"]["augment"]),
    "projector": EncoderConfig.projector,  # the starts came before longer vectors
}
CONFIG = EncoderConfig(**{**_AGREEMENT, **START_SHAPE, "epochs": 12, "precision": "bf16"})
_SIZE_PX, _MOST_CELLS, _CUT_OUT = 64, 16, 0.5  # of a crop; of an image; share of the images
_FLOOR = dict.fromkeys(START_CHANNELS["simulated_human"], 0.05)  # as in the specs of human cells


def main(names: list[str]) -> None:
    """Train and write the starts of these names, by default all."""
    torch.set_num_threads(1)
    for name in names or STARTS:
        content = trained_weights(varied_cells(STARTS[name]), CONFIG)
        (FOLDER / f"{name}.safetensors").write_bytes(content)
        print(f"{name}: {len(content):,} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}", flush=True)


def varied_cells(recipe: Recipe) -> CellSet:
    """Simulate cells, and cut them at magnifications that differ by image, in half of the images without background."""
    simulation, rng = recipe.simulation, np.random.default_rng(recipe.simulation.seed)
    pixels, images = [], []
    for image in plan_screen(simulation):
        planes, truth = photograph(simulation, image, 1)
        window, cut_out = int(rng.choice(recipe.windows)), bool(rng.random() < _CUT_OUT)
        labels = whole_cells if simulation.organism == "human" else true_labels
        owner = labels(simulation, image, 1) if cut_out else None
        cells = []
        for cell in truth:
            crop = _crop(planes, owner, cell["cell_number"], cell["y_px"], cell["x_px"], window)
            cells += [] if crop is None else [crop]
        pixels += cells[:_MOST_CELLS]
        images += [image.number] * len(cells[:_MOST_CELLS])
    number = np.unique(np.array(images), return_inverse=True)[1]
    return CellSet(np.stack(pixels), number, channels(simulation))


def _crop(
    planes: Mapping[str, np.ndarray],
    owner: np.ndarray | None,
    number: int,
    y: float,
    x: float,
    window: int,
) -> np.ndarray | None:
    """Cut one cell, (C, S, S) uint8; None at the border of the field.

    Args:
        planes: channel -> (H, W).
        owner: (H, W) number of the cell at each pixel, to leave out what is around the cell; None keeps it.
        number, y, x: the cell and its centre.
        window: side of the window, px.
    """
    top, left = corner(y, x, window)
    height, width = next(iter(planes.values())).shape
    if min(top, left) < 0 or top + window > height or left + window > width:
        return None
    place = slice(top, top + window), slice(left, left + window)
    cut = {name: plane[place].astype(np.float32) for name, plane in planes.items()}
    if owner is not None:
        inside = owner[place] == number
        cut = {
            name: np.where(inside, plane - np.percentile(plane, 1), 0).clip(0) for name, plane in cut.items()
        }
    floor = {name: value for name, value in _FLOOR.items() if name in planes}
    spec = Crops(window_px=None, size_px=_SIZE_PX, floor=floor)
    found = cut_cells(cut, np.ones((window, window), int), spec).pixels
    return found[0] if len(found) else None


def trained_weights(cells: CellSet, config: EncoderConfig) -> bytes:
    """Train an encoder on all cells, and return the state of its source encoder and projector as a safetensors file.

    The metadata of the file hold the settings, and the numbers of cells and images.
    """
    images = int(cells.image.max()) + 1
    structural = tuple(name for name in cells.channels if name != "protein")
    size = cells.pixels.shape[-1]
    shape, task = network_and_task(config, cells.channels, structural, ("protein",), size, images=images)
    network = train(cells, shape, config, task=task, tracker=ProgressTracker()).network
    state = {name: values.contiguous() for name, values in network.state_dict().items()}
    metadata = {
        "cells": f"{len(cells.image)} simulated cells of {images} simulated images, no real image",
        "channels": ",".join(cells.channels),
        "settings": json.dumps(asdict(config)),
    }
    return save(state, metadata)


if __name__ == "__main__":
    main(sys.argv[1:])
