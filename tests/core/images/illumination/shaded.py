"""Fields with a known shading, as a camera with an offset and photon noise records them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from scipy.ndimage import gaussian_filter

OFFSET = 100


def shading(side: int = 128) -> np.ndarray:
    """A shading with mean 1, darkest in one corner: (side, side) from about 0.5 to 1.2."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side - 0.5
    surface = 1.15 - 1.1 * (x**2 + y**2) + 0.15 * x - 0.1 * y
    return surface / surface.mean()


def draw(rng: np.random.Generator, surface: np.ndarray, *, cells: int = 6) -> np.ndarray:
    """A field of diffuse background and round cells under this shading, uint16."""
    side = len(surface)
    spots = np.zeros_like(surface)
    np.add.at(spots, tuple(rng.integers(0, side, (2, cells))), rng.gamma(4, 0.25, cells))
    signal = 200 + gaussian_filter(spots, 4, mode="wrap") * 2 * np.pi * 16 * 900
    return (OFFSET + rng.poisson(signal * surface)).astype(np.uint16)


def write_shaded(root: Path, surface: np.ndarray, *, fields: int, cells: int = 6) -> None:
    """A plate of fields of the channels nucleus and protein with this shading."""
    rng = np.random.default_rng(5)
    (root / "P1").mkdir(parents=True)
    for number in range(fields):
        for channel in ("nucleus", "protein"):
            path = root / "P1" / f"A{number % 12 + 1:02d}_{number // 12 + 1}_{channel}.tif"
            tifffile.imwrite(path, draw(rng, surface, cells=cells))
