"""`pcip bench`: list the benchmarks of `benchmarks/`, run them, print their figures and write them as JSON."""

import importlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from pcip_assets.cli.bench.summary import write_summary
from pcip_assets.provenance import git_commit
from pcip_assets.workspace import REPOSITORY
from pcip_core.errors import PcipError
from pcip_core.words import many

FOLDER = REPOSITORY / "benchmarks"
_NO_BENCHMARKS = {"cases", "common", "faults", "truth"}  # folders of what benchmarks share
_RENAMED = {"yardsticks": "baselines"}  # former name -> name
_PARTIAL = ("PCIP_BENCH_PART", "PCIP_BENCH_SHARE")  # variables by which only a part of a benchmark is run
_MET = {True: "met", False: "NOT met", None: "not judged"}


@click.command("bench")
@click.argument("name", required=False)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), metavar="FILE",
    help="Write the figures to FILE, and leave the reference results and the documentation unchanged.",
)  # fmt: skip
@click.option("--strict", is_flag=True, help="Exit with 1 if an aim is not met.")
@click.option("--all", "run_every", is_flag=True, help="Run all benchmarks except the long ones.")
@click.option("--summary", is_flag=True, help="Only write the reference results into the documentation.")
@click.option("--medium", "size", flag_value="medium", help="More trials, of a benchmark with sizes.")
@click.option("--long", "size", flag_value="long", help="All trials, of a benchmark with sizes.")
def command(
    name: str | None,
    json_file: Path | None,
    *,
    strict: bool,
    run_every: bool,
    summary: bool,
    size: str | None,
) -> None:
    """Run the benchmark NAME; without NAME, list the benchmarks and how long each takes.

    The figures are printed and written to benchmarks/results/NAME.json, the reference results, from which the
    tables of docs/performance.md and docs/reference/benchmarks.md are made.
    """
    if not FOLDER.is_dir():
        raise PcipError(
            FOLDER,
            found="no such folder",
            required="the folder `benchmarks` of pcip's repository, which an installed package does not have",
            remedy="Use the command of a checkout: `make setup`, then `.venv/bin/pcip bench`.",
        )
    if summary:
        write_summary(descriptions())
    elif run_every:
        run_all()
    elif name is None:
        print_benchmarks()
    else:
        missed = run_benchmark(name, json_file, size)
        if strict and missed:
            raise PcipError(
                f"pcip bench {name}",
                found=f"{many(len(missed), 'aim')} not met: {'; '.join(missed)}",
                required="every aim met",
                remedy="See the cases printed above.",
            )


@dataclass(frozen=True)
class Benchmark:
    """One module under `benchmarks/`.

    Attributes:
        description: what it measures, its constant DESCRIPTION.
        seconds: how long it takes on two cores, its constant SECONDS; None if it has none.
        long: its constant LONG: `pcip bench --all` leaves it out, only its name runs it.
    """

    description: str
    seconds: float | None
    long: bool


def list_benchmarks() -> dict[str, Benchmark]:
    """Name -> benchmark, the long ones last."""
    modules = {name: _load(path) for name, path in sorted(_paths().items())}
    benchmarks = {
        name: Benchmark(module.DESCRIPTION, getattr(module, "SECONDS", None), getattr(module, "LONG", False))
        for name, module in modules.items()
    }
    return dict(sorted(benchmarks.items(), key=lambda item: item[1].long))


def descriptions() -> dict[str, str]:
    """Name -> what the benchmark measures."""
    return {name: benchmark.description for name, benchmark in list_benchmarks().items()}


def _paths() -> dict[str, Path]:
    """Name -> file of every benchmark, whichever folder it is in."""
    return {path.stem: path for path in FOLDER.glob("*/*.py") if path.parent.name not in _NO_BENCHMARKS}


def _load(path: Path) -> ModuleType:
    if str(REPOSITORY) not in sys.path:
        sys.path.insert(0, str(REPOSITORY))
    return importlib.import_module(f"benchmarks.{path.parent.name}.{path.stem}")


