"""`classifier_benchmark`: feature sets by logistic regression and random forest (paper, Supplementary Table 2)."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from pcip_assets.assets.benchmarks.scoring import (
    Scores,
    chosen_sets,
    scores_inputs,
    vectors_of,
    without_labels,
)
from pcip_assets.assets.feature_sets import main_sets, unsupervised_sets
from pcip_assets.assets.labels import scored_cells_of
from pcip_assets.assets.results import Made, Tables
from pcip_assets.assets.skeleton import asset, baselines_of
from pcip_assets.progress import Progress
from pcip_assets.resources import Library
from pcip_core.errors import EvaluationError
from pcip_core.evaluation.labelled import LabelledCells
from pcip_core.spec.screen import Screen
from pcip_core.words import many

_TABLE = "benchmarks_classifiers"


def build_classifier_benchmark(screen: Screen) -> dg.AssetsDefinition:
    """The asset of cross-validated scores, of learned and of baseline feature sets."""

    @asset(
        screen,
        "classifier_benchmark",
        deps=[[screen.name, "knn_benchmark"], [screen.name, "yardstick_benchmark"]],
        group=baselines_of(screen),
        kinds={"scikitlearn", "parquet"},
        table=_TABLE,
    )
    def classifier_benchmark(context: dg.AssetExecutionContext, library: Library) -> Tables:
        """Balanced accuracy under cross-validation, of each method's best layer by kNN."""
        spec = screen.baselines
        known = main_sets(library, screen) + unsupervised_sets(library, screen)
        chosen = chosen_sets(library, screen)
        if unknown := [name for name in chosen if name not in known]:
            raise EvaluationError(
                f"{screen.name}: baselines.classifiers",
                found=", ".join(unknown),
                required=f"some of {', '.join(known)}",
                remedy="Correct the spec, or materialize these feature sets for every shard first.",
            )

        def inputs(_: str | None) -> dict[str, Any]:
            return scores_inputs(library, screen, chosen, spec.models, spec.folds, spec.trees, spec.seed)

        def make(_: str | None) -> Made:
            cells = scored_cells_of(library, screen, known)
            scores, settings = Scores(), dict[str, Any]()
            if not (not_scored := without_labels(cells, screen)):
                refused = {}
                for name in chosen:
                    settings[name], refused[name] = _score(library, screen, name, cells, scores, context.log)
                    not_scored |= {f"not_scored: {name} {what}": why for what, why in refused[name].items()}
                for line in refusals(refused):
                    context.log.warning(f"{screen.name}/classifier_benchmark: {line}")
            metadata = {"feature_sets": chosen, "settings": dg.MetadataValue.json(settings), **not_scored}
            return Made(scores.tables(_TABLE), metadata=metadata)

        return Tables(_TABLE, inputs, make)

    return classifier_benchmark


def refusals(refused: Mapping[str, Mapping[str, str]]) -> list[str]:
    """One line per reason, although it holds for many feature sets, classifiers and protocols.

    Args:
        refused: feature set -> classifier and protocol -> why they have no scores.

    >>> refusals({"conv1": {"forest folds": "too few cells"}, "conv2": {"forest folds": "too few cells"}})
    ['not scored: forest folds of 2 feature sets: too few cells']
    """
    sets: dict[str, set[str]] = {}
    steps: dict[str, dict[str, None]] = {}
    for name, reasons in refused.items():
        for step, reason in reasons.items():
            sets.setdefault(reason, set()).add(name)
            steps.setdefault(reason, {})[step] = None
    return [
        f"not scored: {', '.join(steps[reason])} of {many(len(names), 'feature set')}: {reason}"
        for reason, names in sets.items()
    ]


def _score(
    library: Library, screen: Screen, feature_set: str, cells: LabelledCells, scores: Scores, log: Any
) -> tuple[dict[str, Any], dict[str, str]]:
    """Add the scores of one feature set by each classifier, with folds of groups and of cells.

    Returns:
        The settings; and classifier or protocol -> why these labels cannot be scored so.
    """
    from pcip_core.evaluation.classifiers import cross_validated, estimate_seconds
    from pcip_core.evaluation.scores import classifier_scores
    from pcip_core.evaluation.usable import usable

    spec = screen.baselines
    vectors, run_id = vectors_of(library, screen, feature_set, cells.cell_ids)
    grouping = next((name for name in screen.benchmark.protocols if name != "leave_cell_out"), None)
    groups_of = {} if grouping is None else {"grouped_folds": cells.groups(grouping)}
    settings: dict[str, Any] = {}
    not_scored: dict[str, str] = {}
    for protocol, groups in {**groups_of, "folds": None}.items():
        if groups is not None and (reason := cells.nothing_to_compare(str(grouping))):
            not_scored[protocol] = reason
            continue
        kept = usable(vectors, cells.labels, feature_set=feature_set, groups=groups)
        features, labels = vectors[kept.cells][:, kept.columns], cells.labels[kept.cells]
        kept_groups = None if groups is None else groups[kept.cells]
        key = {"feature_set": feature_set, "task": screen.benchmark.label, "protocol": protocol}
        for classifier in spec.models:
            step = f"{screen.name}/classifier_benchmark {feature_set} {classifier} {protocol}"
            work: dict[str, Any] = {"classifier": classifier, "folds": spec.folds, "trees": spec.trees}
            try:
                log.info(f"{step}: about {estimate_seconds(features, labels, **work):.0f} s")
                with Progress(log, step, spec.folds, "fold") as progress:
                    done = cross_validated(
                        features, labels, groups=kept_groups, seed=spec.seed, progress=progress, **work
                    )
            except EvaluationError as error:
                not_scored[f"{classifier} {protocol}"] = str(error)
                continue
            scored = classifier_scores(labels, done)
            scores.add(key, scored.rows, confusion=scored.confusion, run_id=run_id)
            settings[f"{classifier} {protocol}"] = {**done.settings, **kept.exclusions}
        scores.exclude(kept.exclusions, classifier=", ".join(spec.models), **key)
    return settings, not_scored
