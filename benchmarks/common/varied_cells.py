"""Simulated cells that vary more than those of the shipped starts, nearer to cells of the Human Protein Atlas.

Beside the compartments of the simulator there are eight more. Cells are smaller in their crops, stretched and bent,
and more of them are cut out of their background. Their staining is grainy, with unspecific dots, and blur and contrast
differ from cell to cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from unittest import mock

import numpy as np
from scipy import ndimage

from benchmarks.common import starting_weights
from pcip_core.crops.cut import corner, cut_cells
from pcip_core.simulate import human, plan
from pcip_core.simulate.human import _Cell, _grainy
from pcip_core.simulate.screen import photograph
from pcip_core.simulate.textures import dots, noise, ridges, soft
from pcip_core.spec.sections import Crops
from pcip_core.training.cells import CellSet

_WINDOWS = (
    96,
    112,
    128,
    152,
    176,
    200,
)  # side of the window around a cell in px, one of which is drawn per image
_CUT_OUT, _MOST_CELLS, _PER_CLASS, _BORDER_PX = 0.7, 10, 8, 40
_FLOOR = {"nucleus": 0.05, "microtubules": 0.05}  # as in the specs of human cells
_FIELD_PX, _SEED = 460, 101
SIZE_PX, IMAGES = 128, 300
Planes = Mapping[str, np.ndarray]


def varied_cells(images: int = IMAGES, part: range | None = None) -> CellSet:
    """Simulate cells of this many images, in crops of 128 px: each class has 8, the others are mixtures of two.

    Args:
        images: of the whole simulation.
        part: of these, the numbers of those that are drawn; by default all.
    """
    with mock.patch.dict(human._COMPARTMENTS, MORE), mock.patch.dict(plan.CLASSES, human=_classes()):
        simulation = replace(
            starting_weights._simulation("human", _FIELD_PX),
            proteins_per_class=_PER_CLASS,
            mixed_proteins=images - _PER_CLASS * len(_classes()),
            seed=_SEED,
        )
        pixels, number = [], []
        for image in plan.plan_screen(simulation):
            if part is not None and image.number not in part:
                continue
            rng = np.random.default_rng([_SEED, image.number])
            planes, truth = photograph(simulation, image, 1)
            crops = _of_image(rng, planes, human.whole_cells(simulation, image, 1), truth)
            pixels += crops
            number += [image.number] * len(crops)
    kept = np.flatnonzero(np.bincount(number)[number] > 1)  # agreement needs two cells
    return CellSet(
        np.stack(pixels)[kept],
        np.unique(np.array(number)[kept], return_inverse=True)[1],
        ("nucleus", "microtubules", "protein"),
    )


def halved(cells: CellSet) -> CellSet:
    """The same cells at half the size, each channel of each crop rescaled to 0..255 again."""
    pixels = np.asarray(cells.pixels).astype(np.float32)
    pixels = sum(pixels[..., y::2, x::2] for y in (0, 1) for x in (0, 1)) / 4
    low, high = pixels.min((2, 3), keepdims=True), pixels.max((2, 3), keepdims=True)
    rescaled = np.round((pixels - low) / np.maximum(high - low, 1) * 255).astype(np.uint8)
    return replace(cells, pixels=rescaled)


def _classes() -> tuple[str, ...]:
    return (*(name for name in plan.CLASSES["human"] if name not in MORE), *MORE)


def _of_image(
    rng: np.random.Generator, planes: Planes, owner: np.ndarray, truth: list[dict[str, float]]
) -> list[np.ndarray]:
    """Up to ten crops of an image, each (C, 128, 128) uint8."""
    window, cut_out = int(rng.choice(_WINDOWS)), bool(rng.random() < _CUT_OUT)
    blur, crops = rng.uniform(0, 1.2), []
    spec = Crops(window_px=None, size_px=SIZE_PX, floor=_FLOOR)
    for cell in truth:
        if len(crops) == _MOST_CELLS:
            break
        cut, own = _window(
            planes, owner == cell["cell_number"], cell["y_px"], cell["x_px"], window, cut_out=cut_out
        )
        if own is None:
            continue
        cut, own = _bent(rng, cut, own, rng.uniform(0.2, 1.4))
        cut = _stained(rng, cut, own, cut_out=cut_out)
        if rng.random() < 0.5:
            cut = {
                name: ndimage.gaussian_filter(plane, blur * rng.uniform(0.5, 1))
                for name, plane in cut.items()
            }
        if cut_out:
            cut = {
                name: np.where(own, plane - np.percentile(plane, 1), 0).clip(0) for name, plane in cut.items()
            }
        if rng.random() < 0.5:
            shift = rng.integers(-window // 10, window // 10 + 1, 2)
            cut = {name: np.roll(plane, shift, (0, 1)) for name, plane in cut.items()}
        crops += list(cut_cells(cut, np.ones((window, window), int), spec).pixels[:1])
    return crops


def _window(
    planes: Planes, own: np.ndarray, y: float, x: float, window: int, *, cut_out: bool
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """The window around a cell, and where the cell is in it; None at the border of the field.

    A cell that is cut out needs no whole window: what is beyond the border is dark.
    """
    top, left = corner(y, x, window)
    size, pad = len(own), 0
    if min(top, left) < 0 or max(top, left) + window > size:
        inside = all(_BORDER_PX < place < size - _BORDER_PX for place in (y, x))
        if not cut_out or not inside:
            return {}, None
        pad = window
    place = slice(top + pad, top + pad + window), slice(left + pad, left + pad + window)
    cut = {
        name: np.pad(plane, pad, constant_values=int(np.percentile(plane, 1)))[place].astype(np.float32)
        for name, plane in planes.items()
    }
    return cut, np.pad(own, pad)[place]


def _bent(
    rng: np.random.Generator, cut: Planes, own: np.ndarray, amount: float
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Stretch a window along a random axis, and bend it smoothly; all channels alike."""
    side = len(own)
    centre = (side - 1) / 2
    angle, stretch, _ = rng.uniform(0, np.pi), np.exp(rng.uniform(0, 0.45 * amount)), rng.uniform(0, 1)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag([stretch, 1 / stretch]) @ turn.T
    bends = [
        noise(rng, (side, side), 16.0) * 5 * amount + noise(rng, (side, side), 9.0) * 1.5 * amount
        for _ in range(2)
    ]
    y, x = np.mgrid[:side, :side] - centre
    places = np.array(
        [row[0] * y + row[1] * x + bend + centre for row, bend in zip(matrix, bends, strict=True)]
    )
    moved = {
        name: ndimage.map_coordinates(plane, places, order=1, mode="nearest") for name, plane in cut.items()
    }
    return moved, ndimage.map_coordinates(own.astype(np.uint8), places, order=0, mode="constant") > 0


