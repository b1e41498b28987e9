"""The results of record as tables of docs/performance.md: every figure with an aim, none typed by hand."""

import json
from pathlib import Path
from typing import Any

from pcip_assets.benching import list_benchmarks
from pcip_assets.workspace import REPOSITORY
from pcip_core.errors import PcipError

RESULTS = REPOSITORY / "benchmarks" / "results"
PAGE = REPOSITORY / "docs" / "performance.md"
BEGIN, END = "<!-- made by `pcip bench --summary`: begin -->\n", "<!-- end -->\n"
_HELD = {True: "yes", False: "**no**", None: "not judged"}
_COUNTED = {True: "held", False: "not held", None: "not judged"}


def write_summary(page: Path = PAGE, results: Path = RESULTS) -> None:
    """Put the tables of all results between the page's two marks.

    Raises:
        PcipError: the page has not both marks.
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
    page.write_text(f"{before}{BEGIN}\n{summary(results)}\n{END}{rest.split(END)[1]}")


def summary(results: Path = RESULTS) -> str:
    """Markdown: for each benchmark with results its command, machine and commit, and its figures that have an aim."""
    known = list_benchmarks()
    records = {file.stem: json.loads(file.read_text()) for file in sorted(results.glob("*.json"))}
    sections = [_section(name, known[name].description, record) for name, record in records.items()]
    without = [f"`pcip bench {name}`" for name in sorted(known) if name not in records]
    return "\n".join(
        [*sections, *([f"Without results of record: {', '.join(without)}.\n"] if without else [])]
    )


def _section(name: str, description: str, record: dict[str, Any]) -> str:
    judged = [row for row in record["rows"] if row.get("aim")]
    counts = [(word, sum(row.get("held") is held for row in judged)) for held, word in _COUNTED.items()]
    of_aims = ", ".join(f"{count} {word}" for word, count in counts if count)
    took = f" It took {record['seconds']} s." if "seconds" in record else ""
    lines = [
        f"### `pcip bench {name}`",
        "",
        f"{description[0].upper()}{description[1:]}. Aims: {of_aims or 'none'};"
        f" {len(record['rows'])} figures in [{name}.json](../benchmarks/results/{name}.json)."
        f" {record['machine']}; commit {(record['commit'] or 'unknown')[:9]}.{took}",
        "",
    ]
    if judged:
        lines += ["| what | figure | against | ratio | aim | held |", "|---|---|---|---|---|---|"]
        lines += [_line(row) for row in judged] + [""]
    return "\n".join(lines)


def _line(row: dict[str, Any]) -> str:
    against = row.get("against") or ""
    if row.get("against_value") is not None:
        against = f"{against}: {_short(row['against_value'])}"
    figure = "-" if row.get("value") is None else f"{_short(row['value'])} {row.get('unit') or ''}".strip()
    ratio = "" if row.get("ratio") is None else _short(row["ratio"])
    cells = (row["what"], figure, against, ratio, row["aim"], _HELD[row.get("held")])
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _short(value: float) -> str:
    """Three digits, or all of those before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
