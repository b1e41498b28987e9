"""One tiny screen brought from images to benchmark through Dagster, once for all tests that look at it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from pcip_assets import tracking
from pcip_assets.cli.run import RunOutcome, run_screen
from pcip_assets.workspace import Workspace
from pcip_core.spec.screen import Screen
from pcip_core.store.partitions import Store
from pcip_core.store.paths import asset_of
from tests.conftest import write_tiny_screen

tracking.SYSTEM_METRICS_EVERY_S = 0.2  # trainings here last a second
QUICK = {
    **{"grey_levels": 8, "folds": 2, "trees": 5, "classifiers": ["classic"], "held_fraction": 0.25},
    "umap": {"cell_neighbours": 10, "protein_neighbours": 3},
    "pairwise": {"same": 50, "each_other": 50, "by_line": 50, "min_proteins": 2, "bootstraps": 50},
}
DESIGNED = ("classic", "designed", "cellprofiler")
EVERYTHING = {
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
_FILTERS = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512)


@dataclass(frozen=True)
class Finished:
    """A workspace after its first run."""

    workspace: Workspace
    screen: Screen
    spec: Path
    outcome: RunOutcome

    @property
    def store(self) -> Store:
        return Store(self.workspace.store)

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
        return run_screen(self.workspace, self.workspace.find(str(self.spec)), **options)  # type: ignore[arg-type]


def run_tiny(folder: Path, **changes: object) -> Finished:
    """Write a tiny screen under a folder and run it."""
    spec = write_tiny_screen(folder, **changes)
    workspace = Workspace(folder / "data")
    screen = workspace.find(str(spec))
    return Finished(workspace, screen, spec, run_screen(workspace, screen))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Look, do not touch: all tests share it."""
    return run_tiny(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def own(tmp_path: Path) -> Finished:
    """A finished screen of the test's own, to change."""
    made = run_tiny(tmp_path)
    assert made.outcome.success, made.outcome.error
    return made


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


@pytest.fixture(scope="session")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A tiny screen with every feature set; look, do not touch."""
    folder = tmp_path_factory.mktemp("compared")
    write_random_vgg16(folder / "vgg16.pth")
    made = run_tiny(
        folder,
        baselines=EVERYTHING,
    )
    assert made.outcome.success, made.outcome.error
    outcome = made.again(baselines=True)
    assert outcome.success, outcome.error
    return made
