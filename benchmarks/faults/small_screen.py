"""A screen of a few drawn cells: a run of it takes seconds."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import yaml

IMAGES = 2  # per plate, of nine cells each
_SPEC: dict[str, Any] = {
    "organism": "none (drawn discs)",
    "channels": {"nucleus": {"role": "structural"}, "protein": {"role": "protein"}},
    "files": {"pattern": "{plate}/{well}_f{field}_{channel}.tif", "image_id": "{plate}_{well}"},
    "images": {"table": "images.csv"},
    "shards": {"by": "{plate}"},
    "segmentation": {"method": "otsu", "options": {"channel": "nucleus", "min_area_px": 40}},
    "crops": {"window_px": 32, "size_px": 16, "min_cells": 2},
    "encoder": {"width": 0.05, "epochs": 2, "batch_size": 8, "precision": "float32"},
    "benchmark": {"ks": [3]},
}


def write_screen(folder: Path, *, name: str = "small", plates: int = 2) -> Path:
    """Write images, table and spec of a screen under a folder; return the path of the spec."""
    root = folder / f"{name}_images"
    root.mkdir(parents=True)
    with (root / "images.csv").open("w", newline="") as file:
        csv.writer(file).writerow(("image_id", "protein", "localization"))
    for number in range(1, plates + 1):
        add_plate(root, number)
    spec = folder / f"{name}.yaml"
    spec.write_text(yaml.safe_dump({"name": name, "root": str(root), **_SPEC}, sort_keys=False))
    return spec


def add_plate(root: Path, number: int) -> None:
    """Write the images of a plate, which depend on its number alone, and its rows of the table."""
    rng, plate = np.random.default_rng(number), f"plate_{number}"
    (root / plate).mkdir()
    with (root / "images.csv").open("a", newline="") as file:
        for image in range(IMAGES):
            row = (f"{plate}_A0{image}", f"P{image}", "Nucleoplasm" if image % 2 else "Cytosol")
            csv.writer(file).writerow(row)
            for channel, plane in _field(rng, inside=image % 2 == 1).items():
                tifffile.imwrite(root / plate / f"A0{image}_f1_{channel}.tif", plane)


def _field(rng: np.random.Generator, *, inside: bool) -> dict[str, np.ndarray]:
    """Nine discs in 160 px; the protein is in them or in a ring around them."""
    y, x = np.mgrid[:160, :160]
    planes = {channel: rng.normal(100, 3, (160, 160)) for channel in ("nucleus", "protein")}
    for middle in np.stack(np.meshgrid([35, 80, 125], [35, 80, 125]), -1).reshape(-1, 2):
        away = np.hypot(*(np.stack([y, x], -1) - middle - rng.uniform(-4, 4, 2)).transpose(2, 0, 1))
        planes["nucleus"] += 800 * (away < 7)
        planes["protein"] += 600 * (away < 6 if inside else (away > 9) & (away < 12))
    return {channel: plane.astype(np.uint16) for channel, plane in planes.items()}
