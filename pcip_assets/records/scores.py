"""The scores of an encoder on one state of a screen: all of them as a table, the few that people compare as metrics."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from pcip_assets.records.dataset import Crops
from pcip_core.features.names import split_name

_COLUMNS = (
    "feature_set",
    "task",
    "protocol",
    "classifier",
    "parameter",
    "metric",
    "value",
    "low",
    "high",
    "n",
)


@dataclass(frozen=True)
class Evaluation:
    """What one asset says about an encoder.

    Attributes:
        asset: its noun.
        crops: the cells that the screen had.
        metrics: few numbers for the comparison of runs.
        table: rows of all scores.
        pictures: file name -> figure.
        note: a sentence on the metrics, for the description of the run.
    """

    asset: str
    crops: Crops
    metrics: Mapping[str, float] = field(default_factory=dict)
    table: Iterable[Mapping[str, Any]] = ()
    pictures: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


def overall(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The scores over all classes, as rows of a table; those of each class are in main.benchmarks."""
    return [{name: row.get(name) for name in _COLUMNS} for row in rows if row["label"] is None]


def best_scores(benchmarks: pl.DataFrame, method: str) -> tuple[dict[str, float], str]:
    """The best balanced accuracy of an encoder by protocol, and that of its control.

    Args:
        benchmarks: rows of main.benchmarks.
        method: the method in the names of the encoder's feature sets.

    Returns:
        `best_<protocol>`, `untrained_<protocol>` -> accuracy by kNN, with 11 neighbours if these were scored; and a
        sentence that names the layers.
    """
    from pcip_core.evaluation.scores import best_by_knn

    metrics: dict[str, float] = {}
    sentences = []
    for protocol in benchmarks["protocol"].unique(maintain_order=True).to_list():
        for name in best_by_knn(benchmarks, protocol):
            prefix = {method: "best", "untrained": "untrained"}.get(split_name(name).method)
            if prefix is None:
                continue
            value = _value(benchmarks, protocol, name)
            metrics[f"{prefix}_{protocol}"] = value
            if prefix == "best":
                sentences.append(f"{protocol}: {name} {value:.3f}")
    return dict(sorted(metrics.items())), "; ".join(sentences)


def _value(benchmarks: pl.DataFrame, protocol: str, feature_set: str) -> float:
    """The score by which `best_by_knn` chose a feature set."""
    rows = benchmarks.filter(
        pl.col("label").is_null(),
        protocol=protocol,
        feature_set=feature_set,
        metric="balanced_accuracy",
        classifier="knn",
    ).with_columns(k=pl.col("parameter").str.strip_prefix("k=").cast(pl.Int64))
    return float(rows.sort(pl.col("k") == 11, "k")["value"][-1])


def write(client: Any, run_id: str, model_id: str | None, evaluation: Evaluation) -> None:
    """Log metrics, table and pictures of an evaluation in a run of MLflow.

    Args:
        client: of MLflow.
        run_id: of the run.
        model_id: of the model that was scored, whose page then shows the metrics; None if MLflow has no such page.
        evaluation: what to log.
    """
    from mlflow.entities import Metric

    crops, now = evaluation.crops, int(time.time() * 1000)
    of_model = {"model_id": model_id, "dataset_name": crops.name, "dataset_digest": crops.digest}
    metrics = [
        Metric(name, value, now, 0, run_id=run_id, **(of_model if model_id else {}))
        for name, value in evaluation.metrics.items()
    ]
    if metrics:
        client.log_batch(run_id, metrics)
    rows = list(evaluation.table)
    if rows:
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        client.log_table(run_id, columns, f"{evaluation.asset}.json")
    for name, figure in evaluation.pictures.items():
        client.log_figure(run_id, figure, name)
