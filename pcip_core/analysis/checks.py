"""What every analysis asks of its features."""

from __future__ import annotations

import numpy as np

from pcip_core.errors import EvaluationError, ShapeError


def require_columns_finite(where: str, features: np.ndarray) -> None:
    """Raise an EvaluationError that names the columns with NaN or infinite values."""
    bad = np.flatnonzero(~np.isfinite(features).all(axis=0))
    if len(bad):
        named = ", ".join(map(str, bad[:8])) + (", ..." if len(bad) > 8 else "")
        raise EvaluationError(
            where,
            found=f"NaN or infinite values in {len(bad)} of {features.shape[1]} columns ({named})",
            required="finite features",
            remedy="Leave these columns out, or find the cells by the asset check `features_finite`.",
        )


def require_lengths(where: str, features: np.ndarray, **parts: np.ndarray | None) -> None:
    """Raise a ShapeError unless features are (n, d) and every named part that is there has n entries."""
    there = {name: len(part) for name, part in parts.items() if part is not None}
    if features.ndim != 2 or any(length != len(features) for length in there.values()):
        raise ShapeError(
            where,
            found=f"features {features.shape}, " + ", ".join(f"{n} of {name}" for name, n in there.items()),
            required="(n, d) features and n entries of each other array",
            remedy="Pass arrays of one length.",
        )
