"""A field of human-like cells: a sheet of adjacent territories, each with a nucleus and organelles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from pcip_core.simulate.plan import PlannedImage, keyed_rng, varied
from pcip_core.simulate.textures import dots, filaments, noise, ridges, soft
from pcip_core.spec.simulation import Simulation

_HALF = 110  # half the side of the window of a cell, px
_SPACING = 84.0  # least distance between two nuclei, px
_HEIGHT_BLUR_PX = 2.0  # largest additional blur (sigma) of a cell, because cells lie at different heights


@dataclass(frozen=True)
class _Shape:
    """Geometry of a cell: centre, nuclear half-axes, direction, radius and stretch of the body, cell-cycle stage."""

    y: float
    x: float
    long: float
    short: float
    angle: float
    reach: float
    stretch: float
    stage: str


@dataclass(frozen=True)
class _Cell:
    """The maps of one cell in its window, each (h, w), from which all compartments are computed."""

    nucleus: np.ndarray  # 0..1
    rim: np.ndarray  # px outside (+) or inside (-) the nuclear edge
    nucleoli: np.ndarray  # 0..1
    body: np.ndarray  # 0..1
    edge: np.ndarray  # distance to the edge of the cell, inside, px
    out: np.ndarray  # 0 at the nucleus .. 1 at the edge of the cell
    fibres: np.ndarray
    pole: np.ndarray  # proximity to the organizing centre, 0..1
    shape: _Shape

    @property
    def cytoplasm(self) -> np.ndarray:
        return self.body * (1 - self.nucleus)


def draw_field(
    simulation: Simulation, image: PlannedImage, field: int
) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
    """Emitted light of each channel (H, W), and one row of truth per cell whose nucleus is within the field."""
    size = simulation.field_size_px
    rng = keyed_rng(simulation, image.number, field, "layout")
    shapes = _place(rng, size, elongated=image.cell_line == "sim-mesenchymal")
    owner, depth = _territories(rng, size, shapes)
    planes = {name: np.zeros((size, size), np.float32) for name in ("nucleus", "microtubules", "protein")}
    truth: list[dict[str, Any]] = []
    for number, shape in enumerate(shapes, 1):
        cell_rng = keyed_rng(simulation, image.number, field, number)
        window = _window(shape, size)
        cell = _cell(cell_rng, shape, owner[window] == number, depth[window], window)
        state = _state(cell_rng, image)
        expression = float(cell_rng.lognormal(0, 0.3))
        density = sum(
            share * _normal(_COMPARTMENTS[name](cell_rng, cell), cell) for name, share in state.items()
        )
        diffuse = _normal(
            cell.body * (0.75 + 0.1 * noise(cell_rng, cell.body.shape, 6.0)) * (1.3 - cell.out), cell
        )
        leak = varied(cell_rng, image.leak)
        protein = (1 - leak) * density + leak * diffuse
        protein = ndimage.gaussian_filter(protein, cell_rng.uniform(0, _HEIGHT_BLUR_PX))
        planes["nucleus"][window] += _dna(cell_rng, cell)
        planes["microtubules"][window] += _tubulin(cell_rng, cell)
        planes["protein"][window] += expression * protein
        truth.append(
            {
                "field": field,
                "cell_number": number,
                "y_px": round(shape.y, 2),
                "x_px": round(shape.x, 2),
                "area_px": round(float((owner[window] == number).sum()), 1),
                "stage": shape.stage,
                "expression": round(expression, 4),
                "leak": round(leak, 4),
                "state": ";".join(f"{name}={share:g}" for name, share in state.items()),
            }
        )
    inside = [row for row in truth if 0 <= row["y_px"] < size and 0 <= row["x_px"] < size]
    return planes, inside


def label_field(simulation: Simulation, image: PlannedImage, field: int) -> np.ndarray:
    """Label the nuclei of a field by cell number: (H, W) int32."""
    size = simulation.field_size_px
    rng = keyed_rng(simulation, image.number, field, "layout")
    shapes = _place(rng, size, elongated=image.cell_line == "sim-mesenchymal")
    owner, depth = _territories(rng, size, shapes)
    labels = np.zeros((size, size), np.int32)
    for number, shape in enumerate(shapes, 1):
        window = _window(shape, size)
        cell_rng = keyed_rng(simulation, image.number, field, number)
        labels[window][
            _cell(cell_rng, shape, owner[window] == number, depth[window], window).nucleus > 0.5
        ] = number
    return labels


def whole_cells(simulation: Simulation, image: PlannedImage, field: int) -> np.ndarray:
    """Label the cells of a field, not their nuclei alone, by cell number: (H, W) int16."""
    size = simulation.field_size_px
    rng = keyed_rng(simulation, image.number, field, "layout")
    shapes = _place(rng, size, elongated=image.cell_line == "sim-mesenchymal")
    return _territories(rng, size, shapes)[0]


def _state(rng: np.random.Generator, image: PlannedImage) -> dict[str, float]:
    """Compartments of the protein in this cell: both of a mixed protein, one of a variable protein."""
    first_or_second = rng.random()
    if image.kind != "variable":
        return dict(image.fractions)
    first, second = image.fractions
    return {second if first_or_second < image.rate else first: 1.0}


def _place(rng: np.random.Generator, size: int, *, elongated: bool) -> list[_Shape]:
    """Place nuclei by dart throwing, also beyond the border of the field, so that cells are cut at the border."""
    points: list[np.ndarray] = []
    margin = 40
    count = int(rng.integers(23, 31) * (size / 640) ** 2)
    for candidate in rng.uniform(-margin, size + margin, (60 * count, 2)):
        if all(np.hypot(*(candidate - other)) > _SPACING for other in points):
            points.append(candidate)
        if len(points) == count:
            break
    shared = rng.uniform(0, np.pi)
    shapes = []
    for y, x in points:
        stage = str(rng.choice(["G1", "S", "G2", "M"], p=[0.5, 0.2, 0.27, 0.03]))
        radius = {"G1": 18.5, "S": 20.0, "G2": 21.5, "M": 16.0}[stage] * rng.lognormal(0, 0.06)
        ratio = rng.uniform(1.3, 1.6) if elongated else rng.uniform(1.02, 1.2)
        angle = shared + rng.normal(0, 0.5) if elongated else rng.uniform(0, np.pi)
        reach = (66 if elongated else 60) * rng.lognormal(0, 0.12)
        stretch = rng.uniform(1.5, 2.1) if elongated else rng.uniform(1.0, 1.25)
        shapes.append(_Shape(y, x, radius * ratio**0.5, radius / ratio**0.5, angle, reach, stretch, stage))
    return shapes


def _turned(shape: _Shape, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates along and across the long axis of a cell, px from its centre."""
    dy, dx = y - shape.y, x - shape.x
    return dx * np.cos(shape.angle) + dy * np.sin(shape.angle), dy * np.cos(shape.angle) - dx * np.sin(
        shape.angle
    )


