"""What stands folded at the end of a page: what was left out, where feature sets come from, what the paper prints."""

from __future__ import annotations

from typing import Any

from pcip_core.evaluation.paper import CONTRADICTIONS, all_paper_numbers
from pcip_core.report.page import Block, Cell, Section, Table, Text
from pcip_core.report.score_rows import BenchmarkRows


def excluded(rows: BenchmarkRows) -> Section:
    """What was not scored."""
    count: dict[tuple[str, str], list[int]] = {}
    for row in rows.exclusions:
        key = (row["reason"].replace("_", " "), row.get("protocol") or "all")
        count.setdefault(key, []).append(row["n"])
    body = [
        [reason, protocol, str(min(found)) if min(found) == max(found) else f"{min(found)} to {max(found)}"]
        for (reason, protocol), found in sorted(count.items())
    ]
    text = "What was not scored, and why; by feature set in the view `exclusions`."
    blocks: list[Block] = [Text(text)]
    blocks.append(Table(["reason", "protocol", "n"], body) if body else Text("Nothing."))
    return Section("Left out", blocks, folded=True)


def lineage(rows: BenchmarkRows) -> Section:
    """Which training, run and commit made each feature set."""
    columns = (
        "feature_set",
        "dim",
        "n_cells",
        "encoder_version",
        "mlflow_run_id",
        "dagster_run_id",
        "commit",
    )
    body = [[_plain(row.get(name)) for name in columns] for row in rows.feature_sets]
    return Section(
        "Where each feature set comes from",
        [
            Text(
                "The training in MLflow, the run in Dagster and the commit of the code (main.feature_sets)."
            ),
            Table([name.replace("_", " ") for name in columns], body),
        ],
        folded=True,
    )


def _plain(value: Any) -> str:
    return "" if value is None else str(value)[:48]


def printed(rows: BenchmarkRows) -> Section:
    """Every number of the paper, where it stands, and whether it is of this screen."""
    own = any(one.screen == rows.screen for one in all_paper_numbers())
    told = (
        "This is one of the paper's screens: its printed numbers stand in columns of their own above."
        if own
        else "The paper has no numbers for this screen. These are its numbers, on its own images, which compare with "
        "none above."
    )
    body: list[list[Cell | str]] = [
        [one.row, one.source, one.screen, one.column, Cell(one.printed, paper=True)]
        for one in all_paper_numbers()
    ]
    table = Table(
        ["as printed", "where", "our name of its screen", "column", "the paper's"],
        body,
        frozenset({"the paper's"}),
    )
    blocks: list[Block] = [
        Text(f"{told} Here accuracies are in per cent, as printed."),
        table,
    ]
    blocks += [
        Text("Where the paper does not agree with itself:"),
        *(Text(one, note=True) for one in CONTRADICTIONS),
    ]
    return Section("The paper's numbers", blocks, folded=True)
