"""`knn_benchmark`: how well each learned feature set, and each control, separates the labels, and its batch effects.

`yardstick_benchmark` scores the baseline feature sets in the same way, where they exist.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from pcip_assets.assets.benchmarks.batch_effects import score_batch_effects
from pcip_assets.assets.benchmarks.scoring import (
    BASELINES,
    KNN,
    NOT_SCORED,
    Scores,
    column_weights,
    protocols_not_scored,
    scores_inputs,
    vectors_of,
    without_labels,
)
from pcip_assets.assets.encoders.training_cells import crops_of_screen
from pcip_assets.assets.feature_sets import (
    MAIN_NOUNS,
    baseline_nouns,
    main_sets,
    shards_lacking,
    unsupervised_sets,
)
from pcip_assets.assets.labels import scored_cells_of
from pcip_assets.assets.results import Made, Tables, picture
from pcip_assets.assets.skeleton import all_shards, asset, baselines_of
from pcip_assets.records.scores import Evaluation, best_scores, overall
from pcip_assets.resources import Library
from pcip_assets.tracking import Encoder, Tracking
from pcip_core.evaluation.labelled import LabelledCells
from pcip_core.spec.screen import Screen
from pcip_core.store import schemas

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def build_knn_benchmark(screen: Screen) -> dg.AssetsDefinition:
    """The asset of kNN scores of a screen's learned feature sets and their controls."""
    deps = all_shards(screen, *MAIN_NOUNS)
    of = "the encoder's layers and their controls"
    return _knn(screen, "knn_benchmark", KNN, of=of, group=screen.name, deps=deps, sets_of=main_sets)


def build_baseline_benchmark(screen: Screen) -> dg.AssetsDefinition:
    """The asset of kNN scores of the other feature sets."""
    nouns = [noun for noun in baseline_nouns(screen) if noun != "supervised_features"]
    deps = [*all_shards(screen, *nouns), dg.AssetDep([screen.name, "knn_benchmark"])]
    group = baselines_of(screen)
    of = "the baselines (yardsticks was their former name)"
    return _knn(
        screen, "yardstick_benchmark", BASELINES, of=of, group=group, deps=deps, sets_of=unsupervised_sets
    )


def _knn(
    screen: Screen,
    noun: str,
    table: str,
    *,
    of: str,
    group: str,
    deps: Sequence[dg.AssetDep],
    sets_of: Callable[[Library, Screen], list[str]],
) -> dg.AssetsDefinition:
    @asset(
        screen,
        noun,
        description=f"Balanced accuracy of k nearest neighbours, and batch effects, of {of}.",
        deps=deps,
        group=group,
        kinds={"parquet"},
        table=table,
    )
    def benchmark(context: dg.AssetExecutionContext, library: Library, tracking: Tracking) -> Tables:
        sets, champion = sets_of(library, screen), tracking.champion(screen.encoder_screen)

        def inputs(_: str | None) -> dict[str, Any]:
            return scores_inputs(library, screen, sets)

        def make(_: str | None) -> Made:
            from pcip_core.plots.pictures import preview
            from pcip_core.plots.scores.benchmarks import accuracy_by_layer
            from pcip_core.plots.scores.chance import classes_of

            described = {*main_sets(library, screen), *sets}
            cells = scored_cells_of(library, screen, described)
            scores = Scores()
            if not (not_scored := without_labels(cells, screen)):
                scores.exclude(cells.left_out, task=screen.benchmark.label)
                not_scored = _score_all(library, screen, sets, cells, scores)
            for reason in not_scored.values():
                context.log.warning(f"{screen.name}/{noun}: {reason}")
            score_batch_effects(library, screen, sets, described, scores)
            others = [] if table == KNN else library.store.read(screen.name, KNN).to_dicts()  # also drawn
            figure = accuracy_by_layer([*others, *scores.rows], screen.title, classes=classes_of(scores.rows))
            _record(library, screen, tracking, champion, noun, scores, figure)
            lacking = shards_lacking(library, screen).items()
            behind = {name: sorted(shards) for name, shards in lacking if shards}
            return Made(
                scores.tables(table),
                provenance={NOT_SCORED: "\n".join(not_scored.values()) if len(cells.labels) else None},
                metadata={
                    "cells_scored": len(cells.labels),
                    **cells.left_out,
                    **scores.exclusions_by_reason(),
                    **({} if table == KNN else {"feature_sets_that_lack_shards": behind}),
                    **not_scored,
                    "preview": picture(preview(figure)),
                },
            )

        return Tables(table, inputs, make)

    return benchmark


def _score_all(
    library: Library, screen: Screen, sets: Sequence[str], cells: LabelledCells, scores: Scores
) -> dict[str, str]:
    """Add the scores of these feature sets; metadata on the protocols that have nothing to score."""
    for name in sets:
        _score(library, screen, name, cells, scores)
    return protocols_not_scored(cells, screen)


def _score(library: Library, screen: Screen, feature_set: str, cells: LabelledCells, scores: Scores) -> None:
    """Add the scores of one feature set under each protocol."""
    from pcip_core.evaluation.scores import usable_knn_scores

    vectors, run_id = vectors_of(library, screen, feature_set, cells.cell_ids)
    weights = column_weights(library, screen, feature_set)
    for protocol in screen.benchmark.protocols:
        if cells.nothing_to_compare(protocol):
            continue
        scored = usable_knn_scores(
            vectors,
            cells.labels,
            feature_set=feature_set,
            groups=cells.groups(protocol),
            ks=screen.benchmark.ks,
            weights=weights,
            images=cells.image_ids,
        )
        key = {"feature_set": feature_set, "task": screen.benchmark.label, "protocol": protocol}
        scores.add(key, scored.rows, confusion=scored.confusion, run_id=run_id)
        scores.exclude(scored.exclusions, classifier="knn", **key)


def _record(
    library: Library,
    screen: Screen,
    tracking: Tracking,
    champion: Encoder,
    noun: str,
    scores: Scores,
    figure: "Figure",
) -> None:
    """Show the scores in MLflow: those of the encoder also as few metrics and in its card."""
    is_main = noun == "knn_benchmark"
    table = schemas.BENCHMARKS.frame(scores.rows)
    metrics, note = best_scores(table, screen.encoder.method) if is_main else ({}, "")
    pictures, rows = {f"{noun}.png": figure}, overall(scores.rows)
    crops = crops_of_screen(library, screen)
    evaluation = Evaluation(noun, crops, metrics, rows, pictures, note)
    tracking.log_evaluation(champion, evaluation)
    if is_main and screen.encoder_from is None:
        tracking.show_scores(champion, evaluation)
