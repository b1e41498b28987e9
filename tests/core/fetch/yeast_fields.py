"""A part of a yeast screen as its archive unpacks, of random pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile


def write_fields(
    folder: Path, proteins: int, fields: int, channels: tuple[str, ...] = ("rfp", "gfp")
) -> None:
    """Write the fields of some proteins, one file per channel."""
    rng = np.random.default_rng(0)
    (folder / "plate_1").mkdir(parents=True)
    for protein in range(proteins):
        for number in range(1, fields + 1):
            for channel in channels:
                pixels = rng.integers(0, 4000, (16, 16)).astype(np.uint16)
                name = f"YBR{protein:03d}W-A_{number}_{channel}.tif"
                tifffile.imwrite(folder / "plate_1" / name, pixels)
