"""One tiny screen brought from images to benchmark through Dagster, once for all tests that look at it or copy it."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
import tifffile
import torch
import yaml

from pcip_assets import tracking
from pcip_assets.cli.run import RunOutcome, open_instance, run_screen
from pcip_assets.partitions import register_shards
from pcip_assets.workspace import Workspace
from pcip_core.locks import locked
from pcip_core.spec.screen import Screen
from pcip_core.store.partitions import Store
from pcip_core.store.paths import asset_of
from tests.conftest import write_tiny_screen

tracking.SYSTEM_METRICS_EVERY_S = 0.2  # trainings here last a second
QUICK = {
    **{"grey_levels": 8, "folds": 2, "trees": 5, "classifiers": ["classic"], "held_fraction": 0.25},
    "models": ["logistic", "forest", "histogram_forest"],
    "umap": {"cell_neighbours": 10, "protein_neighbours": 3},
    "pairwise": {"same": 50, "each_other": 50, "by_line": 50, "min_proteins": 2, "bootstraps": 50},
}
DESIGNED = ("classic", "designed", "cellprofiler")
EVERYTHING: dict[str, Any] = {
    "sets": [*DESIGNED, "autoencoder", "supervised", "vgg16"],
    "vgg16": {"weights": "vgg16.pth", "layers": ["block1_conv2"]},
    "supervised": {
        "width": 0.1,
        "epochs": 15,
        "batch_size": 9,
        "learning_rate": 3e-3,
        "precision": "float32",
    },
    "corrections": ["by_plate", "whitened"],
    "corrected": ["inpainting_conv3"],
    **QUICK,
}
FEATURES: dict[str, Any] = {
    "mine": {
        "program": "mine.ts",
        "inputs": ["g", "y", "b"],
        "channels": {"b": "nucleus", "g": "protein"},
        "size_px": 24,
    },
    "wide": {"program": "mine.ts", "channels": ["protein", "nucleus"], "size_px": 24, "window_px": 48},
    "both": {"combine": ["classic", "mine"]},
}
_FILTERS = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512)


@dataclass(frozen=True)
class Finished:
    """A workspace after its first run.

    Attributes:
        instance: the Dagster instance of its runs, in memory; by default that of the workspace.
    """

    workspace: Workspace
    screen: Screen
    spec: Path
    outcome: RunOutcome
    instance: dg.DagsterInstance | None = None

    @property
    def store(self) -> Store:
        return Store(self.workspace.store)

    @property
    def dagster(self) -> dg.DagsterInstance:
        """The Dagster instance that recorded the runs."""
        return self.instance or open_instance(self.workspace)

    def commits(self) -> dict[tuple[str, str | None], str]:
        """(table, shard) -> the commit that made it."""
        store, name = self.store, self.screen.name
        return {
            (table, shard): (store.provenance(name, table, shard) or {})["commit_id"]
            for table in store.tables(name)
            for shard in store.shards(name, table) or [None]
        }

    def writers(self) -> dict[str, tuple[str, str]]:
        """Table -> the asset that wrote it, as recorded, and the asset that errors name."""
        store, name = self.store, self.screen.name
        recorded = {
            table: store.provenance(name, table, (store.shards(name, table) or [None])[0]) or {}
            for table in store.tables(name)
        }
        return {
            table: (provenance["asset"], (asset_of(table) or ("", ""))[0])
            for table, provenance in recorded.items()
            if table != "screen"  # which describes the screen and is no asset's result
        }

    def again(self, **options: object) -> RunOutcome:
        """Run the screen again."""
        screen = self.workspace.find(str(self.spec))
        return run_screen(self.workspace, screen, instance=self.instance, **options)  # type: ignore[arg-type]

    def copied(self, folder: Path, **changes: object) -> Finished:
        """A copy to change, with some keys of the spec changed, and with a Dagster instance in memory."""
        made = copied(self.spec.parent, folder, self.outcome, **changes)
        instance = in_memory(made.workspace)
        register_shards(instance, made.screen)
        return dataclasses.replace(made, instance=instance)


def in_memory(workspace: Workspace) -> dg.DagsterInstance:
    """A Dagster instance without databases, which take half of the time of a run that finds everything up to date."""
    workspace.dagster_home.mkdir(parents=True, exist_ok=True)
    return dg.DagsterInstance.ephemeral(tempdir=str(workspace.dagster_home))


def run_tiny(folder: Path, *, databases: bool = False, **changes: object) -> Finished:
    """Write a tiny screen under a folder and run it; `databases`: Dagster records the run in its databases."""
    spec = write_tiny_screen(folder, **changes)
    workspace = Workspace(folder / "data")
    screen, instance = workspace.find(str(spec)), None if databases else in_memory(workspace)
    return Finished(workspace, screen, spec, run_screen(workspace, screen, instance=instance), instance)


def copied(original: Path, folder: Path, outcome: RunOutcome, **changes: object) -> Finished:
    """A copy of the folder of a tiny screen and its workspace, with its paths and some keys of the spec changed."""
    machine = shutil.ignore_patterns("local.yaml", ".lock")  # it remembers the spec of the original
    shutil.copytree(original, folder, ignore=machine, dirs_exist_ok=True)
    spec, workspace = folder / "tiny.yaml", Workspace(folder / "data")
    values = yaml.safe_load(spec.read_text().replace(str(original), str(folder))) | changes
    spec.write_text(yaml.safe_dump(values))
    return Finished(workspace, workspace.find(str(spec)), spec, outcome)


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Finished]) -> Finished:
    """What `make` gives, made by one process of the tests. Each process has a copy."""
    parallel = "PYTEST_XDIST_WORKER" in os.environ
    shared = factory.getbasetemp().parent if parallel else factory.getbasetemp()
    original, record = shared / f"once_{name}", shared / f"once_{name}.json"
    with locked(shared / f"once_{name}.lock"):
        if not record.is_file():
            shutil.rmtree(original, ignore_errors=True)  # of a failed attempt
            original.mkdir()
            record.write_text(json.dumps(dataclasses.asdict(make(original).outcome)))
    outcome = RunOutcome(**json.loads(record.read_text()))
    return copied(original, factory.mktemp(name), outcome)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Look, do not touch: all tests share it."""
    return made_once(tmp_path_factory, "finished", lambda folder: run_tiny(folder, databases=True))


