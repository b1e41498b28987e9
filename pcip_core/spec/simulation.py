"""The parameters of a simulated screen: the `simulation` section of a spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from pcip_core.spec.bounds import Bounds, Seed

Proteins = Annotated[int, Bounds(0, 10_000)]


@dataclass(frozen=True)
class Simulation:
    """Parameters of a simulated screen.

    Args:
        organism: `human` or `yeast`.
        plates: number of plates; the images are spread over them.
        proteins_per_class: number of proteins in each single compartment (class).
        rare: class -> its number of proteins, if it differs: `{Nuclear membrane: 20}`.
        fields_per_image: fields of view per image.
        mixed_proteins: number of proteins in two compartments at a known fraction.
        variable_proteins: number of proteins that vary from cell to cell at a known rate.
        pairs: first and second compartment of the mixed and of the variable proteins, divided equally among the
            pairs; by default two compartments are drawn at random.
        shares: shares of the second compartment; one is drawn for each mixed or variable protein.
        field_size_px: side of a field, px.
        seed: seed of all random draws.
        marker: the structural channel of yeast: `cytosol`, `brightfield` or `nuclear_pore`. It does not change
            the cells or the protein channel.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}
    organism: str
    plates: Annotated[int, Bounds(1, 1000)] = 5
    proteins_per_class: Annotated[int, Bounds(1, 10_000)] = 4
    rare: Mapping[str, Annotated[int, Bounds(1, 10_000)]] = field(default_factory=dict)
    fields_per_image: Annotated[int, Bounds(1, 1000)] = 2
    mixed_proteins: Proteins = 8
    variable_proteins: Proteins = 6
    pairs: tuple[tuple[str, str], ...] = ()
    shares: tuple[Annotated[float, Bounds(0, 1, above=True, below=True)], ...] = (0.25, 0.4, 0.5)
    field_size_px: Annotated[int, Bounds(16, 1500)] = 640
    seed: Seed = 0
    marker: str = "cytosol"
