"""Crops in many files: indexing and training give the same results as with one array in memory."""

from __future__ import annotations

import dataclasses
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from pcip_core.crops.pixels import ShardedPixels, free_memory
from pcip_core.errors import CropError, TrainingError
from pcip_core.models.autoencoder import AutoencoderConfig
from pcip_core.models.deeploc import DeepLocConfig
from pcip_core.models.inpainting import NetworkConfig
from pcip_core.spec.training import TrainingConfig
from pcip_core.training import batches
from pcip_core.training.cells import CellSet
from pcip_core.training.loop import train
from pcip_core.training.task import Batch, ahead
from pcip_core.training.tasks.autoencoder import Autoencoding
from pcip_core.training.tasks.inpainting import Inpainting
from pcip_core.training.tasks.supervised import train_supervised
from pcip_core.training.tracker import SilentTracker

CHANNELS = ("cytosol", "protein")
SHAPES = {
    "inpainting": NetworkConfig(CHANNELS, ("cytosol",), ("protein",), size_px=16, width=0.06),
    "autoencoder": AutoencoderConfig(CHANNELS, size_px=16, width=0.06),
    "supervised": DeepLocConfig(CHANNELS, ("a", "b"), size_px=16, width=0.06),
}
CONFIG = TrainingConfig(epochs=2, batch_size=8, width=0.06, validation_fraction=0.25)
STREAMED = dataclasses.replace(CONFIG, memory_fraction=0.0)
IMAGE = np.arange(50) % 10


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (50, 2, 16, 16)).astype(np.uint8)


@pytest.fixture
def files(pixels: np.ndarray, tmp_path: Path) -> list[Path]:
    """The same crops as shards of 20, 1, 0 and 29."""
    paths = []
    for number, part in enumerate(np.split(pixels, [20, 21, 21])):
        paths.append(tmp_path / f"{number}.npy")
        np.save(paths[-1], part)
    return paths


def test_crops_in_files_are_the_array(pixels: np.ndarray, files: list[Path]) -> None:
    sharded = ShardedPixels(files)
    assert (sharded.shape, sharded.dtype, sharded.ndim) == (pixels.shape, pixels.dtype, pixels.ndim)
    assert (len(sharded), sharded.nbytes) == (50, pixels.nbytes)
    some = np.random.default_rng(1).integers(0, 50, 200)
    mask = some[:50] > 20
    assert np.array_equal(sharded[some], pixels[some])
    assert np.array_equal(sharded[18:40], pixels[18:40])
    assert np.array_equal(sharded[:], pixels)
    assert np.array_equal(sharded.only(mask)[:], pixels[mask])
    assert np.array_equal(
        sharded.only(some).only(mask.nonzero()[0])[1:9], pixels[some][mask.nonzero()[0]][1:9]
    )
    with pytest.raises(IndexError):
        sharded[np.array([50])]


def test_crops_in_files_are_pickled_as_file_names(pixels: np.ndarray, files: list[Path]) -> None:
    some = np.array([49, 3])
    packed = pickle.dumps(ShardedPixels(files).only(some))
    assert len(packed) < pixels.nbytes / 20
    assert np.array_equal(pickle.loads(packed)[:], pixels[some])


def test_unusable_files_are_refused(files: list[Path]) -> None:
    with pytest.raises(CropError, match="found none"):
        ShardedPixels([])
    with pytest.raises(CropError, match=r"absent\.npy: found no readable array"):
        ShardedPixels([*files, files[0].with_name("absent.npy")])
    other = files[0].with_name("other.npy")
    np.save(other, np.zeros((3, 2, 8, 8), np.uint8))
    with pytest.raises(CropError, match=r"\(n, 2, 16, 16\).*\(n, 2, 8, 8\)|\(n, 2, 8, 8\).*\(n, 2, 16, 16\)"):
        ShardedPixels([*files, other])
    cells = CellSet(ShardedPixels(files), IMAGE, CHANNELS)
    with pytest.raises(TrainingError, match="memory_fraction 2"):
        train(cells, SHAPES["inpainting"], dataclasses.replace(CONFIG, memory_fraction=2))


@pytest.mark.parametrize(("kind", "task"), [("inpainting", Inpainting), ("autoencoder", Autoencoding)])
def test_streamed_batches_are_those_from_memory(
    kind: str, task: Any, pixels: np.ndarray, files: list[Path]
) -> None:
    cpu = torch.device("cpu")
    held = task(CellSet(pixels, IMAGE, CHANNELS), SHAPES[kind], CONFIG, cpu)
    loaded = task(CellSet(ShardedPixels(files), IMAGE, CHANNELS), SHAPES[kind], CONFIG, cpu)
    streamed = task(CellSet(ShardedPixels(files), IMAGE, CHANNELS), SHAPES[kind], STREAMED, cpu)
    assert [data.streamed for data in (held, loaded, streamed)] == [False, False, True]
    for other in (loaded, streamed):
        pairs = zip(held.batches(1), ahead(other.batches(1), streamed=other.streamed), strict=True)
        for a, b in pairs:
            assert all(map(torch.equal, (*a.inputs, a.truth), (*b.inputs, b.truth)))


@pytest.mark.parametrize("kind", ["inpainting", "supervised"])
def test_streamed_training_ends_at_the_same_bits(kind: str, pixels: np.ndarray, files: list[Path]) -> None:
    results = []
    for crops, config in ((pixels, CONFIG), (ShardedPixels(files), STREAMED)):
        cells = CellSet(crops, IMAGE, CHANNELS)
        if kind == "inpainting":
            results.append(train(cells, SHAPES[kind], config, tracker=SilentTracker()))
        else:
            results.append(train_supervised(cells, IMAGE % 2, SHAPES[kind], config, tracker=SilentTracker()))
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
    assert not batches.CellBatches(sharded, cpu, 0.51).streamed
    assert batches.CellBatches(sharded, cpu, 0.49).streamed
    assert not batches.CellBatches(pixels, cpu, 0.0).streamed  # is in memory already


def test_free_memory_is_at_most_what_is_available(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = free_memory()
    assert 0 < alone <= 1.2 * psutil.virtual_memory().available
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert free_memory() <= alone / 2


def test_batches_made_ahead_keep_order_and_errors() -> None:
    def numbered(n: int) -> Iterator[Batch]:
        for number in range(n):
            yield Batch((), torch.tensor([number]))
        raise ValueError("the last one")

    made = ahead(numbered(20), streamed=True)
    assert [int(next(made).truth) for _ in range(20)] == list(range(20))
    with pytest.raises(ValueError, match="the last one"):
        next(made)
    before = threading.active_count()
    made = ahead(numbered(20), streamed=True)
    assert int(next(made).truth) == 0
    assert threading.active_count() == before + 1
    made.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_batches_made_ahead_take_no_thread_from_the_network() -> None:
    def threads() -> Iterator[Batch]:
        for _ in range(8):
            yield Batch((), torch.tensor([torch.get_num_threads()]))

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        made = ahead(threads(), streamed=True)
        first = int(next(made).truth)
        with ThreadPoolExecutor(1) as another:
            assert another.submit(torch.get_num_threads).result() == 2
        assert torch.get_num_threads() == 2
        assert [first, *(int(batch.truth) for batch in made)] == [1] * 8
        assert [int(batch.truth) for batch in ahead(threads(), streamed=False)] == [2] * 8
    finally:
        torch.set_num_threads(before)
