"""Start-up time of the command line and of Dagster's code location, and their largest imports."""

from __future__ import annotations

import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks.common.harness import Row
from pcip_assets.workspace import REPOSITORY

DESCRIPTION = "seconds of `pcip --help` and of importing the code location, with the largest imports of each"
SECONDS = 30
_REPEATS, _TOLD = 5, 6
_CASES = {
    "pcip --help": (["-m", "pcip_assets.cli", "--help"], 0.3),
    "the code location": (["-c", "from pcip_assets.definitions import defs; defs()"], 5.0),
}
_LINE = re.compile(r"import time:\s*(\d+) \|\s*(\d+) \|(\s*)(\S+)")


def run() -> list[Row]:
    """Processes one after the other; the first of each warms the files and is not counted."""
    rows = []
    for name, (arguments, most) in _CASES.items():
        taken = [_process(arguments) for _ in range(_REPEATS + 1)][1:]
        bare = [_process(["-c", "pass"]) for _ in range(_REPEATS)]
        wall, cpu, empty = (
            statistics.median(each)
            for each in ([one[0] for one in taken], [one[1] for one in taken], [one[0] for one in bare])
        )
        rows += [
            Row(name, wall, "s", against="Python that does nothing", against_value=empty, ratio=wall / empty,
                n=_REPEATS, spread=(min(taken)[0], max(taken)[0]), aim=f"< {most:g} s", held=wall < most),
            Row(f"{name}: processor time", cpu, "s", n=_REPEATS),
        ]  # fmt: skip
        rows += [
            Row(f"{name}: own modules of {package}", seconds, "s", n=1)
            for package, seconds in largest_imports(arguments)
        ]
    return rows


def _process(arguments: Sequence[str]) -> tuple[float, float]:
    """Seconds and processor seconds of one Python."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    taken, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return taken, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def largest_imports(arguments: Sequence[str]) -> list[tuple[str, float]]:
    """Packages by the seconds of their own modules (`python -X importtime`), the largest first."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        cwd=REPOSITORY, check=True, capture_output=True, text=True,
    )  # fmt: skip
    seconds: dict[str, float] = {}
    for line in done.stderr.splitlines():
        if found := _LINE.fullmatch(line):
            package = found[4].split(".")[0]
            seconds[package] = seconds.get(package, 0.0) + int(found[1]) / 1e6
    return sorted(seconds.items(), key=lambda item: -item[1])[:_TOLD]
