"""`designed_features`: what experts would measure of a cell, to score learned features against."""

from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from pcip_assets.assets.features import PREFIX, crops_hash
from pcip_assets.assets.shared import OWNERS, Made, Remake, Work, materialize, yardsticks_of
from pcip_assets.progress import Progress
from pcip_assets.provenance import code_version
from pcip_assets.resources import Library
from pcip_core.screen import Screen
from pcip_core.store.vectors import feature_table


def build_designed_features(screen: Screen, shards: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset of designed feature sets, those that the spec's `yardsticks.sets` names."""
    code = code_version("pcip_core.features")

    @dg.asset(
        key=[screen.name, "designed_features"],
        partitions_def=shards,
        deps=[[screen.name, "crops"]],
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=yardsticks_of(screen),
        owners=OWNERS,
        kinds={"scikitimage", "parquet"},
        code_version=code,
    )
    def designed_features(
        context: dg.AssetExecutionContext, config: Remake, library: Library
    ) -> dg.MaterializeResult:
        """Classic, interpretable and CellProfiler features of every cell of one shard."""
        spec = screen.yardsticks

        def inputs(shard: str | None) -> dict[str, Any]:
            table = screen.folder() / (spec.cellprofiler.table or "")
            stamp = table.stat() if table.is_file() and "cellprofiler" in spec.sets else None
            return {
                "spec": screen.section("yardsticks", "channels"),
                "crops": crops_hash(library, screen, shard),
                "table": stamp and [stamp.st_size, stamp.st_mtime_ns],
            }

        def make(shard: str | None) -> Made:
            cells, crops = library.store.read_with_array(screen.name, "cells", "crops", str(shard))
            what = f"{screen.name}/designed_features {shard}"
            described = _Described(screen, cells, np.asarray(crops), context.log, what)
            tables: dict[str, pa.Table] = {}
            told: dict[str, Any] = {}
            for name in spec.designed:
                rows, vectors, names, notes = getattr(described, name)()
                chosen = cells.take(pa.array(rows))
                ids = {column: chosen[column].to_pylist() for column in ("cell_id", "image_id")}
                ids["encoder_version"] = [f"{name}, code {code}"] * len(rows)
                tables[PREFIX + name] = feature_table(ids, vectors)
                told[name] = {"columns": names, **notes}
            return Made(tables, metadata={"feature_sets": dg.MetadataValue.json(told)})

        return materialize(
            context, library, screen, config, Work(PREFIX + spec.designed[0], code, inputs, make)
        )

    return designed_features


Sets = tuple[np.ndarray, np.ndarray, list[str], dict[str, Any]]  # rows of the cells, vectors, names, notes


class _Described:
    """The cells of one shard, described in each way; masks are found once."""

    def __init__(self, screen: Screen, cells: pa.Table, crops: np.ndarray, log: Any, what: str) -> None:
        self._screen, self._cells, self._crops, self._log, self._what = screen, cells, crops, log, what
        self._low, self._high = (
            np.array(cells[f"intensity_{end}"].to_pylist(), np.float32) for end in ("min", "max")
        )
        self._all = np.arange(len(crops))
        self._masks: Any = None

    def _progress(self, step: str) -> Progress:
        return Progress(self._log, f"{self._what}: {step}", len(self._crops), "cell")

    def _centre_masks(self) -> Any:
        from pcip_core.features.masks import centre_masks

        if self._masks is None:
            channel = self._screen.yardsticks.mask or self._screen.structural[0]
            with self._progress("masks") as progress:
                self._masks = centre_masks(
                    self._crops, self._screen.crop_channels, channel, progress=progress
                )
        return self._masks

    def classic(self) -> Sets:
        from pcip_core.features.classic import classic_features

        screen = self._screen
        with self._progress("classic") as progress:
            vectors, names = classic_features(
                self._crops,
                self._low,
                self._high,
                screen.crop_channels,
                screen.structural,
                screen.protein,
                levels=screen.yardsticks.grey_levels,
                progress=progress,
            )
        return self._all, vectors, names, {}

    def designed(self) -> Sets:
        from pcip_core.features.yeast_designed import yeast_features

        screen, found = self._screen, self._centre_masks()
        with self._progress("designed") as progress:
            vectors, names = yeast_features(
                self._crops,
                self._low,
                self._high,
                found.masks,
                screen.crop_channels,
                screen.structural,
                screen.protein,
                progress=progress,
            )
        return self._all, vectors, names, {"cells_without_mask": found.missing}

    def cellprofiler(self) -> Sets:
        from pcip_core.features.cellprofiler import measure
        from pcip_core.features.cellprofiler_tables import archived, imported_by_id, imported_by_place

        spec, screen = self._screen.yardsticks.cellprofiler, self._screen
        if spec.source == "measured":
            found = self._centre_masks()
            with self._progress("cellprofiler") as progress:
                measured = measure(
                    self._crops,
                    self._low,
                    self._high,
                    found.masks,
                    screen.crop_channels,
                    grey_levels=screen.yardsticks.grey_levels,
                    progress=progress,
                )
            notes = {"cells_without_mask": found.missing, "not_finite": measured.not_finite}
            return self._all, measured.values, measured.names, notes
        keys = ("cell_id", "image_id", "field", "y_px", "x_px")
        cells = {name: self._cells[name].to_pylist() for name in keys}
        if spec.source == "archives":
            read = archived(screen, cells)
        elif spec.cell_id is not None:
            read = imported_by_id(screen.folder() / str(spec.table), cells, cell_id=spec.cell_id)
        else:
            read = imported_by_place(
                screen.folder() / str(spec.table),
                cells,
                image=str(spec.image),
                field=spec.field,
                y=spec.y,
                x=spec.x,
                within_px=spec.within_px,
            )
        notes = {"cells_without": read.cells_without, "not_finite": read.not_finite}
        return read.rows, read.values, read.names, notes
