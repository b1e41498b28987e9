"""Rows of scores, selected and arranged as tables for the page, with the paper's numbers in separate columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pcip_core.evaluation.paper import PaperNumber, paper_numbers
from pcip_core.features.names import best_layers, split_name
from pcip_core.report.methods import Methods
from pcip_core.report.page import Cell, Table

Rows = Sequence[Mapping[str, Any]]
Panels = Sequence[tuple[str, np.ndarray, np.ndarray]]
PROTOCOLS = {
    "leave_image_out": "each cell is classified by the cells of other images",
    "leave_field_out": "each cell is classified by the cells of other fields",
    "leave_cell_out": "each cell is classified by all other cells, as in the paper; scores are optimistic, because "
    "these include cells of the same image",
    "grouped_folds": "cross-validation with all cells of an image in the same fold",
    "folds": "cross-validation with folds of cells, as in the paper; scores are optimistic, because training and "
    "test folds share images",
    "held_images": "cells of images held out from the supervised network, classified by cells of its training images",
}


@dataclass(frozen=True)
class BenchmarkRows:
    """The scores of a screen; rows are those of the published tables of the same names.

    Attributes:
        title: title of the screen.
        description: description of the screen.
        simulated: whether its images are simulated; the page states it at the top and in every figure.
        screen: name of the screen in the list of the paper's numbers.
        label: the column of images that was predicted.
        benchmarks, confusion, exclusions, feature_sets: rows.
        cells, proteins: maps to draw: feature set, (n, 2) positions, (n,) labels.
        classes: all classes of the screen, in the order of their colours.
        methods: the paragraph on methods and its citations; None: no section.
    """

    title: str
    description: str
    simulated: bool
    screen: str
    label: str
    benchmarks: Rows
    confusion: Rows
    exclusions: Rows
    feature_sets: Rows
    cells: Panels = field(default_factory=list)
    proteins: Panels = field(default_factory=list)
    classes: Sequence[str] = ()
    methods: Methods | None = None


def pick(rows: Rows, **wanted: Any) -> list[Mapping[str, Any]]:
    """The rows that have these values."""
    return [row for row in rows if all(row.get(key) == value for key, value in wanted.items())]


def neighbours(rows: Rows) -> str:
    """`k=11`, or the scored k nearest to 11."""
    scored = {row["parameter"] for row in rows if row["classifier"] == "knn"}
    return min(scored, key=lambda name: abs(int(name.removeprefix("k=")) - 11), default="k=11")


def first(rows: Rows, protocols: Sequence[str]) -> str | None:
    """The first of these protocols that occurs in the rows."""
    scored = {row["protocol"] for row in rows}
    return next((protocol for protocol in protocols if protocol in scored), None)


def strictest(rows: BenchmarkRows) -> tuple[str | None, list[Mapping[str, Any]]]:
    """The strictest protocol that was scored, and the kNN rows of each method's best layer under it."""
    scored = pick(rows.benchmarks, classifier="knn")
    protocol = first(scored, [name for name in PROTOCOLS if name != "held_images"])
    scored = pick(scored, protocol=protocol)
    parameter = neighbours(scored)
    scores = {
        row["feature_set"]: row["value"]
        for row in pick(scored, parameter=parameter, label=None, metric="balanced_accuracy")
    }
    best = set(best_layers(scores))
    return protocol, [row for row in scored if row["feature_set"] in best]


def number(value: float | None, *, best: bool = False, digits: int = 3) -> Cell:
    """A score in a table."""
    return Cell("" if value is None else f"{value:.{digits}f}", best=best and value is not None, value=value)


def simulated_note(rows: BenchmarkRows) -> str:
    """The note below a table of a simulated screen."""
    return "SIMULATED images" if rows.simulated else ""


