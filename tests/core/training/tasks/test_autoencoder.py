"""The autoencoder in the one loop: it learns, reports, and needs one cell of an image."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from pcip_core.spec.training import Augmentation, EncoderConfig
from pcip_core.training.cells import CellSet
from pcip_core.training.loop import train
from pcip_core.training.sampling import (
    hold_out,
)
from pcip_core.training.tasks.autoencoder import Autoencoding
from tests.core.training.small import AUTOENCODER, CHANNELS, CONFIG, Listener, labelled, trained


def test_autoencoder_learns_and_reports() -> None:
    listener = Listener()
    config = dataclasses.replace(CONFIG, epochs=15, learning_rate=3e-3)
    result = trained("autoencoder", config=config, tracker=listener)
    cells, _ = labelled()
    held = hold_out(cells.image, fraction=0.25, seed=3)
    unit, seen = cells.pixels[held] / 255, cells.pixels[~held] / 255
    by_mean = float(seen.var((0, 2, 3)).mean())  # the loss of predicting each channel's mean
    assert result.history[-1]["loss"] < 0.4 * by_mean
    assert set(result.history[0]) == {"epoch", "loss", "validation_loss", "cells_per_s", "seconds"}
    assert listener.params["validation_cells"] == held.sum()
    shown = listener.previews[15]
    assert shown.source.shape == shown.prediction.shape == (8, 2, 16, 16)
    with torch.no_grad():
        reconstructed = result.network(torch.from_numpy(unit.astype(np.float32))).numpy()
    assert ((reconstructed - unit) ** 2).mean() == pytest.approx(
        result.history[-1]["validation_loss"], rel=1e-4
    )


def test_autoencoder_needs_no_second_cell_of_an_image() -> None:
    cells, _ = labelled()
    alone = CellSet(cells.pixels, np.arange(len(cells.image)), CHANNELS)
    result = train(
        alone, AUTOENCODER, dataclasses.replace(CONFIG, epochs=1), task=Autoencoding, tracker=Listener()
    )
    assert np.isfinite(result.history[0]["loss"])


def test_cells_are_changed_as_the_spec_says() -> None:
    cells, _ = labelled()
    config = EncoderConfig(batch_size=8, validation_fraction=0, augment=Augmentation(intensity=1.0))
    plain = dataclasses.replace(config, augment=Augmentation())
    device = torch.device("cpu")
    (changed,), (as_they_are,) = (
        next(iter(Autoencoding(cells, AUTOENCODER, each, device).batches(1))).inputs
        for each in (config, plain)
    )
    assert not torch.equal(changed, as_they_are)
    low, high = changed.amin((2, 3)), changed.amax((2, 3))  # a power of the intensities keeps 0 and 1
    power = torch.log(changed[as_they_are > 0.1]) / torch.log(as_they_are[as_they_are > 0.1])
    finite = power[torch.isfinite(power)]
    assert low.min() >= 0
    assert high.max() <= 1
    assert 0.5 - 1e-3 <= finite.min() < 0.9 < 1.1 < finite.max() <= 2 + 1e-3
