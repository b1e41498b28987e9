"""`pcip bench`: every benchmark is found and documented, and those of `make bench` take half an hour."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from click.testing import CliRunner

from pcip_assets.cli.bench import run as bench
from pcip_assets.cli.main import cli
from pcip_assets.workspace import REPOSITORY
from pcip_core.errors import PcipError

NAMES = {
    *("quality", "segmentation", "baselines", "analyses", "training", "extraction", "cropping", "crop_store"),
    *("feature_store", "knn", "clustering", "pairwise", "dagster", "incremental", "memory"),
}  # that users rely on


def test_a_benchmark_is_found_by_its_name_whichever_folder_it_is_in() -> None:
    names = Counter(
        path.stem
        for path in (REPOSITORY / "benchmarks").rglob("*.py")
        if "DESCRIPTION" in path.read_text().split("def run", maxsplit=1)[0]
        and re.search(r"^def run\(", path.read_text(), re.MULTILINE)
    )
    assert max(names.values()) == 1
    assert set(bench.list_benchmarks()) == set(names) > NAMES


@pytest.mark.parametrize(
    ("name", "message"), [("yardsticks", "pcip bench baselines"), ("nothing", "one of analyses, baselines")]
)
def test_a_name_that_is_no_benchmark_is_an_error_that_says_which_are(name: str, message: str) -> None:
    with pytest.raises(PcipError, match=message):
        bench.run_benchmark(name, None)


@pytest.mark.parametrize("variable", ["PCIP_BENCH_PART", "PCIP_BENCH_SHARE"])
def test_a_part_does_not_become_the_reference_results(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    before = (REPOSITORY / "benchmarks/results/faults.json").read_bytes()
    monkeypatch.setenv(variable, "0.1")
    with pytest.raises(PcipError, match=f"{variable}=0.1, so a part.*--json FILE"):
        bench.run_benchmark("faults", None)
    assert (REPOSITORY / "benchmarks/results/faults.json").read_bytes() == before


def test_an_aim_that_is_not_met_is_an_error_with_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "run_benchmark", lambda *_: ["kills: results lost"])
    assert CliRunner().invoke(cli, ["bench", "faults"]).exit_code == 0
    result = CliRunner().invoke(cli, ["bench", "faults", "--strict"])
    assert isinstance(result.exception, PcipError)
    assert "kills: results lost" in str(result.exception)


def test_docs_name_every_benchmark_and_none_that_is_not_there() -> None:
    texts = [path.read_text() for path in (REPOSITORY / "docs").rglob("*.md")]
    named = {name for text in texts for name in re.findall(r"pcip bench ([a-z_]+)", text)}
    assert named == set(bench.list_benchmarks())


def test_those_of_make_bench_take_less_than_half_an_hour() -> None:
    short = [benchmark.seconds or 0 for benchmark in bench.list_benchmarks().values() if not benchmark.long]
    assert 0 < sum(short) <= 30 * 60


def test_the_list_tells_minutes_and_what_is_run_by_name_only() -> None:
    printed = CliRunner().invoke(cli, ["bench"]).output.splitlines()
    lines = {line.split()[0]: line for line in printed if line}
    for name, benchmark in bench.list_benchmarks().items():
        assert benchmark.description in lines[name]
        assert ("by name only" in lines[name]) == benchmark.long
        if benchmark.seconds is not None:
            assert f"{benchmark.seconds / 60:.1f} min" in lines[name]


def test_one_that_fails_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {
        "first": bench.Benchmark("fails", 1, long=False),
        "second": bench.Benchmark("runs", 1, long=False),
        "third": bench.Benchmark("is long", 1, long=True),
    }
    ran = []

    class Done:
        def __init__(self, command: list[str], *, check: bool) -> None:
            ran.append(command[-1])
            self.returncode = int(command[-1] == "first")

    monkeypatch.setattr(bench, "list_benchmarks", lambda: known)
    monkeypatch.setattr(bench.subprocess, "run", Done)
    with pytest.raises(PcipError, match="first failed"):
        bench.run_all()
    assert ran == ["first", "second"]
