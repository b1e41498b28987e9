"""Feature vectors in tables: a fixed-size list column named `features`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pcip_core.errors import ShapeError


def feature_table(ids: Mapping[str, Sequence[Any]], features: np.ndarray) -> pa.Table:
    """Columns of ids and one vector a row.

    Args:
        ids: column name -> n values.
        features: (n, d) float32.

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
    flat = pa.array(np.ascontiguousarray(features, np.float32).reshape(-1))
    vectors = pa.FixedSizeListArray.from_arrays(flat, features.shape[1])
    return pa.table({**{name: pa.array(values) for name, values in ids.items()}, "features": vectors})


def features_of(table: pa.Table) -> np.ndarray:
    """The vectors of a table: (n, d) float32."""
    column = table["features"]
    flat = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    joined = np.concatenate(flat) if flat else np.empty(0, np.float32)
    return joined.reshape(table.num_rows, column.type.list_size)


def parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """How pyarrow is to write a table: vectors byte by byte, without looking for values that come again.

    The first bytes of all numbers are much alike, the last ones are noise; and no dictionary holds numbers
    that are all different. Less time and less disk than pyarrow's defaults (`pcip bench feature_store`).
    """
    vectors = [field.name for field in schema if pa.types.is_fixed_size_list(field.type)]
    if not vectors:
        return {}
    return {
        "use_dictionary": [name for name in schema.names if name not in vectors],
        "column_encoding": {f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in vectors},
    }
