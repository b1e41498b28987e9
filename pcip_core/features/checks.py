"""Checks of feature arrays. Each raises an error that describes the fault."""

from __future__ import annotations

from collections.abc import Sized
from typing import Protocol

import numpy as np

from pcip_core.errors import EvaluationError, ShapeError
from pcip_core.words import many


class Shaped(Protocol):
    """An array, or an object that represents an array on disk."""

    @property
    def ndim(self) -> int: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    def __len__(self) -> int: ...


def require_rows(
    where: str,
    features: Shaped,
    labels: Sized | None = None,
    groups: Sized | None = None,
    **others: Sized | None,
) -> None:
    """Raise a ShapeError unless features are (n, d) and every other given array or frame has n rows."""
    lengths = {
        name: len(part)
        for name, part in {"labels": labels, "groups": groups, **others}.items()
        if part is not None
    }
    if features.ndim != 2 or any(length != len(features) for length in lengths.values()):
        raise ShapeError(
            where,
            found=f"features {features.shape}, " + ", ".join(f"{n} {name}" for name, n in lengths.items()),
            required="(n, d) features and n entries in each other array",
            remedy="Pass arrays of equal length.",
        )


def require_finite(where: str, features: np.ndarray) -> None:
    """Raise an EvaluationError that names the columns with a NaN or infinite feature."""
    finite = np.isfinite(features)
    if not finite.all():
        columns = np.flatnonzero(~finite.all(0))
        named = ", ".join(map(str, columns[:8])) + (", ..." if len(columns) > 8 else "")
        raise EvaluationError(
            where,
            found=f"{many(int((~finite).any(1).sum()), 'cell')} with NaN or infinite features, in columns {named}",
            required="finite features",
            remedy="Exclude these columns, or find the cells with the asset check `features_finite`.",
        )
