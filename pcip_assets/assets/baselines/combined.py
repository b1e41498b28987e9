"""`<name>_features`: a feature set that combines others (section `features` of the spec)."""

import dataclasses
from typing import Any

import dagster as dg
import numpy as np

from pcip_assets.assets.feature_sets import (
    LENGTHS,
    PREFIX,
    common_provenance,
    control_sets,
    encoder_sets,
    features_hash,
    made_features,
)
from pcip_assets.assets.results import Made, Tables
from pcip_assets.assets.skeleton import all_shards, asset, baselines_of
from pcip_assets.resources import Library
from pcip_core.errors import EvaluationError
from pcip_core.spec.screen import Screen
from pcip_core.store.feature_blocks import StoredFeatures
from pcip_core.store.vectors import features_of
from pcip_core.words import many


def build_combined_features(
    screen: Screen, shards: dg.PartitionsDefinition, name: str, nouns: list[str]
) -> dg.AssetsDefinition:
    """The asset of one combination of feature sets, which the assets `nouns` make."""
    sets = screen.features[name].combine

    @asset(
        screen,
        f"{name}_features",
        shards=shards,
        deps=all_shards(screen, *nouns),
        group=baselines_of(screen),
        kinds={"numpy", "parquet"},
        table=PREFIX + name,
        description=f"{' and '.join(sets)} together, each standardized over all cells and divided by the root of "
        "its length.",
    )
    def features(context: dg.AssetExecutionContext, library: Library) -> Tables:
        _require_sets(library, screen, name, sets)
        fitted: list[Any] = []  # mean and deviation of each set; computed once for all shards of a run

        def inputs(_: str | None) -> dict[str, Any]:
            return {"features": {each: features_hash(library, screen, each) for each in sets}}

        def make(shard: str | None) -> Made:
            from pcip_core.features.blocks import columns_of
            from pcip_core.features.combined import combined

            if not fitted:
                context.log.info(f"{screen.name}/{name}_features: {', '.join(sets)}")
                stored = (StoredFeatures(library.store, screen.name, PREFIX + each) for each in sets)
                fitted.extend(columns_of(each, f"features.{name}") for each in stored)
            tables = [library.store.read(screen.name, PREFIX + each, shards=[str(shard)]) for each in sets]
            cells = tables[0].select("cell_id", "image_id")
            parts = [_in_order(table, cells, f"{screen.name}: features.{name}") for table in tables]
            provenance = common_provenance(library, screen, sets, shard)
            made = made_features(cells, {name: combined(parts, fitted)}, *provenance)
            lengths = " ".join(str(part.shape[1]) for part in parts)
            return dataclasses.replace(made, provenance={**made.provenance, LENGTHS: lengths})

        return Tables(PREFIX + name, inputs, make)

    return features


def _require_sets(library: Library, screen: Screen, name: str, sets: tuple[str, ...]) -> None:
    missing = [each for each in sets if not library.store.shards(screen.name, PREFIX + each)]
    if missing:
        raise EvaluationError(
            f"{screen.name}: features.{name}.combine",
            found=", ".join(missing),
            required=f"feature sets that exist, such as {', '.join((*encoder_sets(screen), *control_sets(screen)))}",
            remedy="Correct the spec, or add these feature sets to `baselines.sets` or `features`.",
        )


def _in_order(table: Any, cells: Any, where: str) -> np.ndarray:
    """The vectors of these cells.

    Raises:
        EvaluationError: the table describes other cells.
    """
    if not table["cell_id"].equals(cells["cell_id"]):
        joined = cells.join(table, on="cell_id", how="inner", maintain_order="left")
        if joined.height < cells.height or table.height > cells.height:
            raise EvaluationError(
                where,
                found=f"sets of {cells.height} and {many(table.height, 'cell')}, {joined.height} of them the same",
                required="feature sets of the same cells",
                remedy="Bring all shards of these sets up to date, or combine sets that describe every cell.",
            )
        table = joined
    return features_of(table)
