"""The tables of docs/performance.md and docs/reference/benchmarks.md."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pcip_assets.cli.bench import summary as bench_summary
from pcip_assets.cli.bench.costs import SIZES, costs
from pcip_assets.cli.bench.growth import growth
from pcip_assets.cli.bench.run import descriptions
from pcip_core.errors import PcipError


def test_the_pages_hold_the_reference_results() -> None:
    for name, tables in bench_summary.summary(descriptions()).items():
        text = (bench_summary.DOCS / name).read_text()
        for what, table in tables.items():
            written = text.split(bench_summary.BEGIN.format(what))[1].split(bench_summary.END)[0]
            assert written.strip() == table.strip(), "run `pcip bench --summary`"


def test_each_cost_is_measured() -> None:
    table = bench_summary.summary(descriptions())[bench_summary.SHORT_PAGE]["costs"]
    assert "not measured" not in table


def test_costs_are_rates_or_figures_at_a_size() -> None:
    rows = [
        {
            "what": "extraction of conv1 to conv5, width 1, 64 px, which pcip takes here, on cpu",
            "value": 100.0,
            "unit": "cells/s",
        },
        *(
            {"what": f"first publication of {size:,} x 384 by 32 shards", "value": size / 1e4, "unit": "s"}
            for size in SIZES
        ),
    ]
    record = {"machine": "one core", "rows": rows}
    lines = costs({"extraction": record, "feature_store": record}).splitlines()
    assert "| Features of all five layers, width 1 | 8 min | 33 min | 3.2 h |" in lines
    assert "| First publication of one feature set of 384 numbers | 5 s | 20 s | 1.9 min |" in lines
    assert any(line.startswith("| Classic features | not measured") for line in lines)
    assert lines[-1].startswith("Machine: one core.")


def test_growth_follows_its_law() -> None:
    scale = [
        {"what": f"maps: peak memory, {cells:,} cells by 4 shards (random)", "value": mib}
        for cells, mib in ((50_000, 500.0), (200_000, 700.0), (400_000, 850.0))
    ]
    knn = {"what": "leave-one-out kNN, 61,778 cells", "value": 10.0}
    crops = {"what": "576 fields of 512 px: cells, 2 processes", "value": 1000.0}
    first = {"what": "first publication of 1,165,713 x 384 by 32 shards", "value": 11.65713}
    rows = {"scale": scale, "knn": [knn], "cropping": [crops], "feature_store": [first]}
    lines = growth(
        {name: {"machine": "one core", "rows": found} for name, found in rows.items()}
    ).splitlines()
    of = {
        line.split("|")[1].strip(): [part.strip() for part in line.split("|")[3:-1]]
        for line in lines
        if "|" in line
    }
    assert of["shards"] == ["80", "800", "8,000", "80,000"]
    assert of["one feature set of 384 numbers, Parquet"] == ["1.5 GB", "15 GB", "154 GB", "1.5 TB"]
    assert of["Images to crops: read, find cells, cut, two processes"] == [
        "17 min",
        "2.8 h",
        "27.8 h",
        "11.6 days",
    ]
    assert of["First publication of one feature set of 384 numbers"] == ["10 s", "1.7 min", "17 min", "2.8 h"]
    assert of["kNN scores of one feature set, one protocol"] == ["26 s"] * 4  # 100,000 of all cells
    assert of["maps"] == ["1.5 GB", "11 GB", "105 GB", "1.0 TB"]  # 1 MiB for each 1,000 cells more
    assert of["Classic features"] == ["not measured"] * 4


def test_a_summary_has_each_figure_with_an_aim(tmp_path: Path) -> None:
    rows = [
        {"what": "a | b", "value": 1234.5, "unit": "s", "aim": "< 2", "held": False},
        {
            "what": "fast",
            "value": 0.01234,
            "against": "slow",
            "against_value": 2.0,
            "ratio": 162.07,
            "aim": "> 1",
        },
        {"what": "no aim", "value": 1.0},
        {"what": "beside", "value": 1.0, "against": "other", "against_value": 3.0},
        {"what": "neighbours of 5 cells", "value": 1.0, "unit": "s"},
        *(
            {"what": f"reading, {n} x 4 by {n} shards", "value": n / 10, "unit": "s", "against_value": 1.0}
            for n in (10, 20, 40)
        ),
    ]
    record = {"machine": "one core", "commit": "abcdef0123456789", "seconds": 3, "rows": rows}
    (tmp_path / "knn.json").write_text(json.dumps(record))
    short, long = tmp_path / bench_summary.SHORT_PAGE, tmp_path / bench_summary.LONG_PAGE
    growing = tmp_path / bench_summary.GROWTH_PAGE
    long.parent.mkdir()
    growing.parent.mkdir()
    begin, end = bench_summary.BEGIN, bench_summary.END
    short.write_text(f"{begin.format('costs')}old\n{end}below\n")
    growing.write_text(f"{begin.format('growth')}old\n{end}below\n")
    long.write_text(
        f"above\n{begin.format('missed aims')}{end}between\n{begin.format('figures')}old\n{end}below\n"
    )
    bench_summary.write_summary({"knn": "speed of kNN"}, tmp_path, tmp_path)
    text = long.read_text()
    assert "old" not in text + short.read_text() + growing.read_text()
    assert "- `knn`: a | b: 1.23e+03 s; aim: < 2\n" in text
    assert "between\n" in text
    assert text.startswith("above\n")
    assert text.endswith("below\n")
    assert "no aim" not in text
    assert "### `pcip bench knn`\n\nSpeed of kNN." in text
    assert "Aims: 1 not met, 1 not judged; 8 figures" in text
    assert "one core; commit abcdef012. It took 3 s." in text
    assert "| a \\| b | 1,234 s |  |  | < 2 | **no** |" in text
    assert "| fast | 0.0123 | slow: 2 | 162 | > 1 | not judged |" in text
    assert "| beside | 1 | other: 3 |  |  |  |" in text
    assert "| N | 10 | 20 | 40 |\n|---|---|---|---|\n| reading, N x 4 by shards, s | 1 | 2 | 4 |\n" in text
    assert "neighbours" not in text
    long.write_text("no marks")
    with pytest.raises(PcipError, match="no place"):
        bench_summary.write_summary({"knn": "speed of kNN"}, tmp_path, tmp_path)
    assert long.read_text() == "no marks"
