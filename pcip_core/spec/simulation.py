"""The parameters of a simulated screen: the `simulation` section of a spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True)
class Simulation:
    """What to simulate.

    Args:
        organism: `human` or `yeast`.
        plates: how many plates the images are spread over.
        proteins_per_class: proteins in one compartment, a class.
        rare: class -> its number of proteins, where it is another: `{Nuclear membrane: 20}`.
        fields_per_image: fields of view an image.
        mixed_proteins: proteins in two compartments at a known fraction.
        variable_proteins: proteins that vary from cell to cell at a known rate.
        pairs: first and second compartments of mixed and of variable proteins, of which each pair gets an equal
            part; by default two at random.
        shares: of the second compartment, of which one is drawn for each mixed or variable protein.
        field_size_px: side of a field.
        seed: keys every draw.
        marker: the structural channel of yeast: `cytosol`, `brightfield` or `nuclear_pore`; the cells and
            the protein are the same whatever it is.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}
    organism: str
    plates: int = 5
    proteins_per_class: int = 4
    rare: Mapping[str, int] = field(default_factory=dict)
    fields_per_image: int = 2
    mixed_proteins: int = 8
    variable_proteins: int = 6
    pairs: tuple[tuple[str, str], ...] = ()
    shares: tuple[float, ...] = (0.25, 0.4, 0.5)
    field_size_px: int = 640
    seed: int = 0
    marker: str = "cytosol"
