"""A screen of which the objects are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from skimage.measure import label

from pcip_core.spec.loading import load_screen
from tests.conftest import draw_field, write_spec

MASKED = {
    "nucleus": {"role": "structural"},
    "protein": {"role": "protein"},
    "mask": {"role": "labels"},
}
CROPS = {"window_px": 32, "size_px": 16, "min_cells": 2}


def drawn_fields(root: Path, fields: int = 2) -> list[np.ndarray]:
    """Write the fields of one well with their label images; return the true labels."""
    root.mkdir()
    rng, truth = np.random.default_rng(3), []
    for number in range(1, fields + 1):
        planes = draw_field(rng, in_nucleus=True)
        truth.append(label(planes["nucleus"] > 500))
        planes["mask"] = (truth[-1] * 7).astype(np.uint16)  # numbers with gaps
        for name, plane in planes.items():
            tifffile.imwrite(root / f"p_A01_f{number}_{name}.tif", plane)
    return truth


def masked_screen(folder: Path, **changes: object):
    files = {"pattern": "{plate}_{well}_f{field}_{channel}.tif", "image_id": "{plate}_{well}"}
    changes = {"files": files, "channels": MASKED, "images": {}, "crops": CROPS} | changes
    return load_screen(write_spec(folder, root=str(folder / "images"), **changes))
