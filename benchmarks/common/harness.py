"""What every benchmark returns: rows, as DESIGN.md ("Commands") has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        what: what was measured, in words; when `held` is None for want of data, why.
        value, unit: the figure; None where it could not be had.
        against, against_value: what it is compared with, and that one's figure.
        ratio: value over against_value.
        n: how many things were measured.
        spread: of repeated measurements, in the same unit: lowest and highest.
        aim: the figure asked for, as text.
        held: whether the aim was reached; None where there is none or it cannot be judged.
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
