"""Designed feature sets of the cells of one shard, as named in the section `baselines` of the spec."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pcip_core.features.designed.cellprofiler import measure
from pcip_core.features.designed.cellprofiler_tables import (
    Imported,
    archived,
    imported_by_id,
    imported_by_place,
)
from pcip_core.features.designed.classic import classic_features
from pcip_core.features.designed.masks import CentreMasks, centre_masks
from pcip_core.features.designed.yeast import yeast_features
from pcip_core.spec.screen import Screen

ProgressOf = Callable[[str], AbstractContextManager[Callable[[int], None]]]


class Described(NamedTuple):
    """One feature set.

    Attributes:
        values: (m, d) float32.
        names: names of the d columns.
        rows: (m,) the described cells among the n cells of the shard; all n except for imported tables.
        notes: name -> information on the quality of the features, such as counts of missing masks.
    """

    values: np.ndarray
    names: list[str]
    rows: np.ndarray
    notes: dict[str, Any]


@dataclass(frozen=True)
class ShardCrops:
    """The cells of one shard.

    Attributes:
        cells: column -> n values: `cell_id`, `image_id`, `field`, `y_px`, `x_px`.
        pixels: (n, C, S, S) uint8.
        low, high: (n, C) extremes of each channel of each crop, in the units of the image.
    """

    cells: Mapping[str, Any]
    pixels: np.ndarray
    low: np.ndarray
    high: np.ndarray


def designed_sets(screen: Screen, shard: ShardCrops, *, progress: ProgressOf) -> dict[str, Described]:
    """Compute each feature set in `baselines.sets` for the cells of a shard. Masks are computed once.

    Args:
        screen: the spec.
        shard: the cells of the shard.
        progress: takes the name of a step and returns a context manager, whose value is called with the number of
            cells done.

    Returns:
        feature set -> its values and the cells that it describes.

    Raises:
        SpecError: a table or an archive cannot be read, or contains none of these cells.
        MissingPackageError: cp_measure is required and not installed.
    """
    spec, channels = screen.baselines, screen.crop_channels
    crops, roles = (shard.pixels, shard.low, shard.high), (channels, screen.structural, screen.protein)
    everyone = np.arange(len(shard.pixels))
    measured = "cellprofiler" in spec.sets and spec.cellprofiler.source == "measured"
    described: dict[str, Described] = {}
    if "designed" in spec.sets or measured:
        with progress("masks") as report:
            masks = centre_masks(shard.pixels, channels, spec.mask or screen.structural[0], progress=report)
    if "classic" in spec.sets:
        with progress("classic") as report:
            values, names = classic_features(*crops, *roles, levels=spec.grey_levels, progress=report)
        described["classic"] = Described(values, names, everyone, {})
    if "designed" in spec.sets:
        with progress("designed") as report:
            values, names = yeast_features(*crops, masks.masks, *roles, progress=report)
        described["designed"] = Described(values, names, everyone, _missing(masks))
    if measured:
        with progress("cellprofiler") as report:
            result = measure(*crops, masks.masks, channels, grey_levels=spec.grey_levels, progress=report)
        notes = {**_missing(masks), "not_finite": result.not_finite}
        described["cellprofiler"] = Described(result.values, result.names, everyone, notes)
    elif "cellprofiler" in spec.sets:
        table = _imported(screen, shard.cells)
        notes = {"cells_without": table.cells_without, "not_finite": table.not_finite}
        described["cellprofiler"] = Described(table.values, table.names, table.rows, notes)
    return described


def _missing(masks: CentreMasks) -> dict[str, int]:
    return {"cells_without_mask": masks.missing}


def _imported(screen: Screen, cells: Mapping[str, Any]) -> Imported:
    """Import existing CellProfiler measurements from an archive or a table."""
    spec = screen.baselines.cellprofiler
    if spec.source == "archives":
        return archived(screen, cells)
    path = screen.folder() / str(spec.table)
    if spec.cell_id is not None:
        return imported_by_id(path, cells, cell_id=spec.cell_id)
    return imported_by_place(
        path, cells, image=str(spec.image), field=spec.field, y=spec.y, x=spec.x, within_px=spec.within_px
    )
