"""Training: resumed equals uninterrupted, the loss falls, bad numbers stop it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pcip_core.errors import ShapeError, TrainingError
from pcip_core.models.inpainting import NetworkConfig
from pcip_core.spec.training import TrainingConfig
from pcip_core.training.batches import PairBatches, epoch_pairs
from pcip_core.training.cells import CellSet
from pcip_core.training.loop import train
from pcip_core.training.sampling import hold_out
from pcip_core.training.tasks import inpainting
from pcip_core.training.tracker import Preview

CHANNELS = ("cytosol", "protein")
NETWORK = NetworkConfig(CHANNELS, ("cytosol",), ("protein",), size_px=16, width=0.06)
CONFIG = TrainingConfig(epochs=4, batch_size=8, learning_rate=1e-3, preview_every=2, width=0.06, seed=3)


class Listener:
    """Keeps what it hears; raises KeyboardInterrupt after an epoch if it is told to."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.params: dict[str, Any] = {}
        self.epochs: list[int] = []
        self.previews: dict[int, Preview] = {}
        self.batches: list[tuple[int, int, int]] = []
        self._stop_after = stop_after

    def start(self, params: Mapping[str, Any]) -> None:
        self.params = dict(params)

    def batch(self, epoch: int, done: int, total: int) -> None:
        self.batches.append((epoch, done, total))
        if self._stop_after is not None and epoch > self._stop_after and done > total / 2:
            raise KeyboardInterrupt

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
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


def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path: Path) -> None:
    whole = train(cells(), NETWORK, CONFIG, tracker=Listener(), checkpoints=None)
    stopped = Listener(stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        train(cells(), NETWORK, CONFIG, tracker=stopped, checkpoints=tmp_path)
    assert stopped.epochs == [1, 2]
    listener = Listener()
    resumed = train(cells(), NETWORK, CONFIG, tracker=listener, checkpoints=tmp_path)
    assert listener.epochs == [3, 4]
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name
    losses = [[row["loss"] for row in one.history] for one in (whole, resumed)]
    assert losses[0] == losses[1]


def test_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    train(cells(), NETWORK, dataclasses.replace(CONFIG, epochs=1), tracker=Listener(), checkpoints=tmp_path)
    with pytest.raises(TrainingError, match="other settings"):
        train(cells(), NETWORK, dataclasses.replace(CONFIG, seed=9), tracker=Listener(), checkpoints=tmp_path)


def test_loss_falls_and_everything_is_reported() -> None:
    listener = Listener()
    data = cells()
    trained = train(data, NETWORK, dataclasses.replace(CONFIG, epochs=30), tracker=listener)
    losses = [row["loss"] for row in trained.history]
    best_constant = float((data.pixels[:, 1] / 255).var())  # the loss of predicting the mean everywhere
    assert losses[-1] < 0.75 * best_constant
    assert set(trained.history[0]) == {"epoch", "loss", "validation_loss", "pairs_per_s", "seconds"}
    assert listener.params["training_cells"] + listener.params["validation_cells"] == 48
    assert listener.params["seed"] == 3
    assert sorted(listener.previews) == list(range(2, 31, 2))
    shown = listener.previews[30]
    assert shown.source.shape == shown.target.shape == (*shown.prediction.shape[:1], 2, 16, 16)
    assert not trained.network.training


def test_held_out_cells_are_never_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[int] = set()
    original = PairBatches.of

    def spy(
        self: PairBatches, source: np.ndarray, target: np.ndarray, flips: np.ndarray | None = None
    ) -> Any:
        if flips is not None:
            seen.update(source.tolist(), target.tolist())
        return original(self, source, target, flips)

    monkeypatch.setattr(PairBatches, "of", spy)
    data = cells()
    train(data, NETWORK, dataclasses.replace(CONFIG, validation_fraction=0.25), tracker=Listener())
    held = hold_out(data.image, fraction=0.25, seed=CONFIG.seed)
    assert held.any()
    assert seen == set(np.flatnonzero(~held).tolist())


def test_nan_loss_stops_with_a_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(prediction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return ((prediction - truth) ** 2).mean() * float("nan")

    monkeypatch.setattr(inpainting, "mse_loss", broken)
    with pytest.raises(TrainingError, match=r"epoch 1: found a loss of nan.*learning_rate"):
        train(cells(), NETWORK, CONFIG, tracker=Listener(), checkpoints=tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_epoch_takes_each_cell_once_as_the_source() -> None:
    image = np.repeat(np.arange(5), 7)
    source, target, flips = epoch_pairs(image, seed=0, epoch=1)
    assert sorted(source) == list(range(35))
    assert (image[source] == image[target]).all()
    assert (source != target).all()
    assert flips.shape == (35, 4)


def test_batches_equal_a_naive_loop() -> None:
    data = cells()
    batches = PairBatches(data.pixels, NETWORK, torch.device("cpu"))
    source, target, flips = epoch_pairs(data.image, seed=0, epoch=1)
    x, markers, truth = batches.of(source, target, flips)
    for n in range(len(source)):
        first, second = data.pixels[source[n]] / 255, data.pixels[target[n]] / 255
        first = first[:, ::-1] if flips[n, 0] else first
        first = first[:, :, ::-1] if flips[n, 1] else first
        second = second[:, ::-1] if flips[n, 2] else second
        second = second[:, :, ::-1] if flips[n, 3] else second
        assert np.allclose(x[n], first)
        assert np.allclose(markers[n], second[:1])
        assert np.allclose(truth[n], second[1:])


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"device": "cuda:7"}, "device 'cuda:7'"),
        ({"device": "abacus"}, "device 'abacus'"),
        ({"precision": "int4"}, "precision 'int4'"),
        ({"epochs": 0}, "epochs 0"),
    ],
)
def test_settings_that_cannot_be(change: dict[str, Any], found: str) -> None:
    with pytest.raises(TrainingError, match=found):
        train(cells(), NETWORK, dataclasses.replace(CONFIG, **change), tracker=Listener())


def test_other_channels_and_bad_arrays_are_refused() -> None:
    data = cells()
    with pytest.raises(TrainingError, match="found channels"):
        train(CellSet(data.pixels, data.image, ("red", "green")), NETWORK, CONFIG, tracker=Listener())
    with pytest.raises(ShapeError, match="found pixels float32"):
        CellSet(data.pixels.astype(np.float32), data.image, CHANNELS)
