"""The section of batch effects: what plate, well and line explain, and kNN by plate beside kNN by label."""

from __future__ import annotations

from collections.abc import Mapping

from pcip_core.features.names import best_layers
from pcip_core.plots.scores.batch_effects import label_against_plate, without_correction
from pcip_core.report.page import Block, Cell, Picture, Section, Table, Text
from pcip_core.report.score_rows import (
    BenchmarkRows,
    Rows,
    neighbours,
    number,
    overall,
    pick,
    simulated_note,
    strictest,
)

_FACTORS = {
    "plate": "plate",
    "well_row": "well row",
    "well_column": "well column",
    "cell_line": "cell line",
    "protein": "protein",
    "image": "image",
}
_INTRODUCTION = (
    "Each value stands beside its chance, in parentheses; a value near its chance is no effect. Variance: the share of "
    "the variance of the standardized features that a factor explains (sum of squares between its groups over the "
    "total). Its chance is the share that the same groups explain if whole images are assigned to them at random; a "
    "balanced design lies below it. Each factor is taken alone: shares of crossed or nested factors overlap, and do "
    "not add up. No factor explains more than image."
)
_NEIGHBOURS = (
    "Nearest neighbours: balanced accuracy in predicting the {label} ({protocol}; higher is better) and the plate "
    "(from cells of other proteins; nearer to its chance is better). The chance by plate is that of the same "
    "neighbours, with the plates permuted among the images of each label."
)
Scores = Mapping[str, float]


def batch_effects(rows: BenchmarkRows) -> Section | None:
    """The section, or None without scores of batch effects."""
    variance = pick(rows.benchmarks, classifier="variance")
    by_plate = pick(rows.benchmarks, classifier="knn", task="plate")
    if not variance and not by_plate:
        return None
    protocol, _ = strictest(rows)
    by_label = overall(rows, classifier="knn", protocol=protocol)
    by_label, by_plate = (pick(scored, parameter=neighbours(scored)) for scored in (by_label, by_plate))
    label = {row["feature_set"]: row["value"] for row in by_label}
    names = _shown(label) or list(dict.fromkeys(row["feature_set"] for row in variance))
    label = {name: label[name] for name in names if name in label}
    plate = {row["feature_set"]: row["value"] for row in pick(by_plate, metric="batch_accuracy")}
    chance = {row["feature_set"]: row["value"] for row in pick(by_plate, metric="batch_accuracy_by_chance")}
    blocks: list[Block] = [Text(_INTRODUCTION)]
    if plate:
        blocks.append(Text(_NEIGHBOURS.format(label=rows.label, protocol=protocol)))
    if plate and label:
        excess = {name: plate[name] - chance[name] for name in plate}
        figure = label_against_plate(label, excess, f"{rows.title}: batch effects", label=rows.label)
        blocks.append(
            Picture(figure, f"Balanced accuracy by {rows.label} against that by plate above its chance")
        )
    blocks.append(_table(rows, names, label, (plate, chance), variance))
    blocks += [Text(line, note=True) for line in _missing(rows)]
    return Section("Batch effects", blocks)


def _shown(label: Scores) -> list[str]:
    """The best layer of each method and correction, and the sets that were corrected; the best first."""
    best = best_layers(label)
    known = {*best, *(without_correction(name) for name in best)} & set(label)
    return sorted(
        known, key=lambda name: (-label[name], name)
    )  # equal scores by name: the page must not vary


def _table(
    rows: BenchmarkRows,
    names: list[str],
    label: Scores,
    by_plate: tuple[Scores, Scores],
    variance: Rows,
) -> Table:
    """One row per feature set; columns without any value are left out."""
    columns: dict[str, list[Cell]] = {}
    if label:
        top = max(label.values())
        columns[f"kNN by {rows.label}"] = [
            number(label.get(name), best=label.get(name) == top) for name in names
        ]
    if by_plate[0]:
        columns["kNN by plate"] = [_beside_chance(name, *by_plate) for name in names]
    for factor, heading in _FACTORS.items():
        if factor == "protein" and _proteins_are_images(variance):
            continue
        of_factor = pick(variance, task=factor)
        share, chance = (
            {row["feature_set"]: row["value"] for row in pick(of_factor, metric=metric)}
            for metric in ("variance_share", "variance_share_by_chance")
        )
        if share:
            columns[f"{heading} explains"] = [_beside_chance(name, share, chance) for name in names]
    body = [[name, *cells] for name, *cells in zip(names, *columns.values(), strict=True)]
    return Table(["feature set", *columns], body, caption=simulated_note(rows))


def _proteins_are_images(variance: Rows) -> bool:
    """Whether each protein has one image, so that its share is that of image, and its chance is no other value."""
    shares = [
        {
            row["feature_set"]: (row["value"], row["n"])
            for row in pick(variance, task=task, metric="variance_share")
        }
        for task in ("protein", "image")
    ]
    return bool(shares[0]) and shares[0] == shares[1]


def _beside_chance(name: str, values: Scores, chances: Scores) -> Cell:
    return Cell(f"{values[name]:.3f} ({chances[name]:.3f})" if name in values else "")


def _missing(rows: BenchmarkRows) -> list[str]:
    """Why factors have no column: one line per reason."""
    scored = {row["task"] for row in pick(rows.benchmarks, classifier="variance")}
    lines = {
        f"No share of {_FACTORS.get(row['task'], row['task'])}: {row['n']:,} {row['reason'].replace('_', ' ')}."
        for row in pick(rows.exclusions, classifier="variance")
        if row["task"] not in scored
    }
    if _proteins_are_images(pick(rows.benchmarks, classifier="variance")):
        lines.add("No share of protein: each protein has one image, so that its share is that of image.")
    if not pick(rows.benchmarks, classifier="knn", task="plate"):
        lines |= {
            f"No kNN by plate: {row['n']:,} {row['reason'].replace('_', ' ')}."
            for row in pick(rows.exclusions, classifier="knn", task="plate")
        }
    return sorted(lines)
