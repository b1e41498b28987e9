"""A field of budding yeast: clumps of round cells with buds, vacuoles and other compartments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from pcip_core.simulate.plan import PlannedImage, keyed_rng, varied
from pcip_core.simulate.textures import dots, noise, ridges, soft
from pcip_core.spec.simulation import Simulation

_HALF = 44  # half the side of the window of a cell, px


@dataclass(frozen=True)
class _Shape:
    """Geometry of a cell: half-axes and direction of the mother. The bud grows from the tip of the mother."""

    long: float
    short: float
    angle: float
    bud: float  # radius, 0 without a bud
    stage: str


@dataclass(frozen=True)
class _Cell:
    """The maps of one cell in its window, each (h, w)."""

    body: np.ndarray  # 0..1
    edge: np.ndarray  # distance to the edge of the cell, inside, px
    thickness: np.ndarray  # 0 at the edge .. 1
    nucleus: np.ndarray  # 0..1
    rim: np.ndarray  # px outside (+) the nuclear edge
    nucleolus: np.ndarray  # 0..1
    vacuole: np.ndarray  # 0..1
    shore: np.ndarray  # px outside (+) the edge of the vacuole
    shape: _Shape


def draw_field(
    simulation: Simulation, image: PlannedImage, field: int
) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
    """Emitted light of each channel (H, W), and one row of truth per cell (centre of the mother)."""
    size = simulation.field_size_px
    rng = keyed_rng(simulation, image.number, field, "layout")
    placed = _place(rng, size, elongated=image.cell_line == "sim-elongated")
    marker = simulation.marker
    padded = {name: np.zeros((size + 4 * _HALF,) * 2, np.float32) for name in (marker, "protein")}
    optics = keyed_rng(simulation, image.number, field, "optics")
    focus = float(optics.choice([-1, 1], p=[0.25, 0.75]) * optics.uniform(0.5, 1.3))
    truth: list[dict[str, Any]] = []
    for number, (y, x, shape) in enumerate(placed, 1):
        cell_rng = keyed_rng(simulation, image.number, field, number)
        cell = _cell(cell_rng, shape, y % 1, x % 1)
        state = _state(cell_rng, image)
        expression = float(cell_rng.lognormal(0, 0.35))
        density = sum(
            share * _normal(_COMPARTMENTS[name](cell_rng, cell), cell) for name, share in state.items()
        )
        diffuse = _normal(cell.body * cell.thickness * (1 - 0.6 * cell.vacuole), cell)
        leak = varied(cell_rng, image.leak)
        window = tuple(slice(int(centre) + _HALF, int(centre) + 3 * _HALF) for centre in (y, x))
        if marker == "cytosol":
            padded[marker][window] += cell_rng.lognormal(0, 0.25) * _cytosol(cell_rng, cell)
        elif marker == "nuclear_pore":
            padded[marker][window] += _nuclear_pore(
                keyed_rng(simulation, image.number, field, number, marker), cell
            )
        else:  # the logarithms of the transmitted light of overlapping cells add up
            padded[marker][window] += _refraction(
                keyed_rng(simulation, image.number, field, number, marker), cell, focus
            )
        padded["protein"][window] += expression * ((1 - leak) * density + leak * diffuse)
        truth.append(
            {
                "field": field,
                "cell_number": number,
                "y_px": round(float(y), 2),
                "x_px": round(float(x), 2),
                "area_px": round(float(cell.body.sum()), 1),
                "stage": shape.stage,
                "expression": round(expression, 4),
                "leak": round(leak, 4),
                "state": ";".join(f"{name}={share:g}" for name, share in state.items()),
            }
        )
    cut = slice(2 * _HALF, 2 * _HALF + size)
    if marker == "brightfield":
        padded[marker] = np.exp(padded[marker]) * _medium(optics, padded[marker].shape)
    inside = [row for row in truth if 0 <= row["y_px"] < size and 0 <= row["x_px"] < size]
    return {name: plane[cut, cut] for name, plane in padded.items()}, inside


def label_field(simulation: Simulation, image: PlannedImage, field: int) -> np.ndarray:
    """Label the cells of a field, mothers with their buds, by cell number: (H, W) int32."""
    size = simulation.field_size_px
    rng = keyed_rng(simulation, image.number, field, "layout")
    padded = np.zeros((size + 4 * _HALF,) * 2, np.int32)
    placed = _place(rng, size, elongated=image.cell_line == "sim-elongated")
    for number, (y, x, shape) in enumerate(placed, 1):
        window = tuple(slice(int(centre) + _HALF, int(centre) + 3 * _HALF) for centre in (y, x))
        cell_rng = keyed_rng(simulation, image.number, field, number)
        padded[window][_cell(cell_rng, shape, y % 1, x % 1).body > 0.5] = number
    return padded[2 * _HALF : 2 * _HALF + size, 2 * _HALF : 2 * _HALF + size]


def _state(rng: np.random.Generator, image: PlannedImage) -> dict[str, float]:
    """Compartments of the protein in this cell: both of a mixed protein, one of a variable protein."""
    first_or_second = rng.random()
    if image.kind != "variable":
        return dict(image.fractions)
    first, second = image.fractions
    return {second if first_or_second < image.rate else first: 1.0}


def _shape(rng: np.random.Generator, *, elongated: bool) -> _Shape:
    stage = str(rng.choice(["unbudded", "small bud", "large bud"], p=[0.45, 0.3, 0.25]))
    radius = rng.normal(14.0, 1.3)
    ratio = rng.uniform(1.3, 1.6) if elongated else rng.uniform(1.0, 1.15)
    bud = {"unbudded": 0.0, "small bud": rng.uniform(0.3, 0.48), "large bud": rng.uniform(0.55, 0.75)}[stage]
    return _Shape(radius * ratio**0.5, radius / ratio**0.5, rng.uniform(0, 2 * np.pi), bud * radius, stage)


def _place(rng: np.random.Generator, size: int, *, elongated: bool) -> list[tuple[float, float, _Shape]]:
    """Place founders at random, and daughters next to them so that they just touch."""
    occupied = np.zeros((size + 4 * _HALF,) * 2, bool)
    placed: list[tuple[float, float, _Shape]] = []
    count = int(rng.integers(26, 38) * (size / 352) ** 2)
    for _ in range(12 * count):
        shape = _shape(rng, elongated=elongated)
        founder = not placed or rng.random() < 0.35
        y, x = rng.uniform(-12, size + 12, 2)
        start, direction = 0.0, rng.uniform(0, 2 * np.pi)
        if not founder:
            y, x, _ = placed[rng.integers(len(placed))]
            start = 20.0
        footprint = _edge(shape, 0.0, 0.0) > -0.5
        for push in np.arange(start, 1 if founder else 66, 2.0):
            cy, cx = y + push * np.sin(direction), x + push * np.cos(direction)
            if not (-12 <= cy < size + 12 and -12 <= cx < size + 12):
                break
            window = tuple(slice(int(centre) + _HALF, int(centre) + 3 * _HALF) for centre in (cy, cx))
            if (occupied[window] & footprint).sum() <= 0.015 * footprint.sum():
                occupied[window] |= footprint
                placed.append((float(cy), float(cx), shape))
                break
        if len(placed) >= count:
            break
    return placed


def _axes(shape: _Shape, dy: float, dx: float) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates along and across the long axis of the mother, px from her centre: two (h, w)."""
    y, x = np.mgrid[-_HALF:_HALF, -_HALF:_HALF].astype(np.float32)
    y, x = y - dy, x - dx
    return x * np.cos(shape.angle) + y * np.sin(shape.angle), y * np.cos(shape.angle) - x * np.sin(
        shape.angle
    )


