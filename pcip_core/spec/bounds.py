"""Limits of the numbers of a spec. pydantic applies them when a file is read. Imports no packages until then."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pcip_core.errors import meant as meant

_SHOWN = 40  # characters of a value in an error


@dataclass(frozen=True)
class Bounds:
    """The least and the greatest value of a number: `Annotated[int, Bounds(1, 100)]`. NaN is outside of all bounds.

    Args:
        least, most: the limits.
        above, below: whether the number must be above the least, or below the greatest.

    >>> Bounds(1, 100).hold(0), Bounds(0, 1, below=True).hold(0), Bounds(0, 1, below=True).hold(1)
    (False, True, False)
    >>> str(Bounds(1, 100)), str(Bounds(0, 1, above=True))
    ('1 to 100', 'more than 0, at most 1')
    """

    least: float
    most: float
    above: bool = False
    below: bool = False

    def hold(self, value: float) -> bool:
        """Whether a number is within the limits."""
        over = value > self.least if self.above else value >= self.least
        under = value < self.most if self.below else value <= self.most
        return over and under

    def __str__(self) -> str:
        if not (self.above or self.below):
            return f"{self.least:,} to {self.most:,}"
        least = f"more than {self.least:,}" if self.above else f"{self.least:,} or more"
        return f"{least}, {'less than' if self.below else 'at most'} {self.most:,}"

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import PydanticCustomError, ValidationError, core_schema

        noun = "a whole number" if source is int else "a number"

        def refused(required: str) -> PydanticCustomError:
            return PydanticCustomError("bounds", "{required}", {"required": required})

        def check(value: Any, converted: Callable[[Any], float]) -> float:
            if isinstance(value, bool):  # otherwise 0 or 1
                raise refused(f"{noun}, {self}")
            try:
                number = converted(value)
            except ValidationError:
                raise refused(f"{noun}, {self}") from None
            if not self.hold(number):
                raise refused(str(self))
            return number

        return core_schema.no_info_wrap_validator_function(check, handler(source))


def shown(value: object) -> str:
    """A value for an error: at most 40 characters of it.

    >>> shown(0), shown("a" * 50)
    ('0', "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ... (50 characters)")
    """
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a number of {math.ceil(value.bit_length() * math.log10(2))} digits"
    if isinstance(value, (list, dict)):
        return f"a {'list' if isinstance(value, list) else 'mapping'} of {len(value)}"
    text = repr(value)
    if len(text) <= _SHOWN:
        return text
    return f"{text[: _SHOWN - 1]} ... ({len(value) if isinstance(value, str) else len(text)} characters)"


Count = Annotated[int, Bounds(1, 1_000_000)]
"""A number of things, one or more."""

Limit = Annotated[int, Bounds(0, 1_000_000)]
"""A number of things, which may be none."""

Seed = Annotated[int, Bounds(0, 2**32 - 1)]
"""A seed, as NumPy and scikit-learn take it."""

Share = Annotated[float, Bounds(0, 1)]
"""A part of a whole."""

Diameter = Annotated[float, Bounds(2, 2000)]
"""Of a cell or a nucleus, px."""

Area = Annotated[int, Bounds(0, 400_000_000)]
"""Of an object, px: at most the largest field."""
