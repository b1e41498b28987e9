"""The tables of docs/performance.md, made from the reference results in benchmarks/results/.

They show the figures that have an aim or a comparison, and how figures grow with size.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pcip_assets.workspace import REPOSITORY
from pcip_core.errors import PcipError

RESULTS = REPOSITORY / "benchmarks" / "results"
PAGE = REPOSITORY / "docs" / "performance.md"
BEGIN, END = "<!-- made by `pcip bench --summary`: begin -->\n", "<!-- end -->\n"
_MET = {True: "yes", False: "**no**", None: "not judged"}
_COUNTED = {True: "met", False: "not met", None: "not judged"}
_SIZE = re.compile(
    r"\b\d[\d,]*(?= (?:cells|x \d+ by|x \d+: groups)\b)"
)  # of a figure that is measured at several sizes
_SHARDS = re.compile(r"\bby \d+ shards")
_LEAST_SIZES = 3  # of a figure that gets a row in a table of growth

Row = dict[str, Any]


def write_summary(descriptions: Mapping[str, str], page: Path = PAGE, results: Path = RESULTS) -> None:
    """Write the tables of all reference results between the two marks of the page.

    Raises:
        PcipError: the page does not have each mark once.
    """
    text = page.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise PcipError(
            str(page),
            found="no place for the tables",
            required=f"the lines {BEGIN.strip()} and {END.strip()}, each once",
            remedy="Put both lines where the tables belong.",
        )
    before, rest = text.split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{summary(descriptions, results)}\n{END}{rest.split(END)[1]}")


def summary(descriptions: Mapping[str, str], results: Path = RESULTS) -> str:
    """Markdown: for each benchmark its command, machine, commit and figures.

    Args:
        descriptions: name of a benchmark -> what it measures.
        results: the folder of their JSON files.
    """
    records = {file.stem: json.loads(file.read_text()) for file in sorted(results.glob("*.json"))}
    sections = [_section(name, descriptions[name], record) for name, record in records.items()]
    missing = [f"`pcip bench {name}`" for name in sorted(descriptions) if name not in records]
    return "\n".join(
        [*sections, *([f"Without reference results: {', '.join(missing)}.\n"] if missing else [])]
    )


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
        f" {len(rows)} figures in [{name}.json](../benchmarks/results/{name}.json)."
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
