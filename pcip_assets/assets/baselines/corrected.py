"""`corrected_features`: feature sets with plate or cell line taken out, or decorrelated on controls."""

from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import polars as pl

from pcip_assets.assets.feature_sets import (
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
from pcip_core.store.images import Images
from pcip_core.store.vectors import features_of

if TYPE_CHECKING:
    from pcip_core.features.correction import Correct

_COLUMNS = ("image_id", "plate", "cell_line", "protein")


def build_corrected_features(
    screen: Screen, shards: dg.PartitionsDefinition, nouns: list[str]
) -> dg.AssetsDefinition:
    """The asset of corrected copies of feature sets, which the assets `nouns` make."""

    @asset(
        screen,
        "corrected_features",
        shards=shards,
        deps=all_shards(screen, *nouns),
        group=baselines_of(screen),
        kinds={"numpy", "parquet"},
        table=f"{PREFIX}{screen.corrected[0]}_{screen.baselines.corrections[0]}",
    )
    def corrected_features(context: dg.AssetExecutionContext, library: Library) -> Tables:
        """Corrected copies of the sets in `baselines.corrected`; the corrections are fitted to all shards."""
        spec = screen.baselines
        sets = [name for name in screen.corrected if library.store.shards(screen.name, PREFIX + name)]
        if len(sets) < len(screen.corrected):
            raise EvaluationError(
                f"{screen.name}: baselines.corrected",
                found=", ".join(set(screen.corrected) - set(sets)),
                required="feature sets that exist, such as "
                + ", ".join((*encoder_sets(screen), *control_sets(screen))),
                remedy="Correct the spec, or materialize these feature sets first.",
            )
        fitted: dict[str, dict[str, Correct]] = {}  # by feature set; fitted once for all shards of a run

        def inputs(_: str | None) -> dict[str, Any]:
            return {
                "features": {name: features_hash(library, screen, name) for name in sets},
                "spec": [spec.corrections, spec.controls],
                "images": Images.of(library.store, screen.name)
                .table.select(_COLUMNS)
                .to_dict(as_series=False),
            }

        def make(shard: str | None) -> Made:
            if not fitted:
                context.log.info(f"{screen.name}/corrected_features: {', '.join(spec.corrections)} of {sets}")
                fitted.update({name: _corrections(library, screen, name) for name in sets})
            corrected: dict[str, np.ndarray] = {}
            for name, corrections in fitted.items():
                cells = library.store.read(screen.name, PREFIX + name, shards=[str(shard)])
                vectors, images = features_of(cells), cells["image_id"]
                for correction, correct in corrections.items():
                    corrected[f"{name}_{correction}"] = correct(vectors, images)
            return made_features(cells, corrected, *common_provenance(library, screen, sets, shard))

        return Tables(f"{PREFIX}{screen.corrected[0]}_{spec.corrections[0]}", inputs, make)

    return corrected_features


def _corrections(library: Library, screen: Screen, feature_set: str) -> "dict[str, Correct]":
    """The corrections of a feature set, fitted to all its cells."""
    from pcip_core.features.correction import corrections_by_image

    spec = screen.baselines
    features = StoredFeatures(library.store, screen.name, PREFIX + feature_set)
    images = Images.of(library.store, screen.name).table.select(_COLUMNS)
    return corrections_by_image(
        features,
        features.image,
        pl.DataFrame({"image_id": features.images}).join(
            images, on="image_id", how="left", maintain_order="left"
        ),
        spec.corrections,
        controls=spec.controls,
        where=f"{screen.name}: baselines.corrections",
    )