def _edge(shape: _Shape, dy: float, dx: float) -> np.ndarray:
    """Distance to the outline of the mother and her bud in px, positive inside."""
    along, across = _axes(shape, dy, dx)
    mother = (1 - np.sqrt((along / shape.long) ** 2 + (across / shape.short) ** 2)) * shape.short
    if not shape.bud:
        return mother
    bud = shape.bud - np.hypot(along - shape.long - 0.6 * shape.bud, across)
    return np.maximum(mother, bud)


def _cell(rng: np.random.Generator, shape: _Shape, dy: float, dx: float) -> _Cell:
    along, across = _axes(shape, dy, dx)
    edge = _edge(shape, dy, dx) + 0.3 * noise(rng, along.shape, 5.0)
    body = soft(edge, 0.6)
    thickness = np.clip(edge / shape.short, 0, 1) ** 0.5
    side = rng.uniform(-0.25, 0.25) * shape.short
    forward = rng.uniform(0.28, 0.48) * shape.long
    radius = rng.uniform(4.6, 5.6)
    rim = np.hypot(along - forward, across - side) - radius
    if shape.stage == "large bud" and rng.random() < 0.6:  # the nucleus has divided
        second = np.hypot(along - shape.long - 0.6 * shape.bud, across) - 0.85 * radius
        rim = np.minimum(rim + 0.1 * radius, second)
    nucleus = soft(-rim, 0.6)
    turn = rng.uniform(-1, 1)
    cap = np.hypot(
        along - forward - 0.55 * radius * np.cos(turn), across - side - 0.55 * radius * np.sin(turn)
    )
    nucleolus = soft(0.62 * radius - cap, 0.6) * soft(-rim + 0.8, 0.6)
    shore = np.full(along.shape, 50.0, np.float32)
    for _ in range(int(rng.integers(1, 4))):
        r = rng.uniform(3.2, 6.5)
        centre = -rng.uniform(0.22, 0.5) * shape.long, rng.uniform(-0.35, 0.35) * shape.short
        shore = np.minimum(shore, np.hypot(along - centre[0], across - centre[1]) - r)
    shore = np.maximum(shore, 1.5 - np.minimum(rim, edge))  # outside the nucleus, inside the cell
    return _Cell(body, edge, thickness, nucleus, rim, nucleolus, soft(-shore, 0.6), shore, shape)


