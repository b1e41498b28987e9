"""The truth of a simulated screen for the cells that were segmented."""

from __future__ import annotations

from functools import cache

import duckdb
import numpy as np

from benchmarks.common.screens import rows_of
from pcip_core.segmentation.matching import matched
from pcip_core.spec.screen import Screen

_WITHIN_PX = 10.0  # of a cell's centre


def states_of_cells(con: duckdb.DuckDBPyConnection, schema: str) -> dict[str, str]:
    """cell_id -> `state` of the true cell whose centre is nearest, one to one within a field.

    Cells without a true one within 10 px are left out.
    """
    places = {}
    for table, name in (("cells", "cell_id"), ("truth_cells", "state")):
        fields: dict[tuple[str, str], list[tuple[float, float, str]]] = {}
        for row in rows_of(con, f"SELECT image_id, field, y_px, x_px, {name} FROM {schema}.{table}"):
            key = (row["image_id"], str(row["field"]))
            fields.setdefault(key, []).append((row["y_px"], row["x_px"], row[name]))
        places[table] = fields
    states = {}
    for key, found in places["cells"].items():
        true = places["truth_cells"][key]
        there, here = (np.array([cell[:2] for cell in cells]) for cells in (true, found))
        for one, other in zip(*matched(there, here, _WITHIN_PX), strict=True):
            states[found[other][2]] = true[one][2]
    return states


@cache
def share_of(shares: str, compartment: str) -> float:
    """Of `compartment=share;compartment=share`, that of one compartment; 0 where it is not named."""
    return float(dict(part.split("=") for part in shares.split(";")).get(compartment, 0.0))


def about(screen: Screen) -> str:
    """How a row names a simulated screen."""
    return f"{screen.name} (SIMULATED images)"
