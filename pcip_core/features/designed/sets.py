"""The designed feature sets that a spec's `baselines` names, of the cells of one shard."""

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
        names: of the d columns.
        rows: (m,) which of the shard's n cells they are of; all but for imported tables.
        notes: what a reader of the features should know, by name.
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
        low, high: (n, C) extremes of each channel of each crop, in the image's units.
    """

    cells: Mapping[str, Any]
    pixels: np.ndarray
    low: np.ndarray
    high: np.ndarray


def designed_sets(screen: Screen, shard: ShardCrops, *, progress: ProgressOf) -> dict[str, Described]:
    """Describe the cells of a shard in each way that `baselines.sets` names; masks are found once.

    Args:
        screen: the spec.
        shard: its cells.
        progress: given the name of a step, a context that is told how many cells are done.

    Returns:
        feature set -> what it says of which cells.

    Raises:
        SpecError: a table or an archive cannot be read, or is of other cells.
        MissingPackageError: cp_measure is wanted and not installed.
    """
    spec, channels = screen.baselines, screen.crop_channels
    crops, roles = (shard.pixels, shard.low, shard.high), (channels, screen.structural, screen.protein)
    everyone = np.arange(len(shard.pixels))
    measured = "cellprofiler" in spec.sets and spec.cellprofiler.source == "measured"
    found: dict[str, Described] = {}
    if "designed" in spec.sets or measured:
        with progress("masks") as told:
            masks = centre_masks(shard.pixels, channels, spec.mask or screen.structural[0], progress=told)
    if "classic" in spec.sets:
        with progress("classic") as told:
            values, names = classic_features(*crops, *roles, levels=spec.grey_levels, progress=told)
        found["classic"] = Described(values, names, everyone, {})
    if "designed" in spec.sets:
        with progress("designed") as told:
            values, names = yeast_features(*crops, masks.masks, *roles, progress=told)
        found["designed"] = Described(values, names, everyone, _missing(masks))
    if measured:
        with progress("cellprofiler") as told:
            one = measure(*crops, masks.masks, channels, grey_levels=spec.grey_levels, progress=told)
        notes = {**_missing(masks), "not_finite": one.not_finite}
        found["cellprofiler"] = Described(one.values, one.names, everyone, notes)
    elif "cellprofiler" in spec.sets:
        read = _imported(screen, shard.cells)
        notes = {"cells_without": read.cells_without, "not_finite": read.not_finite}
        found["cellprofiler"] = Described(read.values, read.names, read.rows, notes)
    return found


def _missing(masks: CentreMasks) -> dict[str, int]:
    return {"cells_without_mask": masks.missing}


def _imported(screen: Screen, cells: Mapping[str, Any]) -> Imported:
    """CellProfiler's measurements that others have made."""
    spec = screen.baselines.cellprofiler
    if spec.source == "archives":
        return archived(screen, cells)
    path = screen.folder() / str(spec.table)
    if spec.cell_id is not None:
        return imported_by_id(path, cells, cell_id=spec.cell_id)
    return imported_by_place(
        path, cells, image=str(spec.image), field=spec.field, y=spec.y, x=spec.x, within_px=spec.within_px
    )
