"""The yeast commands of docs/reproduce.md, run whole on SIMULATED archives of the paper's layouts, reduced.

The scores say nothing about real cells. The question is whether the commands lead from such archives to the page.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from benchmarks.common.archives import write_chong, write_cyclops
from benchmarks.common.harness import Row
from pcip_assets.workspace import REPOSITORY, Workspace
from pcip_core.spec.templates import TEMPLATES
from pcip_core.store.publish import connect

DESCRIPTION = "the yeast commands of docs/reproduce.md on SIMULATED archives of the paper's layouts, reduced"
SECONDS, LONG = 600, True
PAGE = REPOSITORY / "docs" / "reproduce.md"
SCREENS = ("cyclops_wt2", "chong_labelled_cells")
_REDUCED = {"width": 0.1, "epochs": 2, "batch_size": 16}


def run() -> list[Row]:
    """Each command in a process of its own; then what the store and the page hold."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folders = {"CYCLOPS": folder / "cyclops", "CHONG": folder / "chong"}
        n_proteins, n_cells = write_cyclops(folders["CYCLOPS"]), write_chong(folders["CHONG"])
        write_specs(folder)
        for command in commands(PAGE.read_text(), SCREENS):
            words = [str(folders.get(word, word)) for word in command.split()[1:]]
            start = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-m", "pcip_assets.cli", *words],
                cwd=REPOSITORY, capture_output=True, text=True, check=False,
                env={**os.environ, "PCIP_DATA": str(folder / "data")},
            )  # fmt: skip
            what = f"`{command}` (SIMULATED archives, {n_proteins} proteins, {n_cells} labelled cells)"
            taken, good = time.perf_counter() - start, done.returncode == 0
            rows.append(Row(what, taken, "s", n=1, aim="the command succeeds", held=good))
            if not good:
                raise RuntimeError(f"{command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
        rows += _found(Workspace(folder / "data"), n_cells)
    return rows


def commands(page: str, screens: tuple[str, ...]) -> list[str]:
    """The commands of the page on these screens, in its order."""
    lines = [line for line in page.splitlines() if line.startswith("pcip ")]
    return [line for line in lines if set(screens) & set(line.split())]


def settings(page: str) -> dict[str, dict[str, Any]]:
    """Screen -> the sections that the page adds to its spec."""
    added: dict[str, dict[str, Any]] = {}
    for block in re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        for screen in re.findall(r"(\w+)\.yaml", block.splitlines()[0]):
            added[screen] = yaml.safe_load(block)
    return added


def write_specs(folder: Path) -> None:
    """The shipped specs of the trial with the page's sections, reduced, and without VGG16, whose weights pcip lacks."""
    added = settings(PAGE.read_text())
    (folder / "data" / "screens").mkdir(parents=True)
    for screen in SCREENS:
        spec = yaml.safe_load((TEMPLATES[screen]).read_text())
        spec |= added[screen]
        _reduce(spec)
        (folder / "data" / "screens" / f"{screen}.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))


def _reduce(spec: dict[str, Any]) -> None:
    if "encoder" in spec:
        spec["encoder"] |= _REDUCED
    if "cyclops" in spec["name"]:
        spec["shards"] = {"buckets": 4}
        spec["crops"] = {**spec["crops"], "min_cells": 10}
    baselines = spec["baselines"]
    baselines.pop("vgg16", None)
    baselines["sets"] = [name for name in baselines["sets"] if name != "vgg16"]
    baselines |= {"supervised": _REDUCED, "models": ["logistic"], "folds": 3}
    baselines["umap"] = {"cell_neighbours": 10, "protein_neighbours": 5}


def _found(workspace: Workspace, n_cells: int) -> Iterator[Row]:
    """What the published file and the page hold."""
    key = (
        "screen = 'chong_labelled_cells' AND classifier = 'knn' AND parameter = 'k=11' "
        "AND protocol = 'leave_cell_out'"
    )
    with connect(workspace.published) as con:

        def value(query: str) -> float:
            row = con.execute(query).fetchone()
            return float(row[0]) if row else 0.0

        classes = value("SELECT count(DISTINCT localization[1]) FROM chong_labelled_cells.images")
        scored = value(
            f"SELECT max(n) FROM main.benchmarks WHERE {key} AND label IS NULL AND metric = 'balanced_accuracy'"
        )
        methods = value(
            f"SELECT count(DISTINCT split_part(feature_set, '_', 1)) FROM main.benchmarks WHERE {key}"
        )
    page = workspace.benchmark_report("chong_labelled_cells").read_text()
    columns = len(set(re.findall(r"<th[^>]*>(paper: [^<]+)</th>", page)))
    for what, found, unit, required in (
        ("classes of the three HDF5 files, Spindle and Spindle Pole joined", classes, "classes", 17),
        ("labelled cells that are scored", scored, "cells", n_cells),
        (
            "methods scored on them: inpainting, untrained, intensity, designed, cellprofiler, autoencoder",
            methods,
            "methods",
            6,
        ),
    ):
        yield Row(what, found, unit, n=1, aim=f"{required}", held=found == required)
    yield Row(
        "columns of the paper's numbers on their page",
        columns,
        "columns",
        n=1,
        aim="3 or more",
        held=columns >= 3,
    )
