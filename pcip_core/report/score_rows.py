"""Rows of scores as the page needs them: chosen, named, as tables with the paper's numbers in columns of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pcip_core.evaluation.paper import PaperNumber, all_paper_numbers
from pcip_core.features.names import split_name
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


def best_layers(scores: Mapping[str, float]) -> list[str]:
    """The best feature set of each method, best first."""
    best: dict[tuple[str, str | None], str] = {}
    for name in sorted(scores, key=lambda one: -scores[one]):
        method, _, correction = split_name(name)
        best.setdefault((method, correction), name)
    return list(best.values())


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
    """Feature sets by columns of score rows; after each the paper's column where it printed one for this screen.

    Args:
        rows: of the screen.
        found: the rows that are shown.
        heads: heading and keys of the rows in each column.
        source: where the paper has the like: `Table 1`.
        digits: after the point.
    """
    numbers = [
        one
        for one in all_paper_numbers()
        if one.screen == rows.screen and source is not None and one.source.startswith(source)
    ]
    names = list(dict.fromkeys(row["feature_set"] for row in found))
    columns, marked, body = ["feature set"], set(), [[name] for name in names]
    for heading, keys in heads:
        ours = {row["feature_set"]: row for row in pick(found, **keys)}
        theirs = _theirs(numbers, keys)
        columns.append(heading)
        for line in body:
            row = ours.get(line[0])
            line.append(number(row["value"] if row else None, digits=digits))
        if theirs:
            columns.append(f"{heading}, paper ({source})")
            marked.add(columns[-1])
            for line in body:
                printed = theirs.get(line[0]) or theirs.get(split_name(line[0]).method)
                line.append(Cell("" if printed is None else printed.printed, paper=True))
    return Table(columns, body, frozenset(marked), caption=simulated_note(rows))


def _theirs(numbers: Sequence[PaperNumber], keys: Mapping[str, Any]) -> dict[str, PaperNumber]:
    return {
        one.feature_set: one
        for one in numbers
        if all(getattr(one, key) in ("", value) for key, value in keys.items() if hasattr(one, key))
    }


def overall(rows: BenchmarkRows, **keys: Any) -> list[Mapping[str, Any]]:
    """Balanced accuracies over all classes."""
    return pick(rows.benchmarks, label=None, metric="balanced_accuracy", **keys)
