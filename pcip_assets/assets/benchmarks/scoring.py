"""What all assets of scores share: the vectors that are scored, and rows, confusions and exclusions as tables."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from pcip_assets.assets.feature_sets import PREFIX, features_hash
from pcip_assets.resources import Library
from pcip_core.errors import EvaluationError
from pcip_core.evaluation.labelled import LabelledCells
from pcip_core.features.blocks import rows_of
from pcip_core.features.names import best_layers
from pcip_core.spec.screen import Screen
from pcip_core.store import schemas
from pcip_core.store.feature_blocks import StoredFeatures

KNN, BASELINES = "benchmarks", "benchmarks_yardsticks"  # tables of scores; others are benchmarks_<noun>


@dataclass
class Scores:
    """What one asset finds, of any number of feature sets.

    Attributes:
        rows: of main.benchmarks, but for the screen.
        confusion: of the view `confusion`; pairs of classes that never occur are left out.
        exclusions: of the view `exclusions`.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    confusion: list[dict[str, Any]] = field(default_factory=list)
    exclusions: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        more: dict[str, Any],
        rows: Iterable[dict[str, Any]],
        *,
        confusion: Iterable[dict[str, Any]] = (),
        run_id: str | None = None,
    ) -> None:
        """Scores of one feature set under one protocol, both named in `more`."""
        self.rows += [{**more, "mlflow_run_id": run_id, **row} for row in rows]
        self.confusion += [{**more, **row} for row in confusion if row["n"]]

    def exclude(self, counts: dict[str, int], **more: str) -> None:
        """What was left out, by reason; reasons that left out nothing are not told."""
        self.exclusions += [{**more, "reason": reason, "n": n} for reason, n in counts.items() if n]

    def tables(self, benchmarks: str) -> dict[str, pl.DataFrame]:
        """The three tables of the asset whose scores are in the table `benchmarks`."""
        noun = benchmarks.removeprefix("benchmarks").removeprefix("_") or "knn"
        return {
            benchmarks: schemas.BENCHMARKS.frame(self.rows),
            f"confusion_{noun}": schemas.CONFUSION.frame(self.confusion),
            f"exclusions_{noun}": schemas.EXCLUSIONS.frame(self.exclusions),
        }

    def exclusions_by_reason(self) -> dict[str, int]:
        """Reason -> the largest count of any feature set, for the asset's metadata."""
        counts: dict[str, int] = {}
        for row in self.exclusions:
            counts[row["reason"]] = max(counts.get(row["reason"], 0), row["n"])
        return counts


def benchmark_tables(tables: Iterable[str], kind: str) -> list[str]:
    """Those of a screen's tables that hold `benchmarks`, `confusion` or `exclusions`."""
    return [name for name in tables if name == kind or name.startswith(f"{kind}_")]


def vectors_of(
    library: Library, screen: Screen, feature_set: str, cell_ids: list[str]
) -> tuple[np.ndarray, str | None]:
    """The vectors of these cells, (n, d), and the training that made them, None where there was none.

    Raises:
        EvaluationError: a cell has no vector.
    """
    features = StoredFeatures(library.store, screen.name, PREFIX + feature_set)
    rows = features.places(cell_ids)
    if missing := int((rows < 0).sum()):
        raise EvaluationError(
            f"{screen.name}/{feature_set}",
            found=f"{missing} cells without a vector",
            required="a vector of each cell that is scored",
            remedy=f"Materialize the shards of {screen.name}/{PREFIX}{feature_set} that are out of date.",
        )
    shard = library.store.shards(screen.name, PREFIX + feature_set)[-1]
    about = library.store.provenance(screen.name, PREFIX + feature_set, shard) or {}
    return rows_of(features, rows), about.get("mlflow_run_id")


def scores_inputs(library: Library, screen: Screen, sets: Iterable[str], *spec: Any) -> dict[str, Any]:
    """All that decides the scores of these sets: their features, the labels, the settings."""
    return {
        "features": {name: features_hash(library, screen, name) for name in sets},
        "spec": [screen.section("benchmark"), *spec],
        "images": library.store.read(screen.name, "images").to_dicts(),
    }


def without_labels(cells: LabelledCells, screen: Screen) -> dict[str, str]:
    """Metadata of an asset of scores that has nothing to score by; empty where there is something."""
    if len(cells.labels):
        return {}
    return {"not_scored": f"no cell has exactly one label: column {screen.benchmark.label} of images"}


def best_by_knn(rows: Iterable[dict[str, Any]], protocol: str) -> list[str]:
    """The feature set of each method that is best by kNN (k = 11 where it was asked for), under a protocol."""
    rows = [
        row
        for row in rows
        if row["protocol"] == protocol
        and row["metric"] == "balanced_accuracy"
        and row["classifier"] == "knn"
        and row["label"] is None
    ]
    asked = {row["parameter"] for row in rows}
    parameter = (
        "k=11" if "k=11" in asked else max(asked, key=lambda name: int(name.removeprefix("k=")), default="")
    )
    return best_layers({row["feature_set"]: row["value"] for row in rows if row["parameter"] == parameter})


def chosen_sets(library: Library, screen: Screen) -> list[str]:
    """The feature sets that the slower scores are of: those the spec names, or the best layer of each method.

    Where nothing could be scored, the layers that the paper found best.
    """
    if screen.baselines.classifiers is not None:
        return list(screen.baselines.classifiers)
    scored = [row for table in (KNN, BASELINES) for row in library.store.read(screen.name, table).to_dicts()]
    return best_by_knn(scored, screen.benchmark.protocols[0]) or ["inpainting_conv3", "inpainting_conv4"]
