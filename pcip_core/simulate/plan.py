"""The plan of a simulated screen: classes, proteins, wells and their truth."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from pcip_core.errors import SpecError
from pcip_core.spec.simulation import Simulation
from pcip_core.words import many

CLASSES = {
    "human": (
        "Nucleoplasm",
        "Nucleoli",
        "Nuclear membrane",
        "Nuclear speckles",
        "Cytosol",
        "Endoplasmic reticulum",
        "Mitochondria",
        "Golgi apparatus",
        "Plasma membrane",
        "Vesicles",
        "Microtubules",
    ),
    "yeast": (
        "Cytoplasm",
        "Nucleus",
        "Nucleolus",
        "Nuclear periphery",
        "Endoplasmic reticulum",
        "Mitochondria",
        "Vacuole",
        "Vacuolar membrane",
        "Cell periphery",
        "Punctate",
    ),
}
YEAST_MARKERS = ("cytosol", "brightfield", "nuclear_pore")
CELL_LINES = {"human": ("sim-epithelial", "sim-mesenchymal"), "yeast": ("sim-haploid", "sim-elongated")}
_LEAK = {"human": (0.1, 0.45), "yeast": (0.05, 0.35)}
_FOCUS_PX = {"human": (0.9, 1.5), "yeast": (0.8, 1.2)}
_ROWS = "ABCDEFGH"
_WELLS = 96
_FIELD_SIZES_PX = {"human": (160, 1500), "yeast": (96, 1500)}  # at least the size of a cell


@dataclass(frozen=True)
class PlannedImage:
    """One protein in one well, with its truth.

    Attributes:
        number: position in the screen; part of the key of all random draws.
        plate, well: `plate_1`, `A01`.
        protein, gene: simulated names.
        cell_line: one of `CELL_LINES`.
        fractions: compartment -> share of the protein in it (share of the cells for a variable protein).
        kind: `single`, `mixed` (both compartments in every cell) or `variable` (one of the two in each cell).
        rate: share of cells with the second compartment for `variable`, otherwise 0.
        abundance: photons of the protein relative to the median of the screen.
        leak: share of the protein that is diffuse in the whole cell; it varies from cell to cell.
        focus: sigma of the point spread function in this well, px.
    """

    number: int
    plate: str
    well: str
    protein: str
    gene: str
    cell_line: str
    fractions: Mapping[str, float]
    kind: str
    rate: float
    abundance: float
    leak: float
    focus: float

    @property
    def image_id(self) -> str:
        """Plate and well."""
        return f"{self.plate}_{self.well}"


def channels(simulation: Simulation) -> tuple[str, ...]:
    """Names of the channels; the protein channel is the last.

    >>> channels(Simulation("human"))
    ('nucleus', 'microtubules', 'protein')
    """
    structural = ("nucleus", "microtubules") if simulation.organism == "human" else (simulation.marker,)
    return (*structural, "protein")


def keyed_rng(simulation: Simulation, *key: int | str) -> np.random.Generator:
    """A random generator that depends only on the seed and the key, not on earlier draws."""
    words = [zlib.crc32(str(part).encode()) for part in (simulation.organism, *key)]
    return np.random.default_rng([simulation.seed, *words])


def varied(rng: np.random.Generator, leak: float) -> float:
    """Draw the diffuse share of a cell from that of its image."""
    return float(np.clip(leak * rng.lognormal(0, 0.5), 0.0, 0.8))


def plan_screen(simulation: Simulation) -> list[PlannedImage]:
    """List all images of a simulated screen: the proteins of each class, then mixed, then variable proteins.

    The proteins of a class are on different plates, so each class is present on the other plates if one plate is
    held out.

    Raises:
        SpecError: the organism or its marker is unknown, a parameter is out of range, or a plate has too few
            wells.

    >>> images = plan_screen(Simulation("yeast"))
    >>> len(images), images[0].image_id, dict(images[0].fractions)
    (54, 'plate_1_A01', {'Cytoplasm': 1.0})
    """
    _check(simulation)
    classes = CLASSES[simulation.organism]
    jobs: list[tuple[dict[str, float], str, float]] = []
    order: list[int] = []
    for number, name in enumerate(classes):
        for copy in range(simulation.rare.get(name, simulation.proteins_per_class)):
            jobs.append(({name: 1.0}, "single", 0.0))
            order.append(number + copy)
    rng = keyed_rng(simulation, "plan")
    mixed = simulation.mixed_proteins
    for number in range(mixed + simulation.variable_proteins):
        kind = "mixed" if number < mixed else "variable"
        if simulation.pairs:  # each pair gets consecutive numbers, because cell lines and plates alternate
            turn, count = (
                (number, mixed) if kind == "mixed" else (number - mixed, simulation.variable_proteins)
            )
            first, second = simulation.pairs[turn * len(simulation.pairs) // count]
        else:
            first, second = (str(name) for name in rng.choice(classes, 2, replace=False))
        share = float(rng.choice(simulation.shares))
        jobs.append(({first: 1 - share, second: share}, kind, share if kind == "variable" else 0.0))
        order.append(number)
    wells_used = dict.fromkeys(range(simulation.plates), 0)
    images = []
    for number, ((fractions, kind, rate), place) in enumerate(zip(jobs, order, strict=True)):
        plate = place % simulation.plates
        well = f"{_ROWS[wells_used[plate] // 12 % len(_ROWS)]}{wells_used[plate] % 12 + 1:02d}"
        wells_used[plate] += 1
        protein_rng = keyed_rng(simulation, "protein", number)
        images.append(
            PlannedImage(
                number=number,
                plate=f"plate_{plate + 1}",
                well=well,
                protein=f"SIMP{number + 1:03d}",
                gene=f"SIMG{number + 1:03d}",
                cell_line=CELL_LINES[simulation.organism][number % 2],
                fractions=fractions,
                kind=kind,
                rate=rate,
                abundance=float(np.exp(protein_rng.normal(0, 0.7))),
                leak=float(protein_rng.uniform(*_LEAK[simulation.organism])),
                focus=float(protein_rng.uniform(*_FOCUS_PX[simulation.organism])),
            )
        )
    _check_wells(wells_used)
    return images


def _check(simulation: Simulation) -> None:
    if simulation.organism not in CLASSES:
        raise SpecError(
            "simulation.organism",
            found=repr(simulation.organism),
            required=f"one of {', '.join(CLASSES)}",
            remedy="Correct the spec.",
        )
    markers = YEAST_MARKERS if simulation.organism == "yeast" else YEAST_MARKERS[:1]
    if simulation.marker not in markers:
        raise SpecError(
            "simulation.marker",
            found=f"{simulation.marker!r} for {simulation.organism}",
            required=f"one of {', '.join(YEAST_MARKERS)} for yeast, none for human",
            remedy="Correct the spec.",
        )
    for key, value, required in _problems(simulation):
        raise SpecError(f"simulation.{key}", found=repr(value), required=required, remedy="Correct the spec.")
    least = {
        "plates": 1,
        "proteins_per_class": 1,
        "fields_per_image": 1,
        "mixed_proteins": 0,
        "variable_proteins": 0,
        "seed": 0,
    }
    values = {name: getattr(simulation, name) for name in least}
    invalid = [f"{name} {values[name]}" for name in least if values[name] < least[name]]
    small, large = _FIELD_SIZES_PX[simulation.organism]
    if not small <= simulation.field_size_px <= large:
        invalid.append(f"field_size_px {simulation.field_size_px}")
    if invalid:
        raise SpecError(
            "simulation",
            found=", ".join(invalid),
            required=f"counts of 1 or more (0 for mixed, variable and seed), fields of {small} to {large} px",
            remedy="Correct the spec.",
        )


def _problems(simulation: Simulation) -> Iterator[tuple[str, object, str]]:
    """Invalid parameters of mixtures and rare classes: key, value, required."""
    classes = CLASSES[simulation.organism]
    known = ", ".join(classes)
    for pair in simulation.pairs:
        if len(set(pair)) < 2 or not set(pair) <= set(classes):
            yield "pairs", pair, f"two different classes of {known}"
    if not simulation.shares:
        yield "shares", simulation.shares, "one share or more, between 0 and 1"
    for share in simulation.shares:
        if not 0 < share < 1:
            yield "shares", share, "shares between 0 and 1"
    for name, count in simulation.rare.items():
        if name not in classes:
            yield "rare", name, f"one of {known}"
        if count < 1:
            yield f"rare.{name}", count, "1 protein or more"


def _check_wells(wells_used: Mapping[int, int]) -> None:
    fullest = max(wells_used.values())
    if fullest > _WELLS:
        raise SpecError(
            "simulation",
            found=f"{fullest} proteins on one of {many(len(wells_used), 'plate')}",
            required=f"{_WELLS} or fewer, the wells of a plate",
            remedy="Use more plates or fewer proteins.",
        )