def against_paper(
    rows: BenchmarkRows,
    shown: Rows,
    heads: Sequence[tuple[str, dict[str, Any]]],
    source: str | None = None,
    *,
    digits: int = 3,
) -> Table:
    """Scores with one row per feature set, followed by the paper's columns for this screen.

    Args:
        rows: the scores of the screen.
        shown: the score rows of the table.
        heads: heading and keys of the rows in each column.
        source: the corresponding table or figure of the paper: `Table 1`.
        digits: digits after the decimal point.
    """
    names = list(dict.fromkeys(row["feature_set"] for row in shown))
    ours = []
    for heading, keys in heads:
        scores = {row["feature_set"]: row for row in pick(shown, **keys)}
        ours.append((heading, [with_interval(scores.get(name), digits=digits) for name in names]))
    theirs = paper_columns(rows.screen, names, heads, source) if source else []
    body = [[name, *line] for name, *line in zip(names, *(cells for _, cells in ours + theirs), strict=True)]
    columns = ["feature set", *(heading for heading, _ in ours + theirs)]
    notes = [f"{simulated_note(rows)}."] if rows.simulated else []
    if any(row["classifier"] == "knn" and row.get("low") is not None for row in shown):
        notes.append("In parentheses: 95 % interval, from the variance between images.")
    notes += [f"Shaded: published values ({source}), from the paper's images and network."] if theirs else []
    return Table(columns, body, frozenset(heading for heading, _ in theirs), caption=" ".join(notes))


def with_interval(row: Mapping[str, Any] | None, *, best: bool = False, digits: int = 3) -> Cell:
    """A score with the range of its folds or its interval, if it has one."""
    value = number(row["value"] if row else None, best=best, digits=digits)
    if row is None or row.get("low") is None or row.get("high") is None:
        return value
    return replace(value, text=f"{value.text} ({row['low']:.2f} to {row['high']:.2f})")


def paper_columns(
    screen: str,
    names: Sequence[str],
    heads: Sequence[tuple[str, Mapping[str, Any]]],
    source: str = "",
) -> list[tuple[str, list[Cell]]]:
    """The paper's columns: for each of `heads` with published numbers, its heading and one cell per feature set.

    A feature set takes the paper's number of the same name. A number without a layer (`autoencoder`) belongs to the
    method's uncorrected set if there is exactly one. Values are in our units, with the published precision.

    Args:
        screen: name of the screen.
        names: the feature sets.
        heads: heading and keys of each column.
        source: start of the name of their table or figure. Of two sources, the first in the file is used.
    """
    numbers = [number for number in paper_numbers(screen) if number.source.startswith(source)]
    plain = [(split_name(name), name) for name in names]
    methods = [parts.method for parts, _ in plain if parts.correction is None]
    columns = []
    for heading, keys in heads:
        printed: dict[str, PaperNumber] = {}
        for published in numbers:
            if all(_fits(published, key, value) for key, value in keys.items()):
                printed.setdefault(published.feature_set, published)
        cells = []
        for parts, name in plain:
            alone = parts.correction is None and methods.count(parts.method) == 1
            theirs = printed.get(name) or (printed.get(parts.method) if alone else None)
            cells.append(Cell("" if theirs is None else _as_exact(theirs), paper=True))
        if any(cell.text for cell in cells):
            columns.append((f"paper: {heading}", cells))
    return columns


def _fits(published: PaperNumber, key: str, value: Any) -> bool:
    """Whether a published number matches this key; an unpublished setting (C of logistic regression) matches any."""
    setting = getattr(published, key, value)  # a number has no task: each screen of the paper has only one
    return setting == value or (key == "parameter" and setting == "")


def _as_exact(published: PaperNumber) -> str:
    """The value in our units with all published digits: `0.8798` for `87.98`."""
    decimals = len(published.printed.partition(".")[2])
    return f"{published.value:.{decimals + 2 if published.metric == 'balanced_accuracy' else decimals}f}"


def overall(rows: BenchmarkRows, **keys: Any) -> list[Mapping[str, Any]]:
    """Balanced accuracies over all classes."""
    return pick(rows.benchmarks, label=None, metric="balanced_accuracy", **keys)
