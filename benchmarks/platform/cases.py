"""Handed exports on which something was lost or mixed up: what is done with each now. And listing many files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.cases import names, pixels, stacks, tables
from benchmarks.cases.case import RIGHT, WRONG, Case, Result, Trial
from benchmarks.cases.listing import listing
from benchmarks.common.harness import Row

DESCRIPTION = (
    "handed exports of other programs: right, refused with a remedy, or wrong; listing 300,000 files"
)
SECONDS = 180
LONG = True
FOLDER = Path(__file__).resolve().parents[3] / "shared" / "cases"
CASES = [*names.CASES, *stacks.CASES, *tables.CASES, *pixels.CASES]


def run() -> list[Row]:
    """A row per case, and the rows of listing many files."""
    return [*handed(), *listing()]


def handed() -> list[Row]:
    """A row per folder of cases. Prints a table of them."""
    if not FOLDER.is_dir():
        return [Row(f"the handed cases are not here ({FOLDER}); they cannot be distributed with pcip", None)]
    known = {case.folder: case for case in CASES}
    folders = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())
    results = {name: judge(known[name]) if name in known else None for name in folders}
    for name, result in results.items():
        print("\n".join(_lines(name, known.get(name), result)))
    rows = [_row(name, known.get(name), result) for name, result in results.items()]
    good = sum(bool(row.held) for row in rows)
    total = Row(
        "cases that are right, or refused with a remedy that works", good, against="all",
        against_value=len(rows), ratio=good / max(len(rows), 1), aim="all", held=good == len(rows),
    )  # fmt: skip
    return [total, *rows]


def judge(case: Case) -> Result:
    """Try a copy of one case; an error of any kind is a wrong result."""
    with tempfile.TemporaryDirectory(prefix="pcip_case_") as folder:
        try:
            return case.judge(Trial(case, FOLDER / case.folder, Path(folder) / "case"))
        except Exception as error:
            return Result(WRONG, f"{type(error).__name__}: {error}")


def _lines(name: str, case: Case | None, result: Result | None) -> Iterator[str]:
    if case is None or result is None:
        yield f"{name:<26} no expectation is written for this folder"
        return
    yield f"{name:<26} {result.grade}"
    yield f"{'':<26} expected: {case.expected}"
    yield f"{'':<26} result:   {result.text}"


def _row(name: str, case: Case | None, result: Result | None) -> Row:
    if case is None or result is None:
        return Row(f"{name}: no expectation is written for this folder", None, aim="right", held=False)
    held = result.grade != WRONG
    what = f"{name}: {result.grade} (expected: {case.expected})"
    return Row(what, float(held), n=1, aim=f"{RIGHT}, or refused with a remedy that works", held=held)
