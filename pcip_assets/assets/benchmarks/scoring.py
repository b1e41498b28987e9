"""What all assets of scores share: the vectors that are scored; scores, confusion matrices and exclusions as tables."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from pcip_assets.assets.feature_sets import LENGTHS, PREFIX, features_hash
from pcip_assets.resources import Library
from pcip_core.errors import EvaluationError
from pcip_core.evaluation.labelled import LabelledCells
from pcip_core.features.blocks import rows_of
from pcip_core.spec.screen import Screen
from pcip_core.store import schemas
from pcip_core.store.feature_blocks import StoredFeatures
from pcip_core.store.images import Images
from pcip_core.store.paths import how_to_make
from pcip_core.words import many

NOT_SCORED = "not_scored"  # key of the provenance: why labels or protocols are not scored, one reason a line
KNN, BASELINES = "benchmarks", "benchmarks_yardsticks"  # tables of scores; others are benchmarks_<noun>


@dataclass
class Scores:
    """The scores of one asset, for any number of feature sets.

    Attributes:
        rows: of main.benchmarks, without the screen.
        confusion: of the view `confusion`; pairs of classes that never occur are excluded.
        exclusions: of the view `exclusions`.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    confusion: list[dict[str, Any]] = field(default_factory=list)
    exclusions: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        key: dict[str, Any],
        rows: Iterable[dict[str, Any]],
        *,
        confusion: Iterable[dict[str, Any]] = (),
        run_id: str | None = None,
    ) -> None:
        """Add scores of one feature set under one protocol, both named in `key`."""
        self.rows += [{**key, "mlflow_run_id": run_id, **row} for row in rows]
        self.confusion += [{**key, **row} for row in confusion if row["n"]]

    def exclude(self, counts: dict[str, int], **key: str) -> None:
        """Add what was excluded, one row for each reason that excluded something."""
        self.exclusions += [{**key, "reason": reason, "n": n} for reason, n in counts.items() if n]

    def tables(self, benchmarks: str, *, confusion: bool = True) -> dict[str, pl.DataFrame]:
        """The tables of the asset whose scores are in the table `benchmarks`.

        Args:
            benchmarks: name of the table.
            confusion: whether the scores are of predictions, so that there is a confusion matrix.
        """
        noun = benchmarks.removeprefix("benchmarks").removeprefix("_") or "knn"
        tables = {
            benchmarks: schemas.BENCHMARKS.frame(self.rows),
            f"exclusions_{noun}": schemas.EXCLUSIONS.frame(self.exclusions),
        }
        if confusion:
            tables[f"confusion_{noun}"] = schemas.CONFUSION.frame(self.confusion)
        return tables

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
    library: Library, screen: Screen, feature_set: str, cell_ids: pl.Series
) -> tuple[np.ndarray, str | None]:
    """The vectors of these cells, (n, d), and the MLflow run of the network; None where no network was trained.

    Raises:
        EvaluationError: a cell has no vector.
    """
    features = StoredFeatures(library.store, screen.name, PREFIX + feature_set)
    rows = features.places(cell_ids)
    if missing := int((rows < 0).sum()):
        raise EvaluationError(
            f"{screen.name}/{feature_set}",
            found=f"{many(missing, 'cell')} without a vector",
            required="a vector of each cell that is scored",
            remedy=f"Bring all shards up to date. {how_to_make(screen.name, PREFIX + feature_set)}",
        )
    shard = library.store.shards(screen.name, PREFIX + feature_set)[-1]
    provenance = library.store.provenance(screen.name, PREFIX + feature_set, shard) or {}
    return rows_of(features, rows), provenance.get("mlflow_run_id")


def column_weights(library: Library, screen: Screen, feature_set: str) -> np.ndarray | None:
    """The weights of the columns of a combined set, of which each part has the same share; None for other sets."""
    from pcip_core.features.combined import weights_of

    shard = library.store.shards(screen.name, PREFIX + feature_set)[-1]
    lengths = (library.store.provenance(screen.name, PREFIX + feature_set, shard) or {}).get(LENGTHS)
    return None if lengths is None else weights_of([int(length) for length in lengths.split()])


def scores_inputs(library: Library, screen: Screen, sets: Iterable[str], *spec: Any) -> dict[str, Any]:
    """All that decides the scores of these sets: their features, the labels, the settings."""
    return {
        "features": {name: features_hash(library, screen, name) for name in sets},
        "spec": [screen.section("benchmark"), *spec],
        "images": Images.of(library.store, screen.name).table.to_dict(as_series=False),
    }


def without_labels(cells: LabelledCells, screen: Screen) -> dict[str, str]:
    """Metadata of an asset of scores that has nothing to score by; empty where there is something."""
    if len(cells.labels):
        reason = cells.nothing_to_compare("leave_cell_out")
        return {} if reason is None else {"not_scored": reason}
    several = cells.left_out.get("cells_with_several_labels", 0)
    have = f"; {many(several, 'cell')} with several" if several else ""
    return {"not_scored": f"no cell has exactly one label{have}: column {screen.benchmark.label} of images"}


def protocols_not_scored(cells: LabelledCells, screen: Screen) -> dict[str, str]:
    """Metadata on the protocols of the spec under which no cell can be scored."""
    reasons = {protocol: cells.nothing_to_compare(protocol) for protocol in screen.benchmark.protocols}
    return {f"not_scored: {protocol}": reason for protocol, reason in reasons.items() if reason is not None}


def chosen_sets(library: Library, screen: Screen) -> list[str]:
    """The feature sets of the slower scores: those that the spec names, or the best layer of each method.

    Where nothing could be scored, the layers that the paper found best.
    """
    from pcip_core.evaluation.scores import best_by_knn

    if screen.baselines.classifiers is not None:
        return list(screen.baselines.classifiers)
    scores = pl.concat(library.store.read(screen.name, table) for table in (KNN, BASELINES))
    ranked = (best_by_knn(scores, protocol) for protocol in screen.benchmark.protocols)
    return next(filter(None, ranked), list(screen.corrected))
