"""Speed of the designed features: cells per second of each kind, on one core."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.common.harness import Row
from pcip_assets.cli.simulated import ensure_simulated
from pcip_assets.workspace import Workspace
from pcip_core.crops.shard import cut_shard
from pcip_core.features.designed.cellprofiler import measure
from pcip_core.features.designed.classic import classic_features
from pcip_core.features.designed.masks import centre_masks
from pcip_core.features.designed.yeast import yeast_features
from pcip_core.images.layout import scan
from pcip_core.spec.templates import TEMPLATES

DESCRIPTION = "designed features: cells per second of masks, classic, designed and CellProfiler's features"
SECONDS = 30


def run() -> list[Row]:
    """One row a kind, on the cells of one plate of simulated yeast, 64 px, two channels."""
    with tempfile.TemporaryDirectory() as folder:
        screen = Workspace(Path(folder)).find(str(TEMPLATES["simulated_yeast"]))
        ensure_simulated(screen)
        layout = scan(screen)
        cells = cut_shard(screen, layout.of_shard(layout.shards()[0]))
    pixels = np.asarray(cells.pixels)
    crops = (pixels, *(np.asarray(cells.columns[f"intensity_{end}"]) for end in ("min", "max")))
    channels, roles = screen.crop_channels, (screen.crop_channels, screen.structural, screen.protein)
    masks = centre_masks(pixels, channels, "cytosol").masks
    kinds: dict[str, Callable[[], object]] = {
        "masks of centre cells": lambda: centre_masks(pixels, channels, "cytosol"),
        "classic, 32 grey levels": lambda: classic_features(*crops, *roles, levels=32),
        "classic, 256 grey levels": lambda: classic_features(*crops, *roles, levels=256),
        "designed, masks given": lambda: yeast_features(*crops, masks, *roles),
        "cellprofiler by cp_measure, 32 grey levels, masks given": lambda: measure(
            *crops, masks, channels, grey_levels=32
        ),
    }
    return [_timed(what, work, len(pixels)) for what, work in kinds.items()]


def _timed(what: str, work: Callable[[], object], cells: int) -> Row:
    start = time.perf_counter()
    work()
    return Row(f"{what} (SIMULATED yeast, 64 px)", cells / (time.perf_counter() - start), "cells/s", n=cells)
