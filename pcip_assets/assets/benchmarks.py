"""`knn_benchmark`: how well each feature set tells the labels apart, with its controls beside it."""

from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from pcip_assets.assets.features import PREFIX, feature_sets, features_hash, yardstick_nouns
from pcip_assets.assets.shared import OWNERS, Made, Remake, Work, all_shards, materialize, picture
from pcip_assets.provenance import code_version
from pcip_assets.resources import Library
from pcip_assets.tracking import Tracking
from pcip_core.evaluation.labelled import LabelledCells, labelled_cells
from pcip_core.screen import Screen
from pcip_core.store.tables import MAIN
from pcip_core.store.vectors import features_of

_TYPES = {**dict.fromkeys(("value", "low", "high"), pa.float64()), "n": pa.int64()}
_DOC = next(doc for doc in MAIN if doc.name == "benchmarks")
_COLUMNS = tuple(name for name in _DOC.columns if name != "screen")


def build_knn_benchmark(screen: Screen) -> dg.AssetsDefinition:
    """The asset of kNN scores of all feature sets of a screen."""
    code = code_version("pcip_core.evaluation", __name__)
    nouns = ["cell_features", "control_features", *yardstick_nouns(screen)]

    @dg.asset(
        key=[screen.name, "knn_benchmark"],
        deps=all_shards(screen, *nouns),
        group_name=screen.name,
        owners=OWNERS,
        kinds={"parquet"},
        code_version=code,
    )
    def knn_benchmark(
        context: dg.AssetExecutionContext, config: Remake, library: Library, tracking: Tracking
    ) -> dg.MaterializeResult:
        """Balanced accuracy of k nearest neighbours, every layer and control, under each protocol."""
        sets, behind = feature_sets(library, screen)
        champion = tracking.champion(screen.encoder_screen)

        def inputs(_: str | None) -> dict[str, Any]:
            return {
                "features": {name: features_hash(library, screen, name) for name in sets},
                "spec": screen.section("benchmark"),
                "images": library.store.read(screen.name, "images").to_pylist(),
            }

        def make(_: str | None) -> Made:
            from pcip_core.plots.benchmarks import accuracy_by_layer
            from pcip_core.plots.png import to_png

            cells = labelled(library, screen, sets)
            rows = [row for name in sets for row in _scores(library, screen, name, cells)]
            figure = accuracy_by_layer(rows, screen.title)
            borrowed = f"{screen.name}/" if screen.encoder_from else ""  # the run is another screen's
            tracking.log_pictures(champion.run_id, {f"{borrowed}knn_benchmark.png": figure})
            tracking.log_scores(
                champion.run_id, {borrowed + name: value for name, value in _headline(rows).items()}
            )
            return Made(
                {"benchmarks": benchmark_table(rows)},
                metadata={
                    "cells_scored": len(cells.labels),
                    **cells.left_out,
                    "feature_sets_that_lack_a_shard": behind,
                    "preview": picture(to_png(figure)),
                },
            )

        return materialize(context, library, screen, config, Work("benchmarks", code, inputs, make))

    return knn_benchmark


def benchmark_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Score rows as the `benchmarks` table."""
    return pa.table(
        {name: pa.array([row.get(name) for row in rows], _TYPES.get(name, pa.string())) for name in _COLUMNS}
    )


def labelled(library: Library, screen: Screen, sets: list[str]) -> LabelledCells:
    """The cells that every feature set describes, with their labels and groups."""
    cells = library.store.read(
        screen.name, "cells", columns=["cell_id", "image_id", "field", "pixel_hash"]
    ).to_pylist()
    described = [
        set(library.store.read(screen.name, PREFIX + name, columns=["cell_id"])["cell_id"].to_pylist())
        for name in sets
    ]
    everywhere = set.intersection(*described)
    images = library.store.read(screen.name, "images").to_pylist()
    label_of = {row["image_id"]: _terms(row[screen.benchmark.label]) for row in images}
    kept = labelled_cells([cell for cell in cells if cell["cell_id"] in everywhere], label_of)
    kept.left_out["cells_that_a_feature_set_lacks"] = len(cells) - len(everywhere)
    return kept


def _terms(value: Any) -> list[str]:
    return list(value) if isinstance(value, list) else [] if value is None else [str(value)]


def _scores(library: Library, screen: Screen, feature_set: str, cells: LabelledCells) -> list[dict[str, Any]]:
    from pcip_core.evaluation.scores import knn_scores

    vectors, run_id = vectors_of(library, screen, feature_set, cells)
    rows = []
    for protocol in screen.benchmark.protocols:
        groups = cells.groups(protocol)
        scored = knn_scores(vectors, cells.labels, groups=groups, ks=screen.benchmark.ks)
        rows += [
            {
                **row,
                "feature_set": feature_set,
                "task": screen.benchmark.label,
                "protocol": protocol,
                "mlflow_run_id": run_id,
            }
            for row in scored.rows
        ]
    return rows


def vectors_of(
    library: Library, screen: Screen, feature_set: str, cells: LabelledCells
) -> tuple[np.ndarray, str | None]:
    """The vectors of these cells, (n, d), and the training that made them, None where there was none."""
    table = library.store.read(screen.name, PREFIX + feature_set)
    row_of = {cell_id: row for row, cell_id in enumerate(table["cell_id"].to_pylist())}
    shard = library.store.shards(screen.name, PREFIX + feature_set)[-1]
    about = library.store.provenance(screen.name, PREFIX + feature_set, shard) or {}
    return features_of(table)[[row_of[cell_id] for cell_id in cells.cell_ids]], about.get("mlflow_run_id")


def _headline(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Metric names of MLflow (no `=`) -> balanced accuracy over all classes."""
    overall = [row for row in rows if row["label"] is None and row["metric"] == "balanced_accuracy"]
    names = ("metric", "feature_set", "protocol", "classifier", "parameter")
    return {"/".join(row[name] for name in names).replace("=", ""): row["value"] for row in overall}
