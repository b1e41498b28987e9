"""Fixtures shared by all tests: where the real images lie, and a tiny screen on disk."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # several processes of tests share the cores

import numpy as np
import pytest
import tifffile
import torch
import yaml

torch.set_num_threads(1)  # networks in tests are so small that threads only wait for each other
REPOSITORY = Path(__file__).resolve().parents[1]
REAL = REPOSITORY.parent / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the folders with slow files first: otherwise one process would work on the last of them alone."""
    first = ("tests/end_to_end/", "tests/assets/", "tests/benchmarks/")
    items.sort(
        key=lambda item: next((n for n, name in enumerate(first) if item.nodeid.startswith(name)), len(first))
    )


def real_folder(name: str) -> Path:
    """A folder of real images, or a skipped test."""
    folder = REAL / name
    if not folder.is_dir():
        pytest.skip(f"the real images are not here ({folder}); they cannot be distributed with pcip")
    return folder


TINY_SPEC = {
    "name": "tiny",
    "organism": "Homo sapiens",
    "channels": {"nucleus": {"role": "structural"}, "protein": {"role": "protein"}},
    "files": {"pattern": "{plate}/{well}_f{field}_{channel}.tif", "image_id": "{plate}_{well}"},
    "images": {"table": "images.csv"},
    "shards": {"by": "{plate}"},
    "segmentation": {"method": "otsu", "options": {"channel": "nucleus", "min_area_px": 40}},
    "crops": {"window_px": 32, "size_px": 16, "min_cells": 2},
    "encoder": {"width": 0.05, "epochs": 2, "batch_size": 8, "preview_every": 1, "precision": "float32"},
    "benchmark": {"ks": [1, 3]},
}


def draw_field(rng: np.random.Generator, *, in_nucleus: bool) -> dict[str, np.ndarray]:
    """A 160 px field of nine round nuclei on a jittered grid; the protein fills or surrounds them."""
    y, x = np.mgrid[:160, :160]
    planes = {name: rng.normal(100, 3, (160, 160)) for name in ("nucleus", "protein")}
    for row in (35, 80, 125):
        for column in (35, 80, 125):
            cy, cx = row + rng.uniform(-4, 4), column + rng.uniform(-4, 4)
            distance = np.hypot(y - cy, x - cx)
            planes["nucleus"] += 800 * (distance < 7)
            planes["protein"] += 600 * ((distance < 6) if in_nucleus else (distance > 9) & (distance < 12))
    return {name: np.clip(plane, 0, 65535).astype(np.uint16) for name, plane in planes.items()}


def write_tiny_screen(folder: Path, *, plates: int = 2, images: int = 4, **changes: object) -> Path:
    """Write a tiny screen of two classes and its spec; returns the spec's path."""
    root = folder / "images"
    rng = np.random.default_rng(7)
    rows = ["image_id,protein,gene,cell_line,localization"]
    for plate in range(1, plates + 1):
        (root / f"plate_{plate}").mkdir(parents=True)
        for number in range(images):
            in_nucleus = number % 2 == 0
            well = f"A{number + 1:02d}"
            term = "Nucleoplasm" if in_nucleus else "Cytosol"
            rows.append(f"plate_{plate}_{well},P{plate}{number},G{number},line,{term}")
            for name, plane in draw_field(rng, in_nucleus=in_nucleus).items():
                tifffile.imwrite(root / f"plate_{plate}" / f"{well}_f1_{name}.tif", plane)
    (root / "images.csv").write_text("\n".join(rows) + "\n")
    return write_spec(folder, root=str(root), **changes)


def write_spec(folder: Path, **changes: object) -> Path:
    """The tiny spec with some keys changed; a value of None removes the key."""
    spec = {key: value for key, value in {**TINY_SPEC, **changes}.items() if value is not None}
    path = folder / f"{spec['name']}.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


@pytest.fixture
def tiny_spec(tmp_path: Path) -> Path:
    """The spec of a tiny screen of two plates, four images each."""
    return write_tiny_screen(tmp_path)
