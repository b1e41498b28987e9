"""The autoencoder in the one loop: it learns, reports, and needs one cell of an image."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

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
