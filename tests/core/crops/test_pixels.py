"""Crops in many files: indexing gives the same results as with one array in memory."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import psutil
import pytest

from pcip_core.crops.pixels import ShardedPixels, free_memory
from pcip_core.errors import CropError


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


def test_free_memory_is_at_most_what_is_available(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = free_memory()
    assert 0 < alone <= 1.2 * psutil.virtual_memory().available
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert free_memory() <= alone / 2
