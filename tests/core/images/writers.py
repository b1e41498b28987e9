"""Screens on disk for the tests of layouts: a spec with some keys changed, and images of noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pcip_core.spec.loading import load_screen
from pcip_core.spec.screen import Screen
from tests.conftest import write_spec


def noise(seed: int, shape: tuple[int, ...] = (24, 32), dtype: type = np.uint16) -> np.ndarray:
    """Random pixels, to compare with the pixels read back."""
    top = min(np.iinfo(dtype).max, 60_000) if np.issubdtype(dtype, np.integer) else 1
    return (np.random.default_rng(seed).random(shape) * top).astype(dtype)


def screen_of(root: Path, files: dict[str, Any], **changes: Any) -> Screen:
    """The tiny screen (channels nucleus and protein) with another layout. Its spec lies next to the root."""
    folder = root.parent / f"{root.name}_spec"
    folder.mkdir(exist_ok=True)
    return load_screen(
        write_spec(folder, root=str(root), images=changes.pop("images", {}), files=files, **changes)
    )
