"""The list of benchmarks: each is told of in the docs, and those of `make bench` fit in half an hour."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from pcip_assets import benching
from pcip_assets.cli import cli
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
