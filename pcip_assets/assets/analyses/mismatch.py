"""`mismatch` (paper, Supplementary Figure 1): does the network follow its source, or does it cheat?"""

from typing import Any

import dagster as dg
import polars as pl

from pcip_assets.assets.analyses.source_swaps import measured
from pcip_assets.assets.feature_sets import crops_hash
from pcip_assets.assets.shared import (
    GPU_POOL,
    OWNERS,
    Made,
    Remake,
    Work,
    all_shards,
    analyses_of,
    materialize,
)
from pcip_assets.lineage import code_version
from pcip_assets.resources import Library
from pcip_assets.tracking import Tracking
from pcip_core.spec.screen import Screen
from pcip_core.store import schemas

TABLE = "mismatch"


def build_mismatch(screen: Screen) -> dg.AssetsDefinition:
    """The asset of what is predicted from sources and targets that do not match."""
    code = code_version(build_mismatch, figures=True)

    @dg.asset(
        key=[screen.name, TABLE],
        deps=[*all_shards(screen, "crops"), dg.AssetDep([screen.encoder_screen, "encoder"])],
        group_name=analyses_of(screen),
        owners=OWNERS,
        kinds={"pytorch", "parquet"},
        pool=GPU_POOL,
        code_version=code,
    )
    def mismatch(
        context: dg.AssetExecutionContext, config: Remake, library: Library, tracking: Tracking
    ) -> dg.MaterializeResult:
        """Whether a prediction shows the localization of its source or of its target, pair by pair."""

        def inputs(_: str | None) -> dict[str, Any]:
            champion = tracking.champion(screen.encoder_screen)
            images = library.store.read(screen.name, "images").to_dicts()
            return {
                "encoder": [champion.version, champion.tags["weights_sha256"]],
                "crops": {
                    shard: crops_hash(library, screen, shard)
                    for shard in library.store.shards(screen.name, "cells")
                },
                "labels": {row["image_id"]: row[screen.benchmark.label] for row in images},
                "spec": [screen.benchmark.label, screen.analyses.seed, screen.encoder.seed],
            }

        def make(_: str | None) -> Made:
            found = measured(library, tracking, screen)
            told = {**found.told, **found.scores}
            if found.verdict is not None:
                told["follows_its_source"] = found.verdict.follows
            champion = tracking.champion(screen.encoder_screen)
            about = {"encoder_version": champion.version, "mlflow_run_id": champion.run_id}
            return Made(
                {TABLE: mismatch_table(found.rows)},
                provenance=about,
                metadata=told,
                figures={TABLE: found.figure},
            )

        return materialize(context, library, screen, config, Work(TABLE, code, inputs, make))

    return mismatch


def mismatch_table(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows as the table `mismatch`."""
    columns = schemas.MISMATCH.columns
    return schemas.MISMATCH.frame([{name: row[name] for name in columns} for row in rows])
