"""Feature vectors in frames: a column `features` of type `pl.Array(pl.Float32, n)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from pcip_core.errors import ShapeError


def feature_table(ids: Mapping[str, Sequence[Any] | pl.Series], features: np.ndarray) -> pl.DataFrame:
    """Columns of ids and one vector per row.

    Args:
        ids: column name -> n values.
        features: (n, d) float32; the frame shares its memory, so do not write to it afterwards.

    Raises:
        ShapeError: the lengths differ, or there are no columns of features.
    """
    lengths = {name: len(values) for name, values in ids.items()}
    if features.ndim != 2 or features.shape[1] < 1 or set(lengths.values()) - {len(features)}:
        raise ShapeError(
            "feature table",
            found=f"features {features.shape}, ids {lengths}",
            required="(n, d) features with d at least 1 and n values of each id",
            remedy="Pass rows that belong together.",
        )
    vectors = pl.Series(
        np.ascontiguousarray(features, np.float32), dtype=pl.Array(pl.Float32, features.shape[1])
    )
    return pl.DataFrame({**ids, "features": vectors})


def features_of(frame: pl.DataFrame) -> np.ndarray:
    """The vectors of a frame: (n, d) float32, read-only; not copied where the frame is in one piece."""
    return frame["features"].to_numpy()
