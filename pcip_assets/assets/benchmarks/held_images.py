"""`supervised_benchmark`: every feature set on the images that the supervised network has not seen.

Its features know the labels of what it was trained on, so that they are scored on the other images alone;
and as figures compare on the same cells only, all other sets are scored on them as well.
"""

from typing import Any

import dagster as dg
import numpy as np

from pcip_assets.assets.benchmarks.classifiers import CLASSIFIERS
from pcip_assets.assets.benchmarks.scoring import Scores, best_by_knn, scores_inputs, vectors_of
from pcip_assets.assets.encoders.supervised import supervised_model
from pcip_assets.assets.feature_sets import SUPERVISED, baseline_nouns, main_sets, other_sets
from pcip_assets.assets.labels import labelled_cells_of
from pcip_assets.assets.results import Made, Tables
from pcip_assets.assets.skeleton import all_shards, asset, baselines_of
from pcip_assets.resources import Library
from pcip_assets.tracking import Encoder, Tracking
from pcip_core.evaluation.labelled import LabelledCells
from pcip_core.spec.screen import Screen
from pcip_core.store import schemas

_TABLE = "benchmarks_supervised"
_PROTOCOL = "held_images"
_LAST = "supervised_fc2"  # the last layer before the output: the paper's


def build_supervised_benchmark(screen: Screen) -> dg.AssetsDefinition:
    """The asset of scores on the images held out of the supervised network's training."""

    @asset(
        screen,
        "supervised_benchmark",
        deps=[
            *all_shards(screen, *baseline_nouns(screen)),
            dg.AssetDep([screen.name, "supervised"]),
            dg.AssetDep([screen.name, "knn_benchmark"]),
        ],
        group=baselines_of(screen),
        kinds={"scikitlearn", "parquet"},
    )
    def supervised_benchmark(
        context: dg.AssetExecutionContext, library: Library, tracking: Tracking
    ) -> Tables:
        """Every feature set, and the supervised network end to end, on images that it was not trained on."""
        spec = screen.baselines
        champion = tracking.champion(supervised_model(screen.name))
        sets = main_sets(library, screen) + other_sets(library, screen)

        def inputs(_: str | None) -> dict[str, Any]:
            settings = (spec.trees, spec.seed, spec.classifiers)
            return scores_inputs(library, screen, sets, *settings, champion.tags["weights_sha256"])

        def make(_: str | None) -> Made:
            from pcip_core.models.files import read_extra

            split = read_extra(champion.folder)
            cells = _of_images(labelled_cells_of(library, screen, sets), split)
            held = np.isin(cells.image_ids, split["held"])
            scores = Scores()
            for name in sets:
                _knn(library, screen, name, cells, held, scores)
            chosen = list(spec.classifiers or best_by_knn(scores.rows, _PROTOCOL))
            chosen = [name for name in chosen if name not in SUPERVISED] + [_LAST]
            for name in chosen:
                _classifiers(library, screen, name, cells, held, scores, context.log)
            _end_to_end(library, screen, champion, cells, held, scores)
            accuracy = next(row for row in scores.rows if row["classifier"] == "end_to_end")
            tracking.log_scores(champion.run_id, {f"held_images/{accuracy['metric']}": accuracy["value"]})
            table = schemas.SUPERVISED_IMAGES.frame(
                {
                    "image_id": [*split["trained_on"], *split["held"]],
                    "held": [False] * len(split["trained_on"]) + [True] * len(split["held"]),
                    "encoder_version": [champion.version] * (len(split["trained_on"]) + len(split["held"])),
                }
            )
            return Made(
                {**scores.tables(_TABLE), "supervised_images": table},
                metadata={
                    "images_trained_on": len(split["trained_on"]),
                    "images_held": len(split["held"]),
                    "cells_scored": int(held.sum()),
                    "end_to_end_balanced_accuracy": accuracy["value"],
                    **cells.left_out,
                },
            )

        return Tables(_TABLE, inputs, make)

    return supervised_benchmark


def _of_images(cells: LabelledCells, split: dict[str, list[str]]) -> LabelledCells:
    """The cells of images that were there when the network was trained."""
    known = np.isin(cells.image_ids, [*split["trained_on"], *split["held"]])
    return LabelledCells(
        [cell_id for cell_id, kept in zip(cells.cell_ids, known, strict=True) if kept],
        cells.labels[known],
        cells.image_ids[known],
        cells.fields[known],
        {**cells.left_out, "cells_of_images_newer_than_the_network": int((~known).sum())},
    )


def _knn(
    library: Library, screen: Screen, name: str, cells: LabelledCells, held: np.ndarray, scores: Scores
) -> None:
    """Held cells by their nearest neighbours among the others."""
    from pcip_core.evaluation.scores import knn_scores
    from pcip_core.evaluation.usable import usable

    vectors, run_id = vectors_of(library, screen, name, cells.cell_ids)
    groups = np.where(held, -1, np.arange(len(held)))  # held cells are never each other's neighbours
    kept = usable(vectors, cells.labels, feature_set=name, groups=groups, ks=screen.benchmark.ks)
    scored = knn_scores(
        vectors[kept.cells][:, kept.columns],
        cells.labels[kept.cells],
        groups=groups[kept.cells],
        ks=kept.ks,
        scored=held[kept.cells],
    )
    more = _more(screen, name)
    scores.add(more, scored.rows, confusion=scored.confusion, run_id=run_id)
    scores.exclude(kept.exclusions, classifier="knn", **more)


def _classifiers(
    library: Library,
    screen: Screen,
    name: str,
    cells: LabelledCells,
    held: np.ndarray,
    scores: Scores,
    log: Any,
) -> None:
    """Held cells by classifiers that are fitted to the others."""
    from pcip_core.evaluation.classifiers import cross_validated
    from pcip_core.evaluation.scores import classifier_scores
    from pcip_core.evaluation.usable import usable

    spec = screen.baselines
    vectors, run_id = vectors_of(library, screen, name, cells.cell_ids)
    columns = usable(vectors, cells.labels, feature_set=name).columns
    for classifier in CLASSIFIERS:
        log.info(f"{screen.name}/supervised_benchmark {name} {classifier}")
        done = cross_validated(
            vectors[:, columns],
            cells.labels,
            classifier=classifier,
            held=held,
            seed=spec.seed,
            trees=spec.trees,
        )
        scored = classifier_scores(cells.labels, done)
        scores.add(_more(screen, name), scored.rows, confusion=scored.confusion, run_id=run_id)


def _end_to_end(
    library: Library,
    screen: Screen,
    champion: Encoder,
    cells: LabelledCells,
    held: np.ndarray,
    scores: Scores,
) -> None:
    """What the network itself says of held cells."""
    from pcip_core.evaluation.scores import class_scores, confusion
    from pcip_core.models.files import load_encoder
    from pcip_core.models.inference import class_probabilities

    network: Any = load_encoder(champion.folder)
    vectors, run_id = vectors_of(library, screen, _LAST, cells.cell_ids)
    chosen = class_probabilities(network, vectors[held]).argmax(1)
    predicted = np.array(network.config.classes)[chosen]
    key = {"classifier": "end_to_end", "parameter": "softmax"}
    truth = cells.labels[held]
    rows = [{**key, **row} for row in class_scores(truth, predicted)]
    pairs = [{**key, **row} for row in confusion(truth, predicted)]
    more = _more(screen, "supervised")
    scores.add(more, rows, confusion=pairs, run_id=run_id)


def _more(screen: Screen, feature_set: str) -> dict[str, Any]:
    return {"feature_set": feature_set, "task": screen.benchmark.label, "protocol": _PROTOCOL}
