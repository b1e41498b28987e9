"""Folded sections at the end of a page: excluded data, provenance of the feature sets, numbers of the paper."""

from __future__ import annotations

from typing import Any

from pcip_core.evaluation.paper import CONTRADICTIONS, all_paper_numbers
from pcip_core.report.page import Block, Cell, Section, Table, Text
from pcip_core.report.score_rows import BenchmarkRows


def excluded(rows: BenchmarkRows) -> Section:
    """Counts of the excluded data."""
    groups: dict[tuple[str, str], list[int]] = {}
    for row in rows.exclusions:
        key = (row["reason"].replace("_", " "), row.get("protocol") or "all")
        groups.setdefault(key, []).append(row["n"])
    body = [
        [
            reason,
            protocol,
            str(min(counts)) if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}",
        ]
        for (reason, protocol), counts in sorted(groups.items())
    ]
    text = "Data that were not scored, with the reason. The view `exclusions` lists them by feature set."
    blocks: list[Block] = [Text(text)]
    blocks.append(
        Table(["reason", "protocol", "n"], body, words=frozenset({"protocol"}))
        if body
        else Text("Nothing was excluded.")
    )
    return Section("Excluded data", blocks, folded=True)


def lineage(rows: BenchmarkRows) -> Section:
    """The training, run and commit that made each feature set."""
    columns = (
        "feature_set",
        "dim",
        "n_cells",
        "encoder_version",
        "mlflow_run_id",
        "dagster_run_id",
        "commit",
    )
    body = [[_plain(name, row.get(name)) for name in columns] for row in rows.feature_sets]
    return Section(
        "Provenance of the feature sets",
        [
            Text(
                "Training in MLflow, run in Dagster and commit of the code of each feature set (main.feature_sets)."
            ),
            Table(
                [name.replace("_", " ") for name in columns],
                body,
                words=frozenset(name.replace("_", " ") for name in columns[3:]),
            ),
        ],
        folded=True,
    )


def _plain(column: str, value: Any) -> str:
    text = "" if value is None else str(value)
    return text[:10] if column == "commit" else text[:48]


def printed(rows: BenchmarkRows) -> Section:
    """Every number of the paper with its source, and whether it applies to this screen."""
    has_numbers = any(number.screen == rows.screen for number in all_paper_numbers())
    explanation = (
        "The paper analysed this screen: its published numbers are in separate, shaded columns of the tables above."
        if has_numbers
        else "The paper has no numbers for this screen. The numbers below were measured on other images, and cannot be "
        "compared with the scores above."
    )
    body: list[list[Cell | str]] = [
        [number.row, number.source, number.screen, number.column, Cell(number.printed, paper=True)]
        for number in all_paper_numbers()
    ]
    table = Table(
        ["row in the paper", "source", "screen", "column", "published value"],
        body,
        frozenset({"published value"}),
    )
    blocks: list[Block] = [
        Text(f"{explanation} Accuracies in this table are in per cent, as in the paper."),
        table,
    ]
    blocks += [
        Text("Inconsistencies within the paper:"),
        *(Text(contradiction, note=True) for contradiction in CONTRADICTIONS),
    ]
    return Section("The paper's numbers", blocks, folded=True)
