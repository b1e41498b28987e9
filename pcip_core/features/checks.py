"""Checks of arrays of features, each with an error that says what is wrong."""

from __future__ import annotations

from collections.abc import Sized
from typing import Protocol

import numpy as np

from pcip_core.errors import EvaluationError, ShapeError


class Shaped(Protocol):
    """An array, or what stands for one that is not in memory."""

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
    """Raise a ShapeError unless features are (n, d) and each other array or frame that is given has n rows."""
    there = {
        name: len(part)
        for name, part in {"labels": labels, "groups": groups, **others}.items()
        if part is not None
    }
    if features.ndim != 2 or any(length != len(features) for length in there.values()):
        raise ShapeError(
            where,
            found=f"features {features.shape}, " + ", ".join(f"{n} {name}" for name, n in there.items()),
            required="(n, d) features and n entries of each other array",
            remedy="Pass arrays of one length.",
        )


def require_finite(where: str, features: np.ndarray) -> None:
    """Raise an EvaluationError that names the columns in which a feature is NaN or infinite."""
    finite = np.isfinite(features)
    if not finite.all():
        columns = np.flatnonzero(~finite.all(0))
        named = ", ".join(map(str, columns[:8])) + (", ..." if len(columns) > 8 else "")
        raise EvaluationError(
            where,
            found=f"{int((~finite).any(1).sum())} cells with NaN or infinite features, in the columns {named}",
            required="finite features",
            remedy="Leave these columns out, or find the cells by the asset check `features_finite`.",
        )