def _territories(rng: np.random.Generator, size: int, shapes: list[_Shape]) -> tuple[np.ndarray, np.ndarray]:
    """Number of the cell at each pixel (0: none), and distance to the edge of this cell in px: two (H, W)."""
    step = 2
    y, x = np.mgrid[0:size:step, 0:size:step].astype(np.float32)
    y = y + 6 * noise(rng, y.shape, 9.0)  # ragged borders
    x = x + 6 * noise(rng, x.shape, 9.0)
    nearest = np.full(y.shape, np.inf, np.float32)
    owner = np.zeros(y.shape, np.int16)
    for number, shape in enumerate(shapes, 1):
        along, across = _turned(shape, y, x)
        distance = (
            np.sqrt((along / shape.stretch**0.5) ** 2 + (across * shape.stretch**0.5) ** 2) / shape.reach
        )
        owner[distance < nearest] = number
        nearest = np.minimum(nearest, distance)
    owner[nearest > 1] = 0
    fine = owner.repeat(step, 0).repeat(step, 1)[:size, :size]
    smooth = ndimage.median_filter(fine, 5)
    border = (ndimage.maximum_filter(smooth, 3) != ndimage.minimum_filter(smooth, 3)) | (smooth == 0)
    return smooth, ndimage.distance_transform_edt(~border).astype(np.float32)


