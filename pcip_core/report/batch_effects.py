"""The section of batch effects: what plate, well and line explain, and kNN by plate beside kNN by label."""

from __future__ import annotations

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
    "Variance: the share of the variance of the standardized features that each factor explains (sum of squares "
    "between its groups over the total), and in parentheses the share that the same groups explain if whole images "
    "are assigned to them at random. A share near its chance is no effect. Each factor is taken alone: shares of "
    "crossed or nested factors overlap, and do not add up. Lower is better for plate and well; no factor explains "
    "more than image."
)


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
    chances = sorted({row["value"] for row in pick(by_plate, metric="batch_accuracy_by_chance")})
    blocks: list[Block] = [Text(_INTRODUCTION)]
    if chances:
        blocks.append(
            Text(
                f"Nearest neighbours: balanced accuracy in telling the {rows.label} ({protocol}; higher is better) and "
                "the plate (among cells of other proteins; lower is better). A set without plate effects scores at "
                f"most {' to '.join(f'{value:.3f}' for value in chances)} by plate, the chance."
            )
        )
        if label:
            blocks.append(
                Picture(
                    label_against_plate(
                        label, plate, f"{rows.title}: batch effects", chance=chances[0], label=rows.label
                    ),
                    f"Balanced accuracy by {rows.label} against balanced accuracy by plate, one point per feature set",
                )
            )
    blocks.append(_table(rows, names, label, plate, variance))
    blocks += [Text(line, note=True) for line in _missing(rows)]
    return Section("Batch effects", blocks)


def _shown(label: dict[str, float]) -> list[str]:
    """The best layer of each method and correction, and the sets that were corrected; the best first."""
    best = best_layers(label)
    known = {*best, *(without_correction(name) for name in best)} & set(label)
    return sorted(known, key=lambda name: -label[name])


def _table(
    rows: BenchmarkRows, names: list[str], label: dict[str, float], plate: dict[str, float], variance: Rows
) -> Table:
    """One row per feature set; columns without any value are left out."""
    columns: dict[str, list[Cell]] = {}
    for heading, values, best in ((f"kNN by {rows.label}", label, max), ("kNN by plate", plate, min)):
        shown = [values[name] for name in names if name in values]
        if shown:
            columns[heading] = [
                number(values.get(name), best=values.get(name) == best(shown)) for name in names
            ]
    for factor, heading in _FACTORS.items():
        of_factor = pick(variance, task=factor)
        share, chance = (
            {row["feature_set"]: row["value"] for row in pick(of_factor, metric=metric)}
            for metric in ("variance_share", "variance_share_by_chance")
        )
        if share:
            columns[f"{heading} explains"] = [
                Cell(f"{share[name]:.3f} ({chance[name]:.3f})" if name in share else "") for name in names
            ]
    body = [[name, *cells] for name, *cells in zip(names, *columns.values(), strict=True)]
    return Table(["feature set", *columns], body, caption=simulated_note(rows))


def _missing(rows: BenchmarkRows) -> list[str]:
    """Why factors have no column: one line per reason."""
    scored = {row["task"] for row in pick(rows.benchmarks, classifier="variance")}
    lines = {
        f"No share of {_FACTORS.get(row['task'], row['task'])}: {row['n']:,} {row['reason'].replace('_', ' ')}."
        for row in pick(rows.exclusions, classifier="variance")
        if row["task"] not in scored
    }
    if not pick(rows.benchmarks, classifier="knn", task="plate"):
        lines |= {
            f"No kNN by plate: {row['n']:,} {row['reason'].replace('_', ' ')}."
            for row in pick(rows.exclusions, classifier="knn", task="plate")
        }
    return sorted(lines)
