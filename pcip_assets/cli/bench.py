"""`pcip bench`: the modules of `benchmarks/`, run one at a time; rows printed and written as JSON."""

import importlib
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from pcip_assets.provenance import git_commit
from pcip_assets.workspace import REPOSITORY
from pcip_core.errors import PcipError

_FOLDER = REPOSITORY / "benchmarks"
_NOT_BENCHMARKS = {"__init__", "authors", "called", "compared", "harness"}


@dataclass(frozen=True)
class Benchmark:
    """What a module of `benchmarks/` says of itself.

    Attributes:
        description: what it measures.
        seconds: about how long it takes on two cores, its constant SECONDS; None when it does not say.
        long: its constant LONG: left out by `pcip bench --all`, run by name.
    """

    description: str
    seconds: float | None
    long: bool


def list_benchmarks() -> dict[str, Benchmark]:
    """name -> what is known of it; the long ones last."""
    names = sorted(path.stem for path in _FOLDER.glob("*.py") if path.stem not in _NOT_BENCHMARKS)
    modules = {name: _module(name) for name in names}
    found = {
        name: Benchmark(module.DESCRIPTION, getattr(module, "SECONDS", None), getattr(module, "LONG", False))
        for name, module in modules.items()
    }
    return dict(sorted(found.items(), key=lambda item: item[1].long))


def print_benchmarks() -> None:
    """The list, with the minutes of each and of all that are not long."""
    known = list_benchmarks()
    for name, one in known.items():
        minutes = "" if one.seconds is None else f"{one.seconds / 60:.1f} min"
        click.echo(f"{name:<14} {minutes:>9}  {one.description}" + (" (by name only)" if one.long else ""))
    short = [one.seconds or 0 for one in known.values() if not one.long]
    click.echo(
        f"\nAbout, on two cores. `pcip bench --all` runs the first {len(short)}: {sum(short) / 60:.0f} min."
    )


def run_all() -> None:
    """Each benchmark that is not long, in a process of its own; one that fails does not stop the others.

    Raises:
        PcipError: some failed.
    """
    failed = []
    for name, one in list_benchmarks().items():
        if one.long:
            continue
        click.secho(f"\n{name}: {one.description}", bold=True)
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "pcip_assets.cli", "bench", name], check=False)
        click.echo(f"{name} took {time.perf_counter() - start:.0f} s")
        failed += [name] if done.returncode else []
    if failed:
        raise PcipError(
            "pcip bench --all",
            found=f"{', '.join(failed)} failed",
            required="benchmarks that run to their end",
            remedy=f"pcip bench {failed[0]}",
        )


def _module(name: str):  # type: ignore[no-untyped-def]
    if str(REPOSITORY) not in sys.path:
        sys.path.insert(0, str(REPOSITORY))
    return importlib.import_module(f"benchmarks.{name}")


def run_benchmark(name: str, json_file: Path | None) -> None:
    """Run one benchmark, print its rows, write them as JSON.

    By default to benchmarks/results/NAME.json, and then into docs/performance.md too.
    """
    if name not in list_benchmarks():
        raise PcipError(
            name,
            found="no such benchmark",
            required=f"one of {', '.join(list_benchmarks())}",
            remedy="pcip bench",
        )
    start = time.perf_counter()
    rows = [row if isinstance(row, dict) else asdict(row) for row in _module(name).run()]
    taken = round(time.perf_counter() - start)
    for row in rows:
        against = (
            "" if row.get("against_value") is None else f"  vs {row['against']} {row['against_value']:.4g}"
        )
        ratio = "" if row.get("ratio") is None else f"  ratio {row['ratio']:.3f}"
        aim = "" if row.get("aim") is None else f"  aim {row['aim']}: {_HELD[row.get('held')]}"
        value = "-" if row.get("value") is None else f"{row['value']:.4g} {row.get('unit') or ''}"
        click.echo(f"{row['what']}: {value}{against}{ratio}{aim}")
    record = {"benchmark": name, "machine": machine(), "commit": git_commit(), "seconds": taken, "rows": rows}
    target = json_file or _FOLDER / "results" / f"{name}.json"
    target.write_text(json.dumps(record, indent=1) + "\n")
    click.echo(f"written: {target}")
    if json_file is None:
        from pcip_assets.cli.bench_summary import write_summary

        write_summary()


_HELD = {True: "held", False: "NOT held", None: "not judged"}


def machine() -> str:
    """The machine in words."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{platform.machine()}, {os.cpu_count()} cores, {gpu}, Python {platform.python_version()}"
