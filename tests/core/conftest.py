"""Fixtures of several folders: random crops, in an array and in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def pixels() -> np.ndarray:
    """50 random crops of two channels."""
    return np.random.default_rng(0).integers(0, 256, (50, 2, 16, 16)).astype(np.uint8)


@pytest.fixture
def files(pixels: np.ndarray, tmp_path: Path) -> list[Path]:
    """The same crops as shards of 20, 1, 0 and 29."""
    paths = []
    for number, part in enumerate(np.split(pixels, [20, 21, 21])):
        paths.append(tmp_path / f"{number}.npy")
        np.save(paths[-1], part)
    return paths