def _window(shape: _Shape, size: int) -> tuple[slice, slice]:
    top, left = int(shape.y) - _HALF, int(shape.x) - _HALF
    return (
        slice(max(0, top), max(1, min(size, top + 2 * _HALF))),
        slice(max(0, left), max(1, min(size, left + 2 * _HALF))),
    )


def _cell(
    rng: np.random.Generator,
    shape: _Shape,
    territory: np.ndarray,
    depth: np.ndarray,
    window: tuple[slice, slice],
) -> _Cell:
    y, x = np.mgrid[window].astype(np.float32)
    along, across = _turned(shape, y, x)
    if shape.stage == "M":  # a metaphase plate
        along, across = along * shape.long / 17, across * shape.short / 6.5
    radius = np.sqrt((along / shape.long) ** 2 + (across / shape.short) ** 2)
    wobble = 1 + 0.035 * noise(rng, radius.shape, 9.0)
    rim = (radius * wobble - 1) * (shape.long * shape.short) ** 0.5
    nucleus = soft(-rim, 0.7)
    body = np.maximum(ndimage.gaussian_filter(territory.astype(np.float32), 1.0), nucleus * territory)
    edge = np.where(territory, depth, 0)
    out = np.clip(rim, 0, None) / (np.clip(rim, 0, None) + edge + 2)
    nucleoli = _nucleoli(rng, shape, radius)
    direction = rng.uniform(0, 2 * np.pi)
    distance = (shape.long * shape.short) ** 0.5 + rng.uniform(3, 7)
    pole_y = shape.y + distance * np.sin(direction) - window[0].start
    pole_x = shape.x + distance * np.cos(direction) - window[1].start
    py, px = y - window[0].start - pole_y, x - window[1].start - pole_x
    radial = py * np.sin(direction) + px * np.cos(direction)
    tangential = px * np.sin(direction) - py * np.cos(direction)
    pole = np.exp(-((radial / 6.0) ** 2) - (tangential / 13.0) ** 2)
    inside = territory & (ndimage.uniform_filter(body, 3) > 0.5)
    fibres = filaments(rng, inside, (pole_y, pole_x), count=int(rng.integers(90, 130)), steps=120, bend=0.11)
    return _Cell(nucleus, rim, nucleoli, body, edge, out, fibres, pole, shape)


def _nucleoli(rng: np.random.Generator, shape: _Shape, radius: np.ndarray) -> np.ndarray:
    if shape.stage == "M":
        return np.zeros_like(radius)
    where = (radius < 0.62).astype(np.float32)
    blobs = dots(rng, where, int(rng.integers(1, 5)), rng.uniform(3.0, 4.6), 0.35)
    blobs = blobs / max(float(blobs.max()), 1e-6) + 0.06 * noise(rng, radius.shape, 2.0)
    return soft((blobs - 0.42) * 9, 0.7) * (radius < 0.9)