def _cytosol(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    """A cytosolic fluorophore: bright where the cell is thick, dark in the vacuole."""
    grain = 1 + 0.05 * noise(rng, cell.body.shape, 2.0)
    return (
        cell.body
        * (0.25 + 0.75 * cell.thickness)
        * (1 - 0.6 * cell.vacuole)
        * (1 - 0.12 * cell.nucleus)
        * grain
    )


def _nuclear_pore(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    """Nup49-RFP: beads on the nuclear envelope, a faint glow in the cytoplasm, and a fainter one in the vacuole."""
    beads = dots(rng, np.exp(-((cell.rim / 0.8) ** 2)), int(rng.integers(45, 70)), 0.8, 0.5)
    ring = beads / max(float(beads.max()), 1e-6) + 0.35 * np.exp(-((cell.rim / 1.1) ** 2))
    glow = 0.05 + 0.02 * rng.random()
    haze = 0.10 * np.exp(-((np.clip(cell.rim, 0, None) / 4) ** 2))
    out = ring + haze + glow * (0.4 + 0.6 * cell.thickness) * (1 - 0.4 * cell.vacuole)
    return (rng.lognormal(0, 0.25) * cell.body * out).astype(np.float32)


def _refraction(rng: np.random.Generator, cell: _Cell, focus: float) -> np.ndarray:
    """Logarithm of the light transmitted by a cell in brightfield; `focus` is in depths of field above (+) or
    below (-) the cell.

    Above the focus, the wall is a dark line with a bright halo outside and a bright centre. Below the focus, the
    contrast is reversed. In focus, only the thin line of the wall is visible.
    """
    focus = focus + rng.normal(0, 0.12)
    blur = 1.4 + 0.9 * abs(focus)
    wall = np.exp(-(((cell.edge - 1.5) / blur) ** 2))
    halo = np.exp(-(((cell.edge + 2.2 + abs(focus)) / (1.6 * blur)) ** 2))
    inner = np.exp(-(((cell.edge - 2.5 - 2.2 * blur) / (1.2 * blur)) ** 2))
    lens = cell.body * cell.thickness
    vacuole = np.exp(-((cell.shore / 1.3) ** 2)) * soft(cell.edge - 2, 0.6)
    grain = noise(rng, cell.body.shape, 1.4) + 0.7 * noise(rng, cell.body.shape, 3.0)
    granules = dots(rng, soft(cell.edge - 4, 0.5), int(rng.integers(2, 7)), 1.1)
    bent = -0.34 * wall + 0.13 * halo + 0.12 * inner + 0.06 * lens
    inside = -0.05 * vacuole + 0.03 * cell.vacuole - 0.3 * granules
    strength = rng.lognormal(0, 0.12)
    return (strength * focus * (bent + inside) - 0.06 * wall + 0.022 * cell.body * grain).astype(np.float32)


def _medium(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Light transmitted by the medium, about 1: uneven illumination, dust and debris."""
    tile = ndimage.zoom(rng.standard_normal((8, 8)), (shape[0] / 8, shape[1] / 8), order=3)
    everywhere = np.ones(shape, np.float32)
    crumbs = dots(rng, everywhere, shape[0] * shape[1] // 30000, 1.3) - dots(
        rng, everywhere, shape[0] * shape[1] // 30000, 2.2
    )
    return (1 + 0.02 * tile + 0.8 * crumbs + 0.006 * rng.standard_normal(shape)).astype(np.float32)


def _normal(density: np.ndarray, cell: _Cell) -> np.ndarray:
    """Scale a density so that its mean over the cell is 1, whatever the size of the compartment."""
    density = np.clip(density, 0, None) * cell.body
    return density * (float(cell.body.sum()) / max(float(density.sum()), 1e-6))


def _grainy(rng: np.random.Generator, cell: _Cell, amount: float, sigma: float) -> np.ndarray:
    return np.clip(1 + amount * noise(rng, cell.body.shape, sigma), 0.05, None)


def _cytoplasm(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    return (
        cell.thickness * (1 - 0.8 * cell.vacuole) * (1 - 0.45 * cell.nucleus) * _grainy(rng, cell, 0.1, 2.0)
    )


def _nucleus(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    return cell.nucleus * (1 - 0.45 * cell.nucleolus) * _grainy(rng, cell, 0.12, 1.5) + 0.02 * cell.body


def _nucleolus(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    return cell.nucleolus * _grainy(rng, cell, 0.15, 1.5) + 0.05 * cell.nucleus


def _nuclear_periphery(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    return np.exp(-((cell.rim / 1.2) ** 2)) * _grainy(rng, cell, 0.45, 1.2) + 0.05 * cell.nucleus


def _reticulum(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    around = np.exp(-((cell.rim / 1.4) ** 2))
    cortex = np.exp(-(((cell.edge - 1.8) / 1.2) ** 2)) * soft(
        (noise(rng, cell.body.shape, 3.0) + 0.5) * 3, 0.6
    )
    strands = 0.25 * ridges(rng, cell.body.shape, 2.4, 2.5) * (1 - cell.nucleus) * (1 - cell.vacuole)
    return around + 0.8 * cortex + strands


def _mitochondria(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    tubes = ridges(rng, cell.body.shape, 3.2, 3.0) * soft((noise(rng, cell.body.shape, 4.0) + 0.4) * 3, 0.5)
    return tubes * (1 - cell.nucleus) * (1 - cell.vacuole) * soft(cell.edge - 1.2, 0.6)


def _vacuole(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    return cell.vacuole * _grainy(rng, cell, 0.08, 2.0) + 0.02 * cell.body


def _vacuolar_membrane(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    return np.exp(-((cell.shore / 1.1) ** 2)) * _grainy(rng, cell, 0.2, 1.5) * soft(cell.edge - 1, 0.5)


def _periphery(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    return np.exp(-(((cell.edge - 0.8) / 1.1) ** 2)) * _grainy(rng, cell, 0.25, 2.5) + 0.02 * cell.body


def _punctate(rng: np.random.Generator, cell: _Cell) -> np.ndarray:
    where = soft(cell.edge - 2, 0.5) * (1 - cell.nucleus) * (1 - cell.vacuole)
    return dots(rng, where, int(rng.integers(3, 11)), 1.2) + 0.001 * cell.body


_COMPARTMENTS = {
    "Cytoplasm": _cytoplasm,
    "Nucleus": _nucleus,
    "Nucleolus": _nucleolus,
    "Nuclear periphery": _nuclear_periphery,
    "Endoplasmic reticulum": _reticulum,
    "Mitochondria": _mitochondria,
    "Vacuole": _vacuole,
    "Vacuolar membrane": _vacuolar_membrane,
    "Cell periphery": _periphery,
    "Punctate": _punctate,
}
