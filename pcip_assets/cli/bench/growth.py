"""How disk, time and memory grow up to a billion cells, extended from the reference results by a stated law."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pcip_assets.cli.bench.costs import ANSWERS, MEASURED, STEPS, Cost, Record, duration, value_of
from pcip_core.spec.sections import Benchmark

SIZES = {"1 million": 10**6, "10 million": 10**7, "100 million": 10**8, "1 billion": 10**9}
_SCORED = Benchmark().cells
_NEIGHBOURS = Cost("kNN scores of one feature set, one protocol", "knn", r"leave-one-out kNN, 61,778 cells")
_NEIGHBOURS_AT = 61_778
_CROP, _FEATURES = 4 * 64 * 64, 4 * 384
_SHARD = 12_500  # cells of a plate with 96 wells, about 130 in each
_UNITS = ("MB", "GB", "TB", "PB")


class Peak(NamedTuple):
    """The peak memory of a process that handles so many cells."""

    cells: int
    bytes: float


@dataclass(frozen=True)
class Growth:
    """A row of a table.

    Attributes:
        label: what is counted.
        law: how it grows, in words.
        at: number of cells -> the text of the entry.
    """

    label: str
    law: str
    at: Callable[[int], str]


def growth(records: Mapping[str, Record]) -> str:
    """Markdown: a table of disk and one of time.

    Args:
        records: benchmark -> its record, as in benchmarks/results/.
    """
    shards = f"plates of {_SHARD:,} cells"
    disk = [
        Growth("shards", shards, lambda cells: f"{cells / _SHARD:,.0f}"),
        Growth("crops of 64 px in 4 channels", "linear", lambda cells: size(cells * _CROP)),
        Growth("one feature set of 384 numbers, Parquet", "linear", lambda cells: size(cells * _FEATURES)),
        Growth(
            "the same in the published file and its spare",
            "linear",
            lambda cells: size(2 * cells * _FEATURES),
        ),
    ]
    time = [
        *(Growth(cost.label, "linear", _linear(cost, records)) for cost in STEPS),
        Growth(_NEIGHBOURS.label, f"square up to {_SCORED:,} scored cells, then constant", _scored(records)),
        *(
            Growth(cost.label, "linear", _linear(cost, records))
            for cost in ANSWERS
            if "image" not in cost.label
        ),
    ]
    memory = [
        Growth(what, "linear above a constant", _above(least, most))
        for what, (least, most) in sorted(_peaks(records.get("scale", {"rows": []})["rows"]).items())
    ]
    machines = sorted({records[name]["machine"] for name in {c.benchmark for c in STEPS} & records.keys()})
    return "\n".join([
        *_table("disk", disk),
        *_table("time on one machine", time),
        *_table("peak memory of one process", memory),
        f"Machine: {'; '.join(machines)}. Every entry is extended from a measured one by its law; none was run at this "
        "size.",
    ])  # fmt: skip


def size(count: float) -> str:
    """A number of bytes in a unit that is easy to read.

    >>> size(1_536_000_000), size(16_384 * 10**8)
    ('1.5 GB', '1.6 TB')
    """
    number = count / 1e6
    unit = next(name for place, name in enumerate(_UNITS) if number < 1000 ** (place + 1))
    number /= 1000 ** _UNITS.index(unit)
    return f"{number:.{0 if number >= 10 else 1}f} {unit}"


def _linear(cost: Cost, records: Mapping[str, Record]) -> Callable[[int], str]:
    """The duration of a step whose figure is a rate, or the time at the largest size that was measured."""
    rows = records.get(cost.benchmark, {"rows": []})["rows"]
    if "N" in cost.figure:
        seconds = value_of(cost.figure.replace("N", f"{MEASURED:,}"), rows)
        return lambda cells: "not measured" if seconds is None else duration(seconds * cells / MEASURED)
    rate = value_of(cost.figure, rows)
    return lambda cells: duration(cells * cost.times / rate) if rate else "not measured"


def _scored(records: Mapping[str, Record]) -> Callable[[int], str]:
    """The duration of kNN, of at most so many cells."""
    seconds = value_of(_NEIGHBOURS.figure, records.get(_NEIGHBOURS.benchmark, {"rows": []})["rows"])

    def at(cells: int) -> str:
        if seconds is None:
            return "not measured"
        return duration(seconds * (min(cells, _SCORED) / _NEIGHBOURS_AT) ** 2)

    return at


def _peaks(rows: list[dict[str, Any]]) -> dict[str, tuple[Peak, Peak]]:
    """Asset -> its peak memory at the least and at the largest number of cells; of sampled cells it says nothing."""
    found: dict[str, list[Peak]] = {}
    for row in rows:
        if match := re.fullmatch(r"(.*): peak memory, ([\d,]+) cells by \d+ shards \(random\)", row["what"]):
            found.setdefault(match[1], []).append(Peak(int(match[2].replace(",", "")), row["value"] * 2**20))
    return {what: (min(peaks), max(peaks)) for what, peaks in found.items()}


def _above(least: Peak, most: Peak) -> Callable[[int], str]:
    """The memory along the line through two sizes; a slope below zero is noise."""
    slope = max(0.0, (most.bytes - least.bytes) / (most.cells - least.cells))
    return lambda cells: size(most.bytes + slope * (cells - most.cells))


def _table(title: str, rows: list[Growth]) -> list[str]:
    heads = [title, "grows", *(f"{name} cells" for name in SIZES)]
    return [
        f"| {' | '.join(heads)} |",
        "|---" * len(heads) + "|",
        *(
            f"| {row.label} | {row.law} | {' | '.join(row.at(cells) for cells in SIZES.values())} |"
            for row in rows
        ),
        "",
    ]