def _stained(
    rng: np.random.Generator, cut: dict[str, np.ndarray], own: np.ndarray, *, cut_out: bool
) -> dict[str, np.ndarray]:
    """Make the protein grainy, in half of the cells with unspecific dots, and change its contrast."""
    base = np.percentile(cut["protein"], 1)
    protein = np.clip(cut["protein"] - base, 0, None)
    grain = noise(rng, protein.shape, float(rng.choice([0.7, 1.0, 1.4])))
    protein = protein * np.exp(grain * rng.uniform(0, 0.6))
    if rng.random() < 0.5:
        body = ndimage.gaussian_filter(own.astype(np.float32), 2)
        amount = rng.uniform(0, 0.35) * np.percentile(protein, 99) * 4
        protein = protein + amount * dots(rng, body, int(rng.integers(50, 400)), rng.uniform(0.6, 1.1))
    top = max(float(np.percentile(protein, 99.9)), 1e-6)
    protein = top * np.clip(protein / top, 0, None) ** rng.uniform(0.75, 1.5)
    return {**cut, "protein": protein + (0 if cut_out else base)}


def _bodies(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    count, sigma = int(rng.integers(3, 12)), rng.uniform(1.2, 2.2)
    return dots(rng, cell.nucleus * (1 - cell.nucleoli), count, sigma) * 12 + 0.05 * cell.nucleus


def _actin(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    angle, (y, x) = rng.uniform(0, np.pi), np.mgrid[: cell.body.shape[0], : cell.body.shape[1]]
    along = y * np.sin(angle) + x * np.cos(angle) + 3 * noise(rng, cell.body.shape, 9.0)
    lines = np.exp(-((np.sin(along / rng.uniform(1.3, 2.2)) / 0.5) ** 2))
    rim = 0.8 * np.exp(-(((cell.edge - 1) / 2.5) ** 2))
    return cell.body * (lines * (0.3 + soft(noise(rng, cell.body.shape, 6.0))) + 0.15 + rim)


def _centrosome(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    return cell.pole**4 * 8 + 0.06 * cell.body


def _intermediate(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    mesh = ridges(rng, cell.body.shape, 3.5, 3.0) + ridges(rng, cell.body.shape, 2.5, 3.0)
    return cell.cytoplasm * np.exp(-2 * cell.out) * (mesh + 0.05)


def _junctions(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    line = np.exp(-((np.clip(cell.edge - 1, 0, None) / 1.6) ** 2))
    return line * soft(noise(rng, cell.body.shape, 7.0) * 4) + 0.05 * cell.body


def _rim_of_nucleoli(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    edge = np.clip(cell.nucleoli * (1 - cell.nucleoli) * 4, 0, 1)
    return edge + 0.25 * cell.nucleoli + 0.08 * cell.nucleus


def _cytoplasmic_bodies(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    return dots(rng, cell.cytoplasm, int(rng.integers(4, 16)), rng.uniform(1.5, 2.6)) * 15 + 0.12 * cell.body


def _ruffles(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    rim = np.exp(-np.clip(cell.edge - 1, 0, None) / rng.uniform(3, 9)) * _grainy(rng, cell, 0.7, 5.0)
    return rim + 0.3 * cell.body * _grainy(rng, cell, 0.3, 2.0)


MORE = {
    "Nuclear bodies": _bodies,
    "Actin filaments": _actin,
    "Centrosome": _centrosome,
    "Intermediate filaments": _intermediate,
    "Cell junctions": _junctions,
    "Nucleoli rim": _rim_of_nucleoli,
    "Cytoplasmic bodies": _cytoplasmic_bodies,
    "Ruffles": _ruffles,
}
