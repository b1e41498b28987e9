"""Rows of scores as the page needs them: chosen, named, as tables with the paper's numbers in columns of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pcip_core.evaluation.paper import PaperNumber, paper_numbers
from pcip_core.features.names import best_layers, split_name
from pcip_core.report.page import Cell, Table

Rows = Sequence[Mapping[str, Any]]
Panels = Sequence[tuple[str, np.ndarray, np.ndarray]]
PROTOCOLS = {
    "leave_image_out": "each cell by the cells of other images",
    "leave_field_out": "each cell by the cells of other fields",
    "leave_cell_out": "each cell by all others (the paper's); it flatters, as cells of its own image are among them",
    "grouped_folds": "cross-validation, all cells of an image in one fold",
    "folds": "cross-validation by cells (the paper's); it flatters, as an image's cells stand on both sides",
    "held_images": "cells of the images that the supervised network has not seen, by those that it has",
}


@dataclass(frozen=True)
class BenchmarkRows:
    """What is known of a screen's scores; rows are those of the published tables of the same names.

    Attributes:
        title: the screen.
        description: what it is.
        simulated: whether its images are; said on top and in every figure.
        screen: the name by which the paper's numbers are found.
        label: the column of images that was predicted.
        benchmarks, confusion, exclusions, feature_sets: rows.
        cells, proteins: maps to draw: feature set, (n, 2) places, (n,) labels.
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


def pick(rows: Rows, **wanted: Any) -> list[Mapping[str, Any]]:
    """The rows that have these values."""
    return [row for row in rows if all(row.get(key) == value for key, value in wanted.items())]


def neighbours(rows: Rows) -> str:
    """`k=11`, or the k nearest to it that was scored."""
    asked = {row["parameter"] for row in rows if row["classifier"] == "knn"}
    return min(asked, key=lambda name: abs(int(name.removeprefix("k=")) - 11), default="k=11")


def first(rows: Rows, protocols: Sequence[str]) -> str | None:
    """The first of these protocols that a row has."""
    there = {row["protocol"] for row in rows}
    return next((one for one in protocols if one in there), None)


def honest(rows: BenchmarkRows) -> tuple[str | None, list[Mapping[str, Any]]]:
    """The protocol that leaves most out, and the kNN rows of each method's best layer under it."""
    found = pick(rows.benchmarks, classifier="knn")
    protocol = first(found, [one for one in PROTOCOLS if one != "held_images"])
    found = pick(found, protocol=protocol)
    parameter = neighbours(found)
    scores = {
        row["feature_set"]: row["value"]
        for row in pick(found, parameter=parameter, label=None, metric="balanced_accuracy")
    }
    best = set(best_layers(scores))
    return protocol, [row for row in found if row["feature_set"] in best]


def number(value: float | None, *, best: bool = False, digits: int = 3) -> Cell:
    """A score in a table."""
    return Cell("" if value is None else f"{value:.{digits}f}", best=best and value is not None)


def simulated_note(rows: BenchmarkRows) -> str:
    """What is written under a table of a simulated screen."""
    return "SIMULATED images" if rows.simulated else ""


def against_paper(
    rows: BenchmarkRows,
    found: Rows,
    heads: Sequence[tuple[str, dict[str, Any]]],
    source: str | None = None,
    *,
    digits: int = 3,
) -> Table:
    """Feature sets by columns of score rows; after these the paper's columns, of what it printed for this screen.

    Args:
        rows: of the screen.
        found: the rows that are shown.
        heads: heading and keys of the rows in each column.
        source: where the paper has the like: `Table 1`.
        digits: after the point.
    """
    names = list(dict.fromkeys(row["feature_set"] for row in found))
    ours = []
    for heading, keys in heads:
        scores = {row["feature_set"]: row for row in pick(found, **keys)}
        ours.append((heading, [_with_interval(scores.get(name), digits) for name in names]))
    theirs = paper_columns(rows.screen, names, heads, source) if source else []
    body = [[name, *line] for name, *line in zip(names, *(cells for _, cells in ours + theirs), strict=True)]
    columns = ["feature set", *(heading for heading, _ in ours + theirs)]
    told = [simulated_note(rows)] if rows.simulated else []
    told += [f"Shaded: as the paper prints it ({source}), of its own images and network."] if theirs else []
    return Table(columns, body, frozenset(heading for heading, _ in theirs), caption=" ".join(told))


def _with_interval(row: Mapping[str, Any] | None, digits: int) -> Cell:
    """A score, and from where to where its folds or its interval reach, if it has any."""
    value = number(row["value"] if row else None, digits=digits)
    if row is None or row.get("low") is None or row.get("high") is None:
        return value
    return Cell(f"{value.text} ({row['low']:.2f} to {row['high']:.2f})")


def paper_columns(
    screen: str,
    names: Sequence[str],
    heads: Sequence[tuple[str, Mapping[str, Any]]],
    source: str = "",
) -> list[tuple[str, list[Cell]]]:
    """The paper's columns beside ours: for each of `heads` that it has numbers for, heading and a cell a feature set.

    A feature set has the paper's number of the same name; where the paper names no layer (`autoencoder`), the only
    uncorrected set of that method has it. Values are in our units, as exact as they are printed.

    Args:
        screen: whose numbers.
        names: the feature sets.
        heads: heading and keys of each column.
        source: where they stand; the start of it is enough. Of two sources the first in the file counts.
    """
    numbers = [one for one in paper_numbers(screen) if one.source.startswith(source)]
    plain = [(split_name(name), name) for name in names]
    methods = [parts.method for parts, _ in plain if parts.correction is None]
    columns = []
    for heading, keys in heads:
        printed: dict[str, PaperNumber] = {}
        for one in numbers:
            if all(_fits(one, key, value) for key, value in keys.items()):
                printed.setdefault(one.feature_set, one)
        cells = []
        for parts, name in plain:
            alone = parts.correction is None and methods.count(parts.method) == 1
            theirs = printed.get(name) or (printed.get(parts.method) if alone else None)
            cells.append(Cell("" if theirs is None else _as_exact(theirs), paper=True))
        if any(cell.text for cell in cells):
            columns.append((f"paper: {heading}", cells))
    return columns


def _fits(one: PaperNumber, key: str, value: Any) -> bool:
    """Whether it is of these rows; a setting that the paper does not tell (C of logistic regression) fits any."""
    told = getattr(one, key, value)  # the task is no matter: each of its screens has one
    return told == value or (key == "parameter" and told == "")


def _as_exact(one: PaperNumber) -> str:
    """The value in our units with all the digits that are printed: `0.8798` for `87.98`."""
    decimals = len(one.printed.partition(".")[2])
    return f"{one.value:.{decimals + 2 if one.metric == 'balanced_accuracy' else decimals}f}"


def overall(rows: BenchmarkRows, **keys: Any) -> list[Mapping[str, Any]]:
    """Balanced accuracies over all classes."""
    return pick(rows.benchmarks, label=None, metric="balanced_accuracy", **keys)