@pytest.fixture
def own(finished: Finished, tmp_path: Path) -> Finished:
    """A finished screen of the test's own, to change."""
    assert finished.outcome.success, finished.outcome.error
    return finished.copied(tmp_path)


EMBEDDED = "![preview](data:image/webp;base64,"
"""How a picture begins in the metadata of a run whose instance keeps no files, as the one in memory."""


def has_picture(metadata: object, home: Path) -> bool:
    """Whether a metadata value shows a picture, by the address of a file that Dagster keeps under this folder."""
    match = re.fullmatch(r"!\[preview\]\(/logs/([^/]+)/pictures/([0-9a-f]+)/webp\)", str(metadata))
    if match is None:
        return False
    (file,) = home.rglob(f"{match[1]}/pictures/{match[2]}.webp")
    return file.read_bytes()[8:12] == b"WEBP"


def damage(path: Path) -> None:
    """Cut a file in half."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def add_plate(root: Path, old: str, new: str) -> None:
    """A new plate with the pictures of another, shifted so that no cell is the same, and its rows of the table."""
    shutil.copytree(root / old, root / new)
    for path in (root / new).glob("*.tif"):
        tifffile.imwrite(path, np.roll(tifffile.imread(path), 3, axis=1) + np.uint16(1))
    table = root / "images.csv"
    rows = table.read_text().splitlines()
    table.write_text("\n".join(rows + [row.replace(old, new) for row in rows if old in row]) + "\n")


def write_random_vgg16(path: Path) -> Path:
    """Weights in torchvision's form, of the convolutions alone, that nobody has trained."""
    generator, state, inputs, place = torch.Generator().manual_seed(0), {}, 3, 0
    for filters in _FILTERS:
        if filters == "M":
            place += 1
            continue
        shape = (int(filters), inputs, 3, 3)
        state[f"features.{place}.weight"] = torch.randn(shape, generator=generator) * (2 / 9 / inputs) ** 0.5
        state[f"features.{place}.bias"] = torch.zeros(int(filters))
        inputs, place = int(filters), place + 2
    torch.save(state, path)
    return path


class Extremes(torch.nn.Module):
    """The greatest value and the mean of each plane of an image."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([images.amax(dim=(2, 3)), images.mean(dim=(2, 3))], dim=1)


def write_program(path: Path) -> Path:
    """A program that describes images of any planes by their extremes, as TorchScript."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch recommends torch.export
        torch.jit.save(torch.jit.trace(Extremes(), torch.zeros(2, 3, 8, 8)), str(path))
    return path


@pytest.fixture(scope="session")
def compared(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A tiny screen with every feature set; look, do not touch."""

    def make(folder: Path) -> Finished:
        weights = write_random_vgg16(folder / "vgg16.pth")
        vgg16 = {**EVERYTHING["vgg16"], "weights": str(weights)}
        program = str(write_program(folder / "mine.ts"))
        features = {
            name: {**each, "program": program} if "program" in each else each
            for name, each in FEATURES.items()
        }
        made = finished.copied(folder, baselines={**EVERYTHING, "vgg16": vgg16}, features=features)
        outcome = made.again(baselines=True)
        assert outcome.success, outcome.error
        return made

    return made_once(tmp_path_factory, "compared", make)