def _dna(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    amount = {"G1": 1.0, "S": 1.15, "G2": 1.3, "M": 2.6}[cell.shape.stage] * rng.lognormal(0, 0.12)
    shape = cell.nucleus.shape
    chromatin = 0.8 + 0.13 * noise(rng, shape, 1.6) + 0.12 * noise(rng, shape, 4.0)
    return (amount * cell.nucleus * np.clip(chromatin, 0.2, None) * (1 - 0.6 * cell.nucleoli)).astype(
        np.float32
    )


def _tubulin(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    spindle = cell.shape.stage == "M"
    diffuse = 0.10 * cell.cytoplasm * (1.2 - cell.out)
    fibres = cell.fibres * (1 - 0.55 * cell.nucleus) * cell.body
    brightness = rng.lognormal(0, 0.2)
    if spindle:
        return (brightness * (0.6 * cell.body * np.exp(-((cell.rim / 9) ** 2)) + diffuse)).astype(np.float32)
    return (brightness * (0.38 * np.minimum(fibres, 2.5) + diffuse)).astype(np.float32)


def _normal(density: np.ndarray, cell: _Cell) -> np.ndarray:
    """Scale a density so that its mean over the cell is 1, whatever the size of the compartment."""
    density = np.clip(density, 0, None) * cell.body
    area = float(cell.body.sum())
    return density * (area / max(float(density.sum()), 1e-6))


def _grainy(rng: np.random.Generator, cell: _Cell, amount: float, sigma: float) -> np.ndarray:
    return np.clip(1 + amount * noise(rng, cell.body.shape, sigma), 0.05, None)


def _nucleoplasm(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    if cell.shape.stage == "M":
        return cell.body * (1 - 0.7 * cell.nucleus)
    return cell.nucleus * (1 - 0.8 * cell.nucleoli) * _grainy(rng, cell, 0.16, 1.6)


def _in_nucleoli(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    if cell.shape.stage == "M":
        return cell.body * (1 - 0.3 * cell.nucleus)
    return cell.nucleoli * _grainy(rng, cell, 0.2, 1.5) + 0.05 * cell.nucleus


def _nuclear_membrane(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    ring = np.exp(-((cell.rim / 1.9) ** 2))
    return ring * _grainy(rng, cell, 0.3, 1.6) + 0.13 * cell.nucleus


def _speckles(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    spots = soft((noise(rng, cell.body.shape, 2.0) - rng.uniform(0.75, 1.1)) * 2.0, 0.3)
    return cell.nucleus * (1 - cell.nucleoli) * (spots + 0.14) * soft(-cell.rim - 1.5, 0.6)


def _cytosol(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    return cell.body * (1 - 0.85 * cell.nucleus) * (1.35 - cell.out) * _grainy(rng, cell, 0.12, 3.0)


def _reticulum(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    mesh = ridges(rng, cell.body.shape, 2.0, 1.6) + 0.7 * ridges(rng, cell.body.shape, 1.5, 1.6)
    ring = 0.5 * np.exp(-((cell.rim / 1.8) ** 2))
    return cell.cytoplasm * np.exp(-2.4 * cell.out) * (0.25 + mesh) + ring


def _mitochondria(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    lines = ridges(rng, cell.body.shape, 2.8, 2.6)
    broken = soft((noise(rng, cell.body.shape, 4.0) + 0.3) * 3, 0.5)
    return cell.cytoplasm * lines * broken * np.exp(-2.2 * cell.out) * soft(cell.rim - 1, 1.0)


def _golgi(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    ribbon = ridges(rng, cell.body.shape, 2.4, 1.5) ** 2
    return cell.cytoplasm * cell.pole * (0.15 + ribbon) * _grainy(rng, cell, 0.25, 2.0)


def _plasma_membrane(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    line = np.exp(-((np.clip(cell.edge - 1.0, 0, None) / 2.2) ** 2)) * _grainy(rng, cell, 0.35, 4.0)
    return line + 0.13 * (1 - 0.4 * cell.nucleus)


def _vesicles(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    where = cell.cytoplasm * np.exp(-1.6 * cell.out)
    few_large = dots(rng, where, int(rng.integers(8, 20)), 1.9)
    many_small = dots(rng, where, int(rng.integers(30, 70)), 1.15)
    return 2.0 * few_large + many_small


def _along_microtubules(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    coat = _grainy(rng, cell, 0.3, 2.0)
    return np.minimum(cell.fibres, 2.5) * (1 - 0.55 * cell.nucleus) * coat + 0.03 * cell.cytoplasm


_COMPARTMENTS = {
    "Nucleoplasm": _nucleoplasm,
    "Nucleoli": _in_nucleoli,
    "Nuclear membrane": _nuclear_membrane,
    "Nuclear speckles": _speckles,
    "Cytosol": _cytosol,
    "Endoplasmic reticulum": _reticulum,
    "Mitochondria": _mitochondria,
    "Golgi apparatus": _golgi,
    "Plasma membrane": _plasma_membrane,
    "Vesicles": _vesicles,
    "Microtubules": _along_microtubules,
}