def print_benchmarks() -> None:
    """Print each benchmark with its minutes, and the minutes of all that are not long."""
    benchmarks = list_benchmarks()
    for name, benchmark in benchmarks.items():
        minutes = "" if benchmark.seconds is None else f"{benchmark.seconds / 60:.1f} min"
        note = " (run by name only)" if benchmark.long else ""
        click.echo(f"{name:<14} {minutes:>9}  {benchmark.description}{note}")
    short = [benchmark.seconds or 0 for benchmark in benchmarks.values() if not benchmark.long]
    click.echo(
        f"\nTimes are approximate, on two cores. "
        f"`pcip bench --all` runs the first {len(short)} in {sum(short) / 60:.0f} min."
    )


def run_all() -> None:
    """Run each benchmark that is not long in its own process; a failure does not stop the others.

    Raises:
        PcipError: some failed.
    """
    failed = []
    for name, benchmark in list_benchmarks().items():
        if benchmark.long:
            continue
        click.secho(f"\n{name}: {benchmark.description}", bold=True)
        start = time.perf_counter()
        process = subprocess.run([sys.executable, "-m", "pcip_assets.cli", "bench", name], check=False)
        click.echo(f"{name} took {time.perf_counter() - start:.0f} s")
        failed += [name] if process.returncode else []
    if failed:
        raise PcipError(
            "pcip bench --all",
            found=f"{', '.join(failed)} failed",
            required="benchmarks that run to their end",
            remedy=f"See the error of one alone: pcip bench {failed[0]}",
        )


def run_benchmark(name: str, json_file: Path | None, size: str | None = None) -> list[str]:
    """Run one benchmark, print its figures, and write them as JSON.

    Without `json_file` they become the reference results, and the documentation is written anew.

    Args:
        name: of the benchmark.
        json_file: where the rows are written.
        size: of a benchmark with several, the keys of its constant NAMED_SIZES; by default the first.

    Returns:
        the rows whose aim is not met.

    Raises:
        PcipError: there is no such benchmark, or it has no such size; or only a part of it is run, and its rows
            would become the reference results.
    """
    paths = _paths()
    if name in _RENAMED:
        new = _RENAMED[name]
        raise PcipError(
            name,
            found="the former name of a benchmark",
            required=f"its name now, {new}",
            remedy=f"pcip bench {new}",
        )
    if name not in paths:
        raise PcipError(
            name,
            found="no such benchmark",
            required=f"one of {', '.join(sorted(paths))}",
            remedy="pcip bench lists them.",
        )
    module = _load(paths[name])
    sizes = list(getattr(module, "NAMED_SIZES", {}))
    if size is not None and size not in sizes:
        raise PcipError(
            f"pcip bench {name} --{size}",
            found="a benchmark without this size",
            required=", ".join(f"--{each}" for each in sizes[1:]) or "no size",
            remedy=f"pcip bench {name}",
        )
    partial = [f"{variable}={os.environ[variable]}" for variable in _PARTIAL if os.environ.get(variable)]
    if partial and json_file is None:
        raise PcipError(
            f"pcip bench {name}",
            found=f"{' and '.join(partial)}, so a part of the benchmark",
            required="a whole run, because its figures become the reference results",
            remedy="Write those of a part to a file of your own (--json FILE), or unset the variable.",
        )
    start = time.perf_counter()
    measured = module.run(size or sizes[0]) if sizes else module.run()
    rows = [row if isinstance(row, dict) else asdict(row) for row in measured]
    seconds = round(time.perf_counter() - start)
    for row in rows:
        click.echo(_line(row))
    record = {
        "benchmark": name,
        "machine": machine(),
        "commit": git_commit(),
        "seconds": seconds,
        "rows": rows,
    }
    target = json_file or FOLDER / "results" / f"{name}.json"
    target.write_text(json.dumps(record, indent=1) + "\n")
    click.echo(f"written: {target}")
    if json_file is None:
        write_summary(descriptions())
    return [row["what"] for row in rows if row.get("held") is False]


def _line(row: Mapping[str, Any]) -> str:
    """One figure in words."""
    value = "-" if row.get("value") is None else f"{row['value']:.4g} {row.get('unit') or ''}"
    against = "" if row.get("against_value") is None else f"  vs {row['against']} {row['against_value']:.4g}"
    ratio = "" if row.get("ratio") is None else f"  ratio {row['ratio']:.3f}"
    aim = "" if row.get("aim") is None else f"  aim {row['aim']}: {_MET[row.get('held')]}"
    return f"{row['what']}: {value}{against}{ratio}{aim}"


def machine() -> str:
    """The machine in words."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{platform.machine()}, {os.cpu_count()} cores, {gpu}, Python {platform.python_version()}"
