"""`designed_features`: features that experts designed, as a baseline for learned ones."""

from typing import Any

import dagster as dg
import numpy as np

from pcip_assets.assets.feature_sets import PREFIX, crops_hash, extremes
from pcip_assets.assets.results import Made, Tables
from pcip_assets.assets.skeleton import asset, baselines_of
from pcip_assets.progress import Progress
from pcip_assets.provenance import file_stamp
from pcip_assets.resources import Library
from pcip_core.spec.screen import Screen
from pcip_core.store.vectors import feature_table

_KEYS = ("cell_id", "image_id", "field", "y_px", "x_px")


def build_designed_features(screen: Screen, shards: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset of the designed feature sets in the spec's `baselines.sets`."""

    @asset(
        screen,
        "designed_features",
        shards=shards,
        deps=[[screen.name, "crops"]],
        group=baselines_of(screen),
        kinds={"scikitimage", "parquet"},
        table=PREFIX + screen.baselines.designed[0],
    )
    def designed_features(context: dg.AssetExecutionContext, library: Library) -> Tables:
        """Classic, interpretable and CellProfiler features of every cell of one shard."""
        spec, code = screen.baselines, context.assets_def.code_versions_by_key[context.asset_key]
        table = spec.cellprofiler.table

        def inputs(shard: str | None) -> dict[str, Any]:
            return {
                "spec": [spec.designed, spec.mask, spec.grey_levels, spec.cellprofiler, screen.channels],
                "crops": crops_hash(library, screen, shard),
                "table": None if table is None else file_stamp(screen.folder() / table),
            }

        def make(shard: str | None) -> Made:
            from pcip_core.features.designed.sets import ShardCrops, designed_sets

            cells, crops = library.store.read_with_array(screen.name, "cells", "crops", str(shard))
            described = designed_sets(
                screen,
                ShardCrops(
                    cells.select(_KEYS).to_dict(as_series=False), np.asarray(crops), *extremes(cells, screen)
                ),
                progress=lambda step: Progress(
                    context.log, f"{screen.name}/designed_features {shard}: {step}", len(crops), "cell"
                ),
            )
            tables = {
                PREFIX + name: feature_table(
                    {
                        "cell_id": cells["cell_id"].gather(features.rows),
                        "image_id": cells["image_id"].gather(features.rows),
                        "encoder_version": [f"{name}, code {code}"] * len(features.rows),
                    },
                    features.values,
                )
                for name, features in described.items()
            }
            notes = {name: {"columns": each.names, **each.notes} for name, each in described.items()}
            return Made(tables, metadata={"feature_sets": dg.MetadataValue.json(notes)})

        return Tables(PREFIX + spec.designed[0], inputs, make)

    return designed_features
