"""`corrected_features`: feature sets with plate or cell line taken out, or decorrelated on controls."""

from typing import Any

import dagster as dg
import numpy as np

from pcip_assets.assets.sets import CONTROLS, INPAINTING, PREFIX, features_hash, made_features
from pcip_assets.assets.shared import (
    OWNERS,
    Made,
    Remake,
    Work,
    all_shards,
    materialize,
    yardsticks_of,
)
from pcip_assets.provenance import code_version
from pcip_assets.resources import Library
from pcip_core.errors import EvaluationError
from pcip_core.screen import Screen
from pcip_core.store.vectors import features_of

_COLUMN = {"by_plate": "plate", "by_cell_line": "cell_line"}


def build_corrected_features(
    screen: Screen, shards: dg.PartitionsDefinition, nouns: list[str]
) -> dg.AssetsDefinition:
    """The asset of corrected copies of feature sets, which the assets `nouns` make."""
    code = code_version("pcip_core.features.correction")

    @dg.asset(
        key=[screen.name, "corrected_features"],
        partitions_def=shards,
        deps=all_shards(screen, *nouns),
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=yardsticks_of(screen),
        owners=OWNERS,
        kinds={"numpy", "parquet"},
        code_version=code,
    )
    def corrected_features(
        context: dg.AssetExecutionContext, config: Remake, library: Library
    ) -> dg.MaterializeResult:
        """Corrected copies of the sets in `yardsticks.corrected`; what corrects them is of all shards."""
        spec = screen.yardsticks
        sets = [name for name in spec.corrected if library.store.shards(screen.name, PREFIX + name)]
        if len(sets) < len(spec.corrected):
            raise EvaluationError(
                f"{screen.name}: yardsticks.corrected",
                found=", ".join(set(spec.corrected) - set(sets)),
                required=f"feature sets that are made, as {', '.join((*INPAINTING, *CONTROLS))}",
                remedy="Correct the spec, or materialize these feature sets first.",
            )
        whole: dict[str, tuple[np.ndarray, dict[str, np.ndarray]]] = {}  # made once for all shards of a run

        def inputs(_: str | None) -> dict[str, Any]:
            columns = ["image_id", "plate", "cell_line", "protein"]
            images = library.store.read(screen.name, "images", columns=columns)
            return {
                "features": {name: features_hash(library, screen, name) for name in sets},
                "spec": [spec.corrections, spec.controls],
                "images": images.to_pylist(),
            }

        def make(shard: str | None) -> Made:
            if not whole:
                context.log.info(f"{screen.name}/corrected_features: {', '.join(spec.corrections)} of {sets}")
                whole.update({name: _corrected(library, screen, name) for name in sets})
            made: dict[str, np.ndarray] = {}
            cells = library.store.read(screen.name, PREFIX + sets[0], shards=[str(shard)])
            for of_cell, corrected in whole.values():
                made |= {name: vectors[of_cell == shard] for name, vectors in corrected.items()}
            about = [library.store.provenance(screen.name, PREFIX + name, shard) or {} for name in sets]
            runs = {one.get("mlflow_run_id") for one in about}
            versions = dict.fromkeys(str(one.get("encoder_version")) for one in about)
            return made_features(cells, made, ", ".join(versions), runs.pop() if len(runs) == 1 else None)

        work = Work(f"{PREFIX}{spec.corrected[0]}_{spec.corrections[0]}", code, inputs, make)
        return materialize(context, library, screen, config, work)

    return corrected_features


def _corrected(
    library: Library, screen: Screen, feature_set: str
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(n,) shard of each cell, and name -> (n, d) corrected."""
    from pcip_core.features.correction import by_group, whitened

    table = PREFIX + feature_set
    parts = {
        shard: library.store.read(screen.name, table, shards=[shard])
        for shard in library.store.shards(screen.name, table)
    }
    of_cell = np.repeat(list(parts), [part.num_rows for part in parts.values()])
    vectors = np.concatenate([features_of(part) for part in parts.values()])
    about = {row["image_id"]: row for row in library.store.read(screen.name, "images").to_pylist()}
    images = [about[name] for part in parts.values() for name in part["image_id"].to_pylist()]
    out = {}
    for correction in screen.yardsticks.corrections:
        if correction == "whitened":
            wanted = screen.yardsticks.controls
            controls = np.array([wanted is None or row["protein"] == wanted for row in images])
            values = whitened(vectors, controls).features
        else:
            column = _COLUMN[correction]
            if any(row[column] is None for row in images):
                raise EvaluationError(
                    f"{screen.name}: yardsticks.corrections {correction}",
                    found=f"images without `{column}`",
                    required=f"a {column.replace('_', ' ')} for every image",
                    remedy="Give it in `images` of the spec (docs/screens.md), or leave this correction out.",
                )
            values = by_group(vectors, np.array([row[column] for row in images])).features
        out[f"{feature_set}_{correction}"] = values
    return of_cell, out
