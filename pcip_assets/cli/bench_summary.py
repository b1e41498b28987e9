"""The results of record as tables of docs/performance.md, none typed by hand: figures that have an aim or something
beside them, and how figures grow with size.
"""

import json
import re
from pathlib import Path
from typing import Any

from pcip_assets.cli.bench import list_benchmarks
from pcip_assets.workspace import REPOSITORY
from pcip_core.errors import PcipError

RESULTS = REPOSITORY / "benchmarks" / "results"
PAGE = REPOSITORY / "docs" / "performance.md"
BEGIN, END = "<!-- made by `pcip bench --summary`: begin -->\n", "<!-- end -->\n"
_HELD = {True: "yes", False: "**no**", None: "not judged"}
_SIZE = re.compile(
    r"\b\d[\d,]*(?= (?:cells|x \d+ by|x \d+: groups)\b)"
)  # of what is measured at several sizes
_SHARDS = re.compile(r"\bby \d+ shards")
_LEAST_SIZES = 3
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
    """Markdown: for each benchmark with results its command, machine and commit, and its figures."""
    known = list_benchmarks()
    records = {file.stem: json.loads(file.read_text()) for file in sorted(results.glob("*.json"))}
    sections = [_section(name, known[name].description, record) for name, record in records.items()]
    without = [f"`pcip bench {name}`" for name in sorted(known) if name not in records]
    return "\n".join(
        [*sections, *([f"Without results of record: {', '.join(without)}.\n"] if without else [])]
    )


def _section(name: str, description: str, record: dict[str, Any]) -> str:
    rows = record["rows"]
    judged = [row for row in rows if row.get("aim")]
    counts = [(word, sum(row.get("held") is held for row in judged)) for held, word in _COUNTED.items()]
    of_aims = ", ".join(f"{count} {word}" for word, count in counts if count)
    took = f" It took {record['seconds']} s." if "seconds" in record else ""
    growing = _growing(rows)
    told = [
        row
        for row in rows
        if row.get("aim") or (row.get("against_value") is not None and _named(row)[0] not in growing)
    ]
    lines = [
        f"### `pcip bench {name}`",
        "",
        f"{description[0].upper()}{description[1:]}. Aims: {of_aims or 'none'};"
        f" {len(rows)} figures in [{name}.json](../benchmarks/results/{name}.json)."
        f" {record['machine']}; commit {(record['commit'] or 'unknown')[:9]}.{took}",
        "",
    ]
    if told:
        lines += ["| what | figure | against | ratio | aim | held |", "|---|---|---|---|---|---|"]
        lines += [*map(_line, told), ""]
    return "\n".join([*lines, *_growth(growing)])


def _named(row: dict[str, Any]) -> tuple[str, str | None]:
    """What a row measures whatever its size, and that size."""
    size = _SIZE.search(row["what"])
    return _SHARDS.sub("by shards", _SIZE.sub("N", row["what"], count=1)), size[0] if size else None


def _growing(rows: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """What is measured at three sizes or more -> size -> its row."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        what, size = _named(row)
        if size is not None and row.get("value") is not None:
            found.setdefault(what, {}).setdefault(size, row)
    return {what: by_size for what, by_size in found.items() if len(by_size) >= _LEAST_SIZES}


def _growth(growing: dict[str, dict[str, dict[str, Any]]]) -> list[str]:
    """Tables of what grows, one for all that is measured at the same sizes."""
    lines: list[str] = []
    for sizes in dict.fromkeys(tuple(by_size) for by_size in growing.values()):
        lines += ["| N | " + " | ".join(sizes) + " |", "|---" * (len(sizes) + 1) + "|"]
        for what, by_size in growing.items():
            if tuple(by_size) == sizes:
                unit = next(iter(by_size.values())).get("unit")
                figures = [_short(row["value"]) for row in by_size.values()]
                lines.append(f"| {what}{f', {unit}' if unit else ''} | " + " | ".join(figures) + " |")
        lines.append("")
    return lines


def _line(row: dict[str, Any]) -> str:
    against = row.get("against") or ""
    if row.get("against_value") is not None:
        against = f"{against}: {_short(row['against_value'])}"
    figure = "-" if row.get("value") is None else f"{_short(row['value'])} {row.get('unit') or ''}".strip()
    ratio = "" if row.get("ratio") is None else _short(row["ratio"])
    held = _HELD[row.get("held")] if row.get("aim") else ""
    cells = (row["what"], figure, against, ratio, row.get("aim") or "", held)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _short(value: float) -> str:
    """Three digits, or all of those before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
