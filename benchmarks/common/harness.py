"""The row that every benchmark returns; `pcip bench NAME --json FILE` writes its attributes as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One measured figure.

    Attributes:
        what: what was measured, in words; if it could not be measured, also why.
        value, unit: the figure; None if it could not be measured.
        against, against_value: what it is compared with, and the value of that.
        ratio: value over against_value.
        n: number of measurements.
        spread: of repeated measurements, in the same unit: lowest and highest.
        aim: the required figure, as text.
        held: whether the aim is met; None if there is none or it cannot be judged.
    """

    what: str
    value: float | None
    unit: str = ""
    against: str | None = None
    against_value: float | None = None
    ratio: float | None = None
    n: int | None = None
    spread: Sequence[float] | None = None
    aim: str | None = None
    held: bool | None = None
