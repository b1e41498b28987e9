"""`classifier_benchmark`: feature sets by logistic regression and random forest (paper, Supplementary Table 2)."""

import re
from typing import Any, Literal

import dagster as dg

from pcip_assets.assets.benchmarks import KNN, YARDSTICKS, benchmark_table, labelled, vectors_of
from pcip_assets.assets.features import features_hash, main_sets, other_sets
from pcip_assets.assets.shared import OWNERS, Made, Remake, Work, materialize, yardsticks_of
from pcip_assets.progress import Progress
from pcip_assets.provenance import code_version
from pcip_assets.resources import Library
from pcip_core.errors import EvaluationError
from pcip_core.evaluation.labelled import LabelledCells
from pcip_core.screen import Screen

_TABLE = "benchmarks_classifiers"
_CODE = tuple(f"pcip_core.evaluation.{name}" for name in ("classifiers", "labelled", "scores", "usable"))
_CLASSIFIERS: tuple[Literal["logistic", "forest"], ...] = ("logistic", "forest")


def build_classifier_benchmark(screen: Screen) -> dg.AssetsDefinition:
    """The asset of cross-validated scores, of own and of other feature sets."""
    code = code_version(*_CODE, __name__)

    @dg.asset(
        key=[screen.name, "classifier_benchmark"],
        deps=[[screen.name, "knn_benchmark"], [screen.name, "yardstick_benchmark"]],
        group_name=yardsticks_of(screen),
        owners=OWNERS,
        kinds={"scikitlearn", "parquet"},
        code_version=code,
    )
    def classifier_benchmark(
        context: dg.AssetExecutionContext, config: Remake, library: Library
    ) -> dg.MaterializeResult:
        """Balanced accuracy under cross-validation, of each method's best layer by kNN."""
        spec, store = screen.yardsticks, library.store
        known = main_sets(library, screen) + other_sets(library, screen)
        scored = [row for table in (KNN, YARDSTICKS) for row in store.read(screen.name, table).to_pylist()]
        chosen = list(spec.classifiers or best_layers(scored, screen.benchmark.protocols[0]))
        if unknown := [name for name in chosen if name not in known]:
            raise EvaluationError(
                f"{screen.name}: yardsticks.classifiers",
                found=", ".join(unknown),
                required=f"some of {', '.join(known)}",
                remedy="Correct the spec, or materialize these feature sets for every shard first.",
            )

        def inputs(_: str | None) -> dict[str, Any]:
            return {
                "features": {name: features_hash(library, screen, name) for name in chosen},
                "spec": [screen.section("benchmark"), spec.folds, spec.trees],
                "images": store.read(screen.name, "images").to_pylist(),
            }

        def make(_: str | None) -> Made:
            cells = labelled(library, screen, known)
            rows, settings = [], {}
            for name in chosen:
                found, settings[name] = _scores(library, screen, name, cells, context.log)
                rows += found
            metadata = {"feature_sets": chosen, "settings": dg.MetadataValue.json(settings)}
            return Made({_TABLE: benchmark_table(rows)}, metadata=metadata)

        return materialize(context, library, screen, config, Work(_TABLE, code, inputs, make))

    return classifier_benchmark


def best_layers(rows: list[dict[str, Any]], protocol: str) -> list[str]:
    """The feature set of each method that is best by kNN (k = 11 where it was asked for), under a protocol."""
    rows = [row for row in rows if row["protocol"] == protocol and row["metric"] == "balanced_accuracy"]
    asked = {row["parameter"] for row in rows}
    parameter = "k=11" if "k=11" in asked else max(asked, key=lambda name: int(name.removeprefix("k=")))
    best: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["parameter"] == parameter:
            method = re.sub(r"_conv\d+$", "", row["feature_set"])
            best[method] = max(best.get(method, row), row, key=lambda one: one["value"])
    return [row["feature_set"] for row in best.values()]


def _scores(
    library: Library, screen: Screen, feature_set: str, cells: LabelledCells, log: Any
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of one feature set by each classifier, with folds of groups and of cells, and what was left out."""
    from pcip_core.evaluation.classifiers import cross_validated, estimate_seconds
    from pcip_core.evaluation.scores import classifier_scores
    from pcip_core.evaluation.usable import usable

    spec = screen.yardsticks
    vectors, run_id = vectors_of(library, screen, feature_set, cells)
    honest = next((name for name in screen.benchmark.protocols if name != "leave_cell_out"), None)
    grouped = {"folds": None} if honest is None else {"grouped_folds": cells.groups(honest), "folds": None}
    rows, told = [], {}
    for protocol, groups in grouped.items():
        kept = usable(vectors, cells.labels, feature_set=feature_set, groups=groups)
        features, labels = vectors[kept.cells][:, kept.columns], cells.labels[kept.cells]
        for classifier in _CLASSIFIERS:
            what = f"{screen.name}/classifier_benchmark {feature_set} {classifier} {protocol}"
            work: dict[str, Any] = {"classifier": classifier, "folds": spec.folds, "trees": spec.trees}
            log.info(f"{what}: about {estimate_seconds(features, labels, **work):.0f} s")
            with Progress(log, what, spec.folds, "fold") as progress:
                kept_groups = None if groups is None else groups[kept.cells]
                done = cross_validated(features, labels, groups=kept_groups, progress=progress, **work)
            more = {"feature_set": feature_set, "task": screen.benchmark.label, "protocol": protocol}
            rows += [{**row, **more, "mlflow_run_id": run_id} for row in classifier_scores(labels, done).rows]
            told[f"{classifier} {protocol}"] = {**done.settings, **kept.exclusions}
    return rows, told
