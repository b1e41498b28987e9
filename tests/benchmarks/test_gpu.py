"""`benchmarks/gpu.sh`: its parts at tiny sizes on the processor, with all packages refused that it must not need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks.common import gpu
from benchmarks.common.harness import Row
from tests.core.test_bare_gpu_box import REFUSING, printed

REPOSITORY = Path(__file__).parents[2]


def test_every_part_runs_without_other_packages() -> None:
    alone = (
        "\nfrom benchmarks.common import gpu\n"
        "gpu.two_processes = lambda _: [gpu.Row('two processes', 1.0)]\n"  # starting them takes seconds
        "gpu.main(['--cpu'])\n"
    )
    record = json.loads("\n".join(printed(REFUSING + alone)))
    assert (record["benchmark"], record["torch"]) == ("gpu", torch.__version__)
    rows = {row["what"].partition(":")[0]: row for row in record["rows"]}
    assert not any("failed" in row["what"] for row in record["rows"])
    measured = {what for what, row in rows.items() if row["value"] is not None}
    assert len(measured) >= 11
    for start in (
        "bare step, bf16",
        "training loop",
        "extraction, bf16",
        "one epoch of 48 cells, crops from files",
    ):
        assert any(what.startswith(start) for what in measured), start
    assert set(record["rows"][0]) == set(Row.__dataclass_fields__)


def test_the_script_says_that_there_is_no_gpu() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    script = [str(REPOSITORY / "benchmarks" / "gpu.sh")]
    done = subprocess.run(
        script, env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "No GPU here" in done.stderr


def test_a_part_without_time_or_with_an_error_leaves_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    report = gpu.Report(gpu.TINY, limit_s=100)

    def failing(_: gpu.Sizes) -> list[Row]:
        raise RuntimeError("out of memory\nmore")

    report.part("long", 101, failing)
    report.part("failing", 1, failing)
    report.part("good", 1, lambda _: [Row("good", 1.0)])
    report.print()
    report.print()  # once only
    texts = [row["what"] for row in json.loads(capsys.readouterr().out)["rows"]]
    assert texts[0].startswith("long: not run: ")
    assert texts[1:] == ["failing: failed: RuntimeError: out of memory", "good"]


def test_a_part_that_hangs_does_not_hold_the_report() -> None:
    code = (
        "import time\nfrom benchmarks.common import gpu\n"
        "report = gpu.Report(gpu.TINY, limit_s=1)\n"
        "report.part('hangs', 0, lambda _: time.sleep(100))\n"
    )
    start = time.monotonic()
    record = json.loads("\n".join(printed(code)))
    assert record["rows"][-1]["what"].startswith("ended after 1 s")
    assert time.monotonic() - start < 90
