"""Feature vectors in polars frames: a column `features` of type `pl.Array(pl.Float32, n)`."""

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
        features: (n, d) float32; the frame shares this memory, so do not modify it afterwards.

    Raises:
        ShapeError: the lengths differ, or the feature vectors are empty.
    """
    lengths = {name: len(values) for name, values in ids.items()}
    if features.ndim != 2 or features.shape[1] < 1 or set(lengths.values()) - {len(features)}:
        raise ShapeError(
            "feature table",
            found=f"features {features.shape}, ids {lengths}",
            required="(n, d) features with d of at least 1, and n values of each id",
            remedy="Pass ids and features of the same cells or proteins.",
        )
    vectors = pl.Series(
        np.ascontiguousarray(features, np.float32), dtype=pl.Array(pl.Float32, features.shape[1])
    )
    return pl.DataFrame({**ids, "features": vectors})


def features_of(frame: pl.DataFrame) -> np.ndarray:
    """The vectors of a frame: (n, d) float32, read-only; without a copy if the frame is contiguous."""
    return frame["features"].to_numpy()
