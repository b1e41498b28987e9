"""Small networks, cells from which they can learn, and a tracker that keeps its reports."""

from __future__ import annotations

from typing import Any

import numpy as np

from pcip_core.models.autoencoder import AutoencoderConfig
from pcip_core.models.deeploc import DeepLocConfig
from pcip_core.models.inpainting import NetworkConfig
from pcip_core.spec.training import TrainingConfig
from pcip_core.training.cells import CellSet
from pcip_core.training.loop import train
from pcip_core.training.tasks.autoencoder import Autoencoding
from pcip_core.training.tasks.supervised import train_supervised
from pcip_core.training.tracker import Preview

CHANNELS = ("cytosol", "protein")
AUTOENCODER = AutoencoderConfig(CHANNELS, size_px=16, width=0.06)
DEEPLOC = DeepLocConfig(CHANNELS, ("spot", "ring"), size_px=16, width=0.06)
INPAINTING = NetworkConfig(CHANNELS, ("cytosol",), ("protein",), size_px=16, width=0.06)
CONFIG = TrainingConfig(
    **{"epochs": 4, "batch_size": 8, "learning_rate": 1e-3, "preview_every": 2, "width": 0.06, "seed": 3},
    validation_fraction=0.25,
    precision="float32",
)


class Listener:
    """Keeps all reports; raises KeyboardInterrupt in the epoch after `stop_after`."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.params: dict[str, Any] = {}
        self.epochs: list[int] = []
        self.previews: dict[int, Preview] = {}
        self.batches: list[tuple[int, int, int]] = []
        self.resumed_after: tuple[int, int] | None = None
        self._stop_after = stop_after

    def start(self, params: Any) -> None:
        self.params = dict(params)

    def resumed(self, epoch: int, epochs: int) -> None:
        self.resumed_after = (epoch, epochs)

    def batch(self, epoch: int, done: int, total: int) -> None:
        self.batches.append((epoch, done, total))
        if self._stop_after is not None and epoch > self._stop_after and done > total / 2:
            raise KeyboardInterrupt

    def epoch(self, number: int, metrics: Any) -> None:
        self.epochs.append(number)

    def preview(self, number: int, preview: Preview) -> None:
        self.previews[number] = preview


def cells(images: int = 6, each: int = 8) -> CellSet:
    """Cells of images in which the protein fills the left or the right half of the marker's disc."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:16, :16]
    pixels = np.zeros((images * each, 2, 16, 16), np.uint8)
    image = np.repeat(np.arange(images), each)
    for n in range(len(pixels)):
        cy, cx = rng.uniform(6, 10, 2)
        disc = np.hypot(y - cy, x - cx) < 5
        pixels[n, 0] = 200 * disc + rng.integers(0, 20, (16, 16))
        pixels[n, 1] = 220 * (disc & ((y < cy) if image[n] % 2 else (np.hypot(y - cy, x - cx) < 2)))
    return CellSet(pixels, image, CHANNELS)


def labelled(images: int = 12, each: int = 6) -> tuple[CellSet, np.ndarray]:
    """Cells of images whose protein is a spot in the marker's disc (class 0) or a ring around it (class 1)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:16, :16]
    image = np.repeat(np.arange(images), each)
    labels = image % 2
    pixels = np.zeros((len(image), 2, 16, 16), np.uint8)
    for n, label in enumerate(labels):
        distance = np.hypot(y - rng.uniform(6, 10), x - rng.uniform(6, 10))
        pixels[n, 0] = 200 * (distance < 5) + rng.integers(0, 20, (16, 16))
        pixels[n, 1] = 220 * ((distance > 3) & (distance < 5) if label else distance < 2)
        pixels[n, 1] += rng.integers(0, 20, (16, 16)).astype(np.uint8)
    return CellSet(pixels, image, CHANNELS), labels


def trained(kind: str, **kwargs: Any) -> Any:
    """A short training of a baseline on labelled cells."""
    cells, labels = labelled()
    config = kwargs.pop("config", CONFIG)
    kwargs.setdefault("tracker", Listener())
    if kind == "autoencoder":
        return train(cells, AUTOENCODER, config, task=Autoencoding, **kwargs)
    return train_supervised(cells, labels, DEEPLOC, config, **kwargs)
