"""`knn_benchmark`: how well each feature set tells the labels apart, with its controls beside it.

`yardstick_benchmark` does the same for the other feature sets, if they are made.
"""

from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from pcip_assets.assets.features import (
    MAIN_NOUNS,
    PREFIX,
    features_hash,
    main_sets,
    other_sets,
    shards_lacking,
    yardstick_nouns,
)
from pcip_assets.assets.shared import (
    OWNERS,
    Made,
    Remake,
    Work,
    all_shards,
    materialize,
    picture,
    yardsticks_of,
)
from pcip_assets.provenance import code_version
from pcip_assets.resources import Library
from pcip_assets.tracking import Tracking
from pcip_core.evaluation.labelled import LabelledCells, labelled_cells
from pcip_core.screen import Screen
from pcip_core.store.tables import MAIN
from pcip_core.store.vectors import features_of

KNN, YARDSTICKS = "benchmarks", "benchmarks_yardsticks"  # the tables of scores
_CODE = tuple(f"pcip_core.evaluation.{name}" for name in ("knn", "labelled", "neighbours", "scores"))
_TYPES = {**dict.fromkeys(("value", "low", "high"), pa.float64()), "n": pa.int64()}
_DOC = next(doc for doc in MAIN if doc.name == "benchmarks")
_COLUMNS = tuple(name for name in _DOC.columns if name != "screen")


def build_knn_benchmark(screen: Screen) -> dg.AssetsDefinition:
    """The asset of kNN scores of a screen's own feature sets and their controls."""
    deps = all_shards(screen, *MAIN_NOUNS)
    return _knn(screen, "knn_benchmark", KNN, group=screen.name, deps=deps, sets_of=main_sets)


def build_yardstick_benchmark(screen: Screen) -> dg.AssetsDefinition:
    """The asset of kNN scores of the other feature sets."""
    deps = [*all_shards(screen, *yardstick_nouns(screen)), dg.AssetDep([screen.name, "knn_benchmark"])]
    group = yardsticks_of(screen)
    return _knn(screen, "yardstick_benchmark", YARDSTICKS, group=group, deps=deps, sets_of=other_sets)


def _knn(
    screen: Screen,
    noun: str,
    table: str,
    *,
    group: str,
    deps: Sequence[dg.AssetDep],
    sets_of: Callable[[Library, Screen], list[str]],
) -> dg.AssetsDefinition:
    code = code_version(*_CODE, __name__)

    @dg.asset(
        key=[screen.name, noun],
        description="Balanced accuracy of k nearest neighbours, each feature set under each protocol.",
        deps=deps,
        group_name=group,
        owners=OWNERS,
        kinds={"parquet"},
        code_version=code,
    )
    def benchmark(
        context: dg.AssetExecutionContext, config: Remake, library: Library, tracking: Tracking
    ) -> dg.MaterializeResult:
        sets = sets_of(library, screen)
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
            others = [] if table == KNN else library.store.read(screen.name, KNN).to_pylist()
            figure = accuracy_by_layer([*others, *rows], screen.title)
            borrowed = f"{screen.name}/" if screen.encoder_from else ""  # the run is another screen's
            tracking.log_pictures(champion.run_id, {f"{borrowed}{noun}.png": figure})
            tracking.log_scores(
                champion.run_id, {borrowed + name: value for name, value in _headline(rows).items()}
            )
            behind = {
                name: sorted(shards) for name, shards in shards_lacking(library, screen).items() if shards
            }
            return Made(
                {table: benchmark_table(rows)},
                metadata={
                    "cells_scored": len(cells.labels),
                    **cells.left_out,
                    **({} if table == KNN else {"feature_sets_that_lack_shards": behind}),
                    "preview": picture(to_png(figure)),
                },
            )

        return materialize(context, library, screen, config, Work(table, code, inputs, make))

    return benchmark


def benchmark_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Score rows as the `benchmarks` table."""
    return pa.table(
        {name: pa.array([row.get(name) for row in rows], _TYPES.get(name, pa.string())) for name in _COLUMNS}
    )


def labelled(library: Library, screen: Screen, sets: list[str]) -> LabelledCells:
    """The cells that these sets and all learned ones describe, with their labels and groups."""
    cells = library.store.read(
        screen.name, "cells", columns=["cell_id", "image_id", "field", "pixel_hash"]
    ).to_pylist()
    described = [
        set(library.store.read(screen.name, PREFIX + name, columns=["cell_id"])["cell_id"].to_pylist())
        for name in {*main_sets(library, screen), *sets}
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
