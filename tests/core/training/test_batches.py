"""Batches of pairs against naive loops; crops in files give the bits of those in memory."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pcip_core.crops.pixels import ShardedPixels
from pcip_core.training import batches
from pcip_core.training.batches import CellBatches, PairBatches, epoch_pairs, slices
from pcip_core.training.cells import CellSet
from pcip_core.training.loop import train
from pcip_core.training.task import ahead
from pcip_core.training.tasks.autoencoder import Autoencoding
from pcip_core.training.tasks.inpainting import Inpainting
from pcip_core.training.tasks.supervised import train_supervised
from pcip_core.training.tracker import SilentTracker
from tests.core.training.small import AUTOENCODER, CHANNELS, CONFIG, DEEPLOC, INPAINTING, cells

NETWORKS = {"inpainting": INPAINTING, "autoencoder": AUTOENCODER, "supervised": DEEPLOC}
HELD = dataclasses.replace(CONFIG, epochs=2)
STREAMED = dataclasses.replace(HELD, memory_fraction=0.0)
IMAGE = np.arange(50) % 10


def test_an_epoch_takes_each_cell_once_as_the_source() -> None:
    image = np.repeat(np.arange(5), 7)
    source, target, flips = epoch_pairs(image, seed=0, epoch=1)
    assert sorted(source) == list(range(35))
    assert (image[source] == image[target]).all()
    assert (source != target).all()
    assert flips.shape == (35, 4)


def test_batches_equal_a_naive_loop() -> None:
    data = cells()
    batches = PairBatches(data.pixels, INPAINTING, torch.device("cpu"))
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


@pytest.mark.parametrize(("kind", "task"), [("inpainting", Inpainting), ("autoencoder", Autoencoding)])
def test_streamed_batches_are_those_from_memory(
    kind: str, task: Any, pixels: np.ndarray, files: list[Path]
) -> None:
    cpu = torch.device("cpu")
    held = task(CellSet(pixels, IMAGE, CHANNELS), NETWORKS[kind], HELD, cpu)
    loaded = task(CellSet(ShardedPixels(files), IMAGE, CHANNELS), NETWORKS[kind], HELD, cpu)
    streamed = task(CellSet(ShardedPixels(files), IMAGE, CHANNELS), NETWORKS[kind], STREAMED, cpu)
    assert [data.streamed for data in (held, loaded, streamed)] == [False, False, True]
    for other in (loaded, streamed):
        pairs = zip(held.batches(1), ahead(other.batches(1), streamed=other.streamed), strict=True)
        for a, b in pairs:
            assert all(map(torch.equal, (*a.inputs, a.truth), (*b.inputs, b.truth)))


@pytest.mark.parametrize("kind", ["inpainting", "supervised"])
def test_streamed_training_ends_at_the_same_bits(kind: str, pixels: np.ndarray, files: list[Path]) -> None:
    results = []
    for crops, config in ((pixels, HELD), (ShardedPixels(files), STREAMED)):
        cells = CellSet(crops, IMAGE, CHANNELS)
        if kind == "inpainting":
            results.append(train(cells, NETWORKS[kind], config, tracker=SilentTracker()))
        else:
            results.append(
                train_supervised(cells, IMAGE % 2, NETWORKS[kind], config, tracker=SilentTracker())
            )
    first, second = results
    for name, value in first.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name]), name
    assert [row["validation_loss"] for row in first.history] == [
        row["validation_loss"] for row in second.history
    ]
    if kind == "supervised":
        assert np.array_equal(first.probabilities, second.probabilities)


def test_larger_than_memory_is_streamed(
    pixels: np.ndarray, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu, sharded = torch.device("cpu"), ShardedPixels(files)
    monkeypatch.setattr(batches, "free_memory", lambda: 2 * pixels.nbytes)
    assert not CellBatches(sharded, cpu, 0.51).streamed
    assert CellBatches(sharded, cpu, 0.49).streamed
    assert not CellBatches(pixels, cpu, 0.0).streamed  # is in memory already


def test_a_last_batch_that_is_too_small_joins_the_previous_batch() -> None:
    assert slices(9, 4, fewest=2) == [slice(0, 4), slice(4, 9)]
    assert slices(10, 4, fewest=2) == [slice(0, 4), slice(4, 8), slice(8, 10)]
    assert slices(9, 4) == [slice(0, 4), slice(4, 8), slice(8, 9)]
    assert slices(1, 4, fewest=2) == [slice(0, 1)]
