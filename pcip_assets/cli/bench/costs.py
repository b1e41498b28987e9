"""What pcip costs: seconds for a number of cells, and the aims that are missed, from the reference results."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pcip_core.words import many

MEASURED = 1_165_713  # cells of the published yeast screen, the largest size that is measured
SIZES = (50_000, 200_000, MEASURED)
EPOCHS = 30  # of the paper
_NOTHING = "not measured"
_YEAR = 365  # days

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Cost:
    """One step of the way from images to answers.

    Attributes:
        label: the step in words.
        benchmark: the name of the benchmark that measures it.
        figure: regular expression of its figure, which matches one row; `N` stands for the number of cells, if it is
            measured at each. Otherwise the figure is a rate per second.
        times: how often each cell is processed.
    """

    label: str
    benchmark: str
    figure: str
    times: int = 1


STEPS = (
    Cost(
        "Images to crops: read, find cells, cut, two processes",
        "cropping",
        r"576 fields .*: cells, 2 processes",
    ),
    Cost(f"Training, {EPOCHS} epochs, width 0.25", "training", r"training loop, width 0\.25, .*", EPOCHS),
    Cost(
        f"Training, {EPOCHS} epochs, width 1 (the paper's)", "training", r"training loop, width 1, .*", EPOCHS
    ),
    Cost(
        "Features of all five layers, width 0.25",
        "extraction",
        r"extraction of .*, width 0\.25, .*, which pcip takes here, on cpu",
    ),
    Cost(
        "Features of all five layers, width 1",
        "extraction",
        r"extraction of .*, width 1, .*, which pcip takes here, on cpu",
    ),
    Cost("Classic features", "designed", r"classic, 32 grey levels .*"),
    Cost("Designed features, masks given", "designed", r"designed, masks given .*"),
    Cost(
        "First publication of one feature set of 384 numbers",
        "feature_store",
        r"first publication of N x 384 .*",
    ),
)
_PUBLISHED = r"ten most similar cells, published, "
ANSWERS = (
    Cost("Mean features of each protein", "feature_store", r"mean by protein, as the asset .*: N x .*"),
    Cost(
        "SQL: the ten most similar cells, first question",
        "feature_store",
        _PUBLISHED + r"opened anew, until the answer is there: N x .*",
    ),
    Cost("SQL: the same, second question", "feature_store", _PUBLISHED + r"asked again: N x .*"),
    Cost("SQL: all cells of one image", "feature_store", r"all cells of one image, published, .*: N x .*"),
)


def costs(records: Mapping[str, Record]) -> str:
    """Markdown: a table of steps and one of answers.

    Args:
        records: benchmark -> its record, as in benchmarks/results/.

    Raises:
        ValueError: a figure matches several rows.
    """
    names = sorted({cost.benchmark for cost in (*STEPS, *ANSWERS)} & records.keys())
    machines = sorted({records[name]["machine"] for name in names})
    return "\n".join(
        [
            *_table("from images to features", STEPS, records),
            *_table("questions and analyses", ANSWERS, records),
            f"Machine: {'; '.join(machines)}. Rates are extended to the number of cells; answers are measured at it.",
        ]
    )


def missed(records: Mapping[str, Record]) -> str:
    """Markdown: every aim that is not met, with its figure."""
    lines = [
        f"- `{name}`: {row['what']}: {_figure(row)}; aim: {row['aim']}"
        for name, record in records.items()
        for row in record["rows"]
        if row.get("aim") and row.get("held") is False
    ]
    return "\n".join(lines or ["- none"])


def duration(seconds: float) -> str:
    """Seconds in a unit that is easy to read.

    >>> duration(0.046), duration(7.4), duration(90), duration(5_400), duration(200_000), duration(1e8)
    ('0.05 s', '7 s', '1.5 min', '1.5 h', '2.3 days', '3.2 years')
    """
    for unit, length, most in (("s", 1, 90), ("min", 60, 90), ("h", 3600, 36)):
        if seconds < length * most:
            value = seconds / length
            digits = 2 if value < 1 else 1 if unit == "h" or value < 5 else 0
            return f"{value:.{digits}f} {unit}"
    days = seconds / 86_400
    return f"{days:.1f} days" if days < _YEAR else f"{days / _YEAR:.1f} years"


def _table(title: str, rows: tuple[Cost, ...], records: Mapping[str, Record]) -> list[str]:
    header = [title, *(f"{size:,} cells" for size in SIZES)]
    return [
        f"| {' | '.join(header)} |",
        "|---" * len(header) + "|",
        *(f"| {cost.label} | {' | '.join(_cells(cost, records))} |" for cost in rows),
        "",
    ]


def _cells(cost: Cost, records: Mapping[str, Record]) -> list[str]:
    """The duration of one step at each size."""
    rows = records.get(cost.benchmark, {"rows": []})["rows"]
    if "N" not in cost.figure:
        rate = value_of(cost.figure, rows)
        return [duration(size * cost.times / rate) if rate else _NOTHING for size in SIZES]
    values = [value_of(cost.figure.replace("N", f"{size:,}"), rows) for size in SIZES]
    return [_NOTHING if value is None else duration(value) for value in values]


def value_of(figure: str, rows: list[dict[str, Any]]) -> float | None:
    """The value of the one row whose `what` matches a regular expression; None without it.

    Raises:
        ValueError: several rows match.
    """
    values = {row["value"] for row in rows if re.fullmatch(figure, row["what"])}
    if len(values) > 1:
        raise ValueError(f"{figure}: found {many(len(values), 'row')}; required: one")
    return values.pop() if values else None


def _figure(row: Mapping[str, Any]) -> str:
    ratio = row.get("ratio")
    value = f"{row['value']:.3g} {row.get('unit') or ''}".strip() if row.get("value") is not None else "-"
    return value if ratio is None else f"{value} (ratio {ratio:.3g})"
