"""Whether feature sets are ranked as in the paper (Figure 2A)."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from pcip_core.evaluation.scores import best_by_knn
from pcip_core.features.names import split_name

_HELD = "held_images"
_REMEDY = {  # method -> what makes its scores, beside those of knn_benchmark
    "autoencoder": "name autoencoder in baselines.sets and materialize yardstick_benchmark",
    "supervised": "name supervised in baselines.sets and materialize supervised_benchmark",
}


@dataclass(frozen=True)
class Order:
    """The ranks of the paper's feature sets on a screen.

    Attributes:
        scores: one row per protocol and method: its best layer, with value and n (cells).
        violated: one sentence per step that does not hold.
        not_judged: one sentence per step that lacks a score, or whose scores are equal.
    """

    scores: list[dict[str, str | float | int]] = field(default_factory=list)
    violated: list[str] = field(default_factory=list)
    not_judged: list[str] = field(default_factory=list)

    @property
    def reason(self) -> str:
        """All sentences; empty if every step holds."""
        return " ".join([*self.violated, *self.not_judged])


def papers_order(benchmarks: pl.DataFrame, protocol: str, *, encoder: str = "inpainting") -> Order:
    """Compare the supervised network with the encoder, the encoder with the autoencoder, and both with no training.

    Each method is represented by its best layer by 11 nearest neighbours, as in the paper. No training is the network
    with its initial weights. Supervised features are scored on held-out images only, and are compared there.

    Args:
        benchmarks: rows of main.benchmarks of one screen.
        protocol: protocol of the sets without labels.
        encoder: method of the encoder's feature sets; the paper's is inpainting.

    Source: paper, Figure 2A: supervised 92.39, inpainting 87.98, autoencoder 42.50. It has no untrained network.
    """
    order = Order()
    for where, above, below in (
        (_HELD, "supervised", encoder),
        (protocol, encoder, "autoencoder"),
        (protocol, "autoencoder", "untrained"),
        (protocol, encoder, "untrained"),
    ):
        best = _best(benchmarks, where, {above, below})
        for method in (above, below):
            if method in best and best[method] not in order.scores:
                order.scores.append(best[method])
        if lacking := [method for method in (above, below) if method not in best]:
            remedies = dict.fromkeys(_REMEDY.get(method, "materialize knn_benchmark") for method in lacking)
            order.not_judged.append(
                f"Not judged: {above} against {below}, for lack of scores of {' and '.join(lacking)} ({where}): "
                f"{'; '.join(remedies)}, on a screen with labels."
            )
            continue
        first, second = (f"{best[m]['feature_set']} {best[m]['value']:.3f}" for m in (above, below))
        scored = f"({where}, {best[above]['n']:,} cells)"
        if best[above]["value"] == best[below]["value"]:
            order.not_judged.append(f"Not judged: {above} against {below}: {first} equals {second} {scored}.")
        elif best[above]["value"] < best[below]["value"]:  # type: ignore[operator]
            order.violated.append(f"{above} should be above {below}, but {first} is below {second} {scored}.")
    return order


def _best(
    benchmarks: pl.DataFrame, protocol: str, methods: set[str]
) -> dict[str, dict[str, str | float | int]]:
    """Method -> the row of its best layer, without corrected sets."""
    best: dict[str, dict[str, str | float | int]] = {}
    for name in best_by_knn(benchmarks, protocol):
        parts = split_name(name)
        if parts.correction is None and parts.method in methods:
            best[parts.method] = _row(benchmarks, protocol, name)
    return best


def _row(benchmarks: pl.DataFrame, protocol: str, feature_set: str) -> dict[str, str | float | int]:
    """The score of a set by the number of neighbours that `best_by_knn` uses."""
    k = pl.col("k")
    rows = benchmarks.filter(
        protocol=protocol, feature_set=feature_set, classifier="knn", metric="balanced_accuracy"
    ).filter(pl.col("label").is_null())
    row = (
        rows.with_columns(k=pl.col("parameter").str.strip_prefix("k=").cast(pl.Int64))
        .sort((k == 11).cast(pl.Int8), k)
        .row(-1, named=True)
    )
    return {name: row[name] for name in ("protocol", "feature_set", "parameter", "value", "n")}
