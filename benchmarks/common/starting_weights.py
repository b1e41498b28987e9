"""Make the encoders that a training can start from (`encoder.start`), from simulated cells alone.

Run `python -m benchmarks.common.starting_weights [NAME ...]`. It trains with the settings of the simulated screen's
shipped spec on the cells that the demo processes first, writes `pcip_core/models/starts/NAME.safetensors`, and prints
the digest that belongs into `DIGESTS`. Machines that compute alike give equal weights; others differ by rounding.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save

from benchmarks.common.encoder_screens import Cells, cells_of
from pcip_core.models.starts import starting
from pcip_core.training.loop import train
from pcip_core.training.tasks.pairs import network_and_task
from pcip_core.training.tracker import SilentTracker

FOLDER = Path(starting.__file__).parent


def main(names: list[str]) -> None:
    """Train and write the starts of these names, by default all."""
    torch.set_num_threads(1)
    for name in names or starting.DIGESTS:
        content = trained_weights(cells_of(name, None))
        (FOLDER / f"{name}.safetensors").write_bytes(content)
        print(f"{name}: {len(content):,} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}", flush=True)


def trained_weights(cells: Cells) -> bytes:
    """Train an encoder on all cells, and return the state of its source encoder as a safetensors file.

    The metadata of the file hold the screen, the settings, and the number of cells.
    """
    images = int(cells.crops.image.max()) + 1
    shape, task = network_and_task(
        cells.encoder,
        cells.crops.channels,
        cells.structural,
        ("protein",),
        cells.pixels.shape[-1],
        images=images,
    )
    trained = train(cells.crops, shape, cells.encoder, task=task, tracker=SilentTracker())
    state = {name: values.contiguous() for name, values in trained.network.source.state_dict().items()}
    metadata = {
        "screen": f"{cells.screen}, simulated images alone",
        "cells": str(len(cells.crops.image)),
        "images": str(images),
        "channels": ",".join(cells.crops.channels),
        "settings": json.dumps(asdict(cells.encoder)),
    }
    return save(state, metadata)


if __name__ == "__main__":
    main(sys.argv[1:])
