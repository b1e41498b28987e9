"""`pcip bench`: the modules of `benchmarks/`, run one at a time; rows printed and written as JSON."""

import importlib
import json
import os
import platform
import sys
from dataclasses import asdict
from pathlib import Path

import click

from pcip_assets.provenance import git_commit
from pcip_assets.workspace import REPOSITORY
from pcip_core.errors import PcipError

_FOLDER = REPOSITORY / "benchmarks"
_NOT_BENCHMARKS = {"__init__", "authors", "compared", "harness"}


def list_benchmarks() -> dict[str, str]:
    """name -> what it measures."""
    names = sorted(path.stem for path in _FOLDER.glob("*.py") if path.stem not in _NOT_BENCHMARKS)
    return {name: _module(name).DESCRIPTION for name in names}


def _module(name: str):  # type: ignore[no-untyped-def]
    if str(REPOSITORY) not in sys.path:
        sys.path.insert(0, str(REPOSITORY))
    return importlib.import_module(f"benchmarks.{name}")


def run_benchmark(name: str, json_file: Path | None) -> None:
    """Run one benchmark, print its rows, write them as JSON (default: benchmarks/results/NAME.json)."""
    if name not in list_benchmarks():
        raise PcipError(
            name,
            found="no such benchmark",
            required=f"one of {', '.join(list_benchmarks())}",
            remedy="pcip bench",
        )
    rows = [row if isinstance(row, dict) else asdict(row) for row in _module(name).run()]
    for row in rows:
        against = (
            "" if row.get("against_value") is None else f"  vs {row['against']} {row['against_value']:.4g}"
        )
        ratio = "" if row.get("ratio") is None else f"  ratio {row['ratio']:.3f}"
        aim = "" if row.get("aim") is None else f"  aim {row['aim']}: {_HELD[row.get('held')]}"
        value = "-" if row.get("value") is None else f"{row['value']:.4g} {row.get('unit') or ''}"
        click.echo(f"{row['what']}: {value}{against}{ratio}{aim}")
    record = {"benchmark": name, "machine": machine(), "commit": git_commit(), "rows": rows}
    target = json_file or _FOLDER / "results" / f"{name}.json"
    target.write_text(json.dumps(record, indent=1) + "\n")
    click.echo(f"written: {target}")


_HELD = {True: "held", False: "NOT held", None: "not judged"}


def machine() -> str:
    """The machine in words."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{platform.machine()}, {os.cpu_count()} cores, {gpu}, Python {platform.python_version()}"
