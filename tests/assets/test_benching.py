"""The list of benchmarks: each is told of in the docs, and those of `make bench` fit in half an hour."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from pcip_assets.cli import bench as benching
from pcip_assets.cli import bench_summary
from pcip_assets.cli.main import cli
from pcip_assets.workspace import REPOSITORY
from pcip_core.errors import PcipError


def test_docs_name_every_benchmark_and_none_that_is_not_there() -> None:
    texts = [path.read_text() for path in (REPOSITORY / "docs").rglob("*.md")]
    told = {name for text in texts for name in re.findall(r"pcip bench ([a-z_]+)", text)}
    assert told == set(benching.list_benchmarks())


def test_those_of_make_bench_take_less_than_half_an_hour() -> None:
    short = [one.seconds or 0 for one in benching.list_benchmarks().values() if not one.long]
    assert 0 < sum(short) <= 30 * 60


def test_the_list_tells_minutes_and_what_is_run_by_name_only() -> None:
    printed = CliRunner().invoke(cli, ["bench"]).output.splitlines()
    lines = {line.split()[0]: line for line in printed if line}
    for name, one in benching.list_benchmarks().items():
        assert one.description in lines[name]
        assert ("by name only" in lines[name]) == one.long
        if one.seconds is not None:
            assert f"{one.seconds / 60:.1f} min" in lines[name]


def test_one_that_fails_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {
        "first": benching.Benchmark("fails", 1, long=False),
        "second": benching.Benchmark("runs", 1, long=False),
        "third": benching.Benchmark("is long", 1, long=True),
    }
    ran = []

    class Done:
        def __init__(self, command: list[str], *, check: bool) -> None:
            ran.append(command[-1])
            self.returncode = int(command[-1] == "first")

    monkeypatch.setattr(benching, "list_benchmarks", lambda: known)
    monkeypatch.setattr(benching.subprocess, "run", Done)
    with pytest.raises(PcipError, match="first failed"):
        benching.run_all()
    assert ran == ["first", "second"]


def test_the_page_tells_the_results_of_record() -> None:
    text = bench_summary.PAGE.read_text()
    told = text.split(bench_summary.BEGIN)[1].split(bench_summary.END)[0]
    assert told.strip() == bench_summary.summary().strip(), "run `pcip bench --summary`"


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
        {"what": "told only", "value": 1.0},
        {"what": "beside", "value": 1.0, "against": "other", "against_value": 3.0},
        {"what": "neighbours of 5 cells", "value": 1.0, "unit": "s"},
        *(
            {"what": f"reading, {n} x 4 by {n} shards", "value": n / 10, "unit": "s", "against_value": 1.0}
            for n in (10, 20, 40)
        ),
    ]
    record = {"machine": "one core", "commit": "abcdef0123456789", "seconds": 3, "rows": rows}
    (tmp_path / "knn.json").write_text(json.dumps(record))
    page = tmp_path / "page.md"
    page.write_text(f"above\n{bench_summary.BEGIN}old\n{bench_summary.END}below\n")
    bench_summary.write_summary(page, tmp_path)
    text = page.read_text()
    assert text.startswith("above\n")
    assert text.endswith("below\n")
    assert "old" not in text
    assert "told only" not in text
    assert "`pcip bench knn`" in text
    assert "Aims: 1 not held, 1 not judged; 8 figures" in text
    assert "one core; commit abcdef012. It took 3 s." in text
    assert "| a \\| b | 1,234 s |  |  | < 2 | **no** |" in text
    assert "| fast | 0.0123 | slow: 2 | 162 | > 1 | not judged |" in text
    assert "| beside | 1 | other: 3 |  |  |  |" in text
    assert "| N | 10 | 20 | 40 |\n|---|---|---|---|\n| reading, N x 4 by shards, s | 1 | 2 | 4 |\n" in text
    assert "neighbours" not in text
    page.write_text("no marks")
    with pytest.raises(PcipError, match="no place"):
        bench_summary.write_summary(page, tmp_path)
    assert page.read_text() == "no marks"
