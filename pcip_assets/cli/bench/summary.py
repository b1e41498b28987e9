"""The tables of the documentation, made from the reference results in benchmarks/results/.

The short page says what pcip costs, another how that grows with the number of cells. The long page lists the aims that
are missed, then the figures with an aim or a comparison, and how figures grow with size.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pcip_assets.cli.bench.costs import costs, missed
from pcip_assets.cli.bench.growth import growth
from pcip_assets.workspace import REPOSITORY
from pcip_core.errors import PcipError
from pcip_core.words import many

RESULTS = REPOSITORY / "benchmarks" / "results"
DOCS = REPOSITORY / "docs"
SHORT_PAGE, GROWTH_PAGE, LONG_PAGE = "performance.md", "explanation/growth.md", "reference/benchmarks.md"
BEGIN, END = "<!-- {}, made by `pcip bench --summary`: begin -->\n", "<!-- end -->\n"
_MET = {True: "yes", False: "**no**", None: "not judged"}
_COUNTED = {True: "met", False: "not met", None: "not judged"}
_SIZE = re.compile(
    r"\b\d[\d,]*(?= (?:cells|x \d+ by|x \d+: groups)\b)"
)  # of a figure that is measured at several sizes
_SHARDS = re.compile(r"\bby \d+ shards")
_LEAST_SIZES = 3  # of a figure that gets a row in a table of growth

Row = dict[str, Any]


def write_summary(descriptions: Mapping[str, str], docs: Path = DOCS, results: Path = RESULTS) -> None:
    """Write the tables of all reference results between the marks of their pages.

    Raises:
        PcipError: a page does not have each mark once.
    """
    for name, tables in summary(descriptions, results).items():
        page = docs / name
        text = page.read_text()
        for what, table in tables.items():
            text = _replaced(text, what, table, page)
        page.write_text(text)


def summary(descriptions: Mapping[str, str], results: Path = RESULTS) -> dict[str, dict[str, str]]:
    """Page -> what -> markdown: the costs, the missed aims, and for each benchmark its command, machine and figures.

    Args:
        descriptions: name of a benchmark -> what it measures.
        results: the folder of their JSON files.
    """
    records = {file.stem: json.loads(file.read_text()) for file in sorted(results.glob("*.json"))}
    sections = [_section(name, descriptions[name], record) for name, record in records.items()]
    missing = [f"`pcip bench {name}`" for name in sorted(descriptions) if name not in records]
    if missing:
        sections.append(f"Without reference results: {', '.join(missing)}.\n")
    return {
        SHORT_PAGE: {"costs": costs(records)},
        GROWTH_PAGE: {"growth": growth(records)},
        LONG_PAGE: {"missed aims": missed(records), "figures": "\n".join(sections)},
    }


def _replaced(text: str, what: str, table: str, page: Path) -> str:
    """The text of a page with a new table between its marks."""
    begin = BEGIN.format(what)
    if text.count(begin) != 1 or END not in text.split(begin)[1]:
        raise PcipError(
            str(page),
            found=f"no place for the {what}",
            required=f"the line {begin.strip()}, once, and after it the line {END.strip()}",
            remedy="Put both lines where the table belongs.",
        )
    before, rest = text.split(begin)
    return f"{before}{begin}\n{table.strip()}\n\n{END}{rest.split(END, 1)[1]}"


def _section(name: str, description: str, record: Mapping[str, Any]) -> str:
    rows = record["rows"]
    judged = [row for row in rows if row.get("aim")]
    counts = [(label, sum(row.get("held") is met for row in judged)) for met, label in _COUNTED.items()]
    aims = ", ".join(f"{count} {label}" for label, count in counts if count)
    seconds = f" It took {record['seconds']} s." if "seconds" in record else ""
    growing = _growing(rows)
    shown = [
        row
        for row in rows
        if row.get("aim") or (row.get("against_value") is not None and _label_and_size(row)[0] not in growing)
    ]
    lines = [
        f"### `pcip bench {name}`",
        "",
        f"{description[0].upper()}{description[1:]}. Aims: {aims or 'none'};"
        f" {many(len(rows), 'figure')} in [{name}.json](../../benchmarks/results/{name}.json)."
        f" {record['machine']}; commit {(record['commit'] or 'unknown')[:9]}.{seconds}",
        "",
    ]
    if shown:
        lines += ["| what | figure | against | ratio | aim | met |", "|---|---|---|---|---|---|"]
        lines += [*map(_line, shown), ""]
    return "\n".join([*lines, *_growth_tables(growing)])


def _label_and_size(row: Row) -> tuple[str, str | None]:
    """The label of a figure with N for its size, and that size."""
    size = _SIZE.search(row["what"])
    return _SHARDS.sub("by shards", _SIZE.sub("N", row["what"], count=1)), size[0] if size else None


def _growing(rows: list[Row]) -> dict[str, dict[str, Row]]:
    """Label -> size -> row, of figures that are measured at three sizes or more."""
    by_label: dict[str, dict[str, Row]] = {}
    for row in rows:
        label, size = _label_and_size(row)
        if size is not None and row.get("value") is not None:
            by_label.setdefault(label, {}).setdefault(size, row)
    return {label: by_size for label, by_size in by_label.items() if len(by_size) >= _LEAST_SIZES}


def _growth_tables(growing: dict[str, dict[str, Row]]) -> list[str]:
    """Tables of growth, one for all figures that are measured at the same sizes."""
    lines: list[str] = []
    for sizes in dict.fromkeys(tuple(by_size) for by_size in growing.values()):
        lines += ["| N | " + " | ".join(sizes) + " |", "|---" * (len(sizes) + 1) + "|"]
        for label, by_size in growing.items():
            if tuple(by_size) == sizes:
                unit = next(iter(by_size.values())).get("unit")
                figures = [_short(row["value"]) for row in by_size.values()]
                lines.append(f"| {label}{f', {unit}' if unit else ''} | " + " | ".join(figures) + " |")
        lines.append("")
    return lines


def _line(row: Row) -> str:
    against = row.get("against") or ""
    if row.get("against_value") is not None:
        against = f"{against}: {_short(row['against_value'])}"
    figure = "-" if row.get("value") is None else f"{_short(row['value'])} {row.get('unit') or ''}".strip()
    ratio = "" if row.get("ratio") is None else _short(row["ratio"])
    met = _MET[row.get("held")] if row.get("aim") else ""
    cells = (row["what"], figure, against, ratio, row.get("aim") or "", met)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _short(value: float) -> str:
    """Three significant digits, or all digits before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
