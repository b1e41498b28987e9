"""`supervised_benchmark`: every feature set on the images that the supervised network has not seen.

The supervised features know the labels of the images that the network was trained on, so they are scored on the
other images only. Scores can be compared on the same cells only, so all other sets are scored on these images too.
"""

from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from pcip_assets.assets.benchmarks.scoring import Scores, column_weights, scores_inputs, vectors_of
from pcip_assets.assets.encoders.supervised import supervised_model
from pcip_assets.assets.encoders.training_cells import crops_of_screen
from pcip_assets.assets.feature_sets import SUPERVISED, baseline_nouns, main_sets, other_sets
from pcip_assets.assets.labels import labelled_cells_of
from pcip_assets.assets.results import Made, Tables
from pcip_assets.assets.skeleton import all_shards, asset, baselines_of
from pcip_assets.records.scores import Evaluation, overall
from pcip_assets.resources import Library
from pcip_assets.tracking import Encoder, Tracking
from pcip_core.evaluation.labelled import LabelledCells
from pcip_core.spec.screen import Screen
from pcip_core.store import schemas

_TABLE = "benchmarks_supervised"
_PROTOCOL = "held_images"
_LAST = "supervised_fc2"  # the paper's layer: the last before the output

_READS = ("supervised", "knn_benchmark")  # besides features


def build_supervised_benchmark(screen: Screen) -> dg.AssetsDefinition:
    """The asset of scores on the images held out of the supervised network's training."""

    @asset(
        screen,
        "supervised_benchmark",
        deps=[*all_shards(screen, *baseline_nouns(screen)), *([screen.name, noun] for noun in _READS)],
        group=baselines_of(screen),
        kinds={"scikitlearn", "parquet"},
        table=_TABLE,
    )
    def supervised_benchmark(
        context: dg.AssetExecutionContext, library: Library, tracking: Tracking
    ) -> Tables:
        """Every feature set, and the supervised network end to end, on images that it was not trained on."""
        spec = screen.baselines
        champion = tracking.champion(supervised_model(screen.name))
        sets = main_sets(library, screen) + other_sets(library, screen)

        def inputs(_: str | None) -> dict[str, Any]:
            settings = (spec.models, spec.trees, spec.seed, spec.classifiers)
            return scores_inputs(library, screen, sets, *settings, champion.tags["weights_sha256"])

        def make(_: str | None) -> Made:
            from pcip_core.models.files import read_extra

            split = read_extra(champion.folder)
            trained_on, held = split["trained_on"], split["held"]
            cells = labelled_cells_of(library, screen, sets).of_images(
                [*trained_on, *held], "cells_of_images_newer_than_the_network"
            )
            scoring = _Scoring(library, screen, cells, np.isin(cells.image_ids, held))
            scoring.score(sets, champion, context.log)
            accuracy = next(row for row in scoring.scores.rows if row["classifier"] == "end_to_end")
            metrics = {f"best_{_PROTOCOL}": accuracy["value"]}
            rows, crops = overall(scoring.scores.rows), crops_of_screen(library, screen)
            tracking.log_evaluation(champion, Evaluation("supervised_benchmark", crops, metrics, rows))
            return Made(
                {**scoring.scores.tables(_TABLE), "supervised_images": _images(split, champion)},
                metadata={
                    "images_trained_on": len(trained_on),
                    "images_held": len(held),
                    "cells_scored": int(scoring.held.sum()),
                    "end_to_end_balanced_accuracy": accuracy["value"],
                    **cells.left_out,
                },
            )

        return Tables(_TABLE, inputs, make)

    return supervised_benchmark


def _images(split: dict[str, list[str]], champion: Encoder) -> pl.DataFrame:
    """The table `supervised_images`."""
    images = pl.DataFrame({"image_id": [*split["trained_on"], *split["held"]]}, {"image_id": pl.String})
    return schemas.SUPERVISED_IMAGES.checked(
        images.with_columns(
            held=pl.int_range(pl.len()) >= len(split["trained_on"]),
            encoder_version=pl.lit(champion.version, pl.String),
        )
    )


@dataclass(frozen=True)
class _Scoring:
    """Scores of `held` cells; the others are those that the network was trained on."""

    library: Library
    screen: Screen
    cells: LabelledCells
    held: np.ndarray
    scores: Scores = field(default_factory=Scores)

    def score(self, sets: list[str], champion: Encoder, log: Any) -> None:
        """All sets by kNN, some by classifiers as well, and the network end to end."""
        from pcip_core.evaluation.scores import best_by_knn

        for name in sets:
            self._knn(name)
        by_knn = schemas.BENCHMARKS.frame(self.scores.rows)
        chosen = self.screen.baselines.classifiers or best_by_knn(by_knn, _PROTOCOL)
        for name in [*(name for name in chosen if name not in SUPERVISED), _LAST]:
            self._classifiers(name, log)
        self._end_to_end(champion)

    def _knn(self, name: str) -> None:
        """Held cells by their nearest neighbours among the other cells."""
        from pcip_core.evaluation.held_images import held_knn_scores

        vectors, run_id = self._vectors(name)
        scored = held_knn_scores(
            vectors,
            self.cells.labels,
            self.held,
            feature_set=name,
            ks=self.screen.benchmark.ks,
            weights=column_weights(self.library, self.screen, name),
            images=self.cells.image_ids,
        )
        self.scores.add(self._key(name), scored.rows, confusion=scored.confusion, run_id=run_id)
        self.scores.exclude(scored.exclusions, classifier="knn", **self._key(name))

    def _classifiers(self, name: str, log: Any) -> None:
        """Held cells by classifiers that are fitted to the other cells."""
        from pcip_core.evaluation.held_images import held_classifier_scores

        spec = self.screen.baselines
        vectors, run_id = self._vectors(name)
        for classifier in spec.models:
            log.info(f"{self.screen.name}/supervised_benchmark {name} {classifier}")
            scored = held_classifier_scores(
                vectors,
                self.cells.labels,
                self.held,
                feature_set=name,
                classifier=classifier,
                trees=spec.trees,
                seed=spec.seed,
            )
            self.scores.add(self._key(name), scored.rows, confusion=scored.confusion, run_id=run_id)

    def _end_to_end(self, champion: Encoder) -> None:
        """Held cells by the output of the network itself."""
        from pcip_core.evaluation.scores import predicted_scores
        from pcip_core.models.files import load_encoder
        from pcip_core.models.inference import class_probabilities

        network: Any = load_encoder(champion.folder)
        vectors, run_id = self._vectors(_LAST)
        chosen = class_probabilities(network, vectors[self.held]).argmax(1)
        scored = predicted_scores(
            self.cells.labels[self.held],
            np.array(network.config.classes)[chosen],
            classifier="end_to_end",
            parameter="softmax",
        )
        self.scores.add(self._key("supervised"), scored.rows, confusion=scored.confusion, run_id=run_id)

    def _vectors(self, name: str) -> tuple[np.ndarray, str | None]:
        return vectors_of(self.library, self.screen, name, self.cells.cell_ids)

    def _key(self, feature_set: str) -> dict[str, str]:
        return {"feature_set": feature_set, "task": self.screen.benchmark.label, "protocol": _PROTOCOL}
