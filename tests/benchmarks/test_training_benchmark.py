"""The benchmark of training, at a tiny size: each row is there, and what is counted is counted right."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.common import authors
from benchmarks.speed import training
from pcip_core.crops.pixels import ShardedPixels

TINY = training.network(("nucleus", "protein"), 0.06, 16)


def test_operations_are_those_of_the_layers() -> None:
    shape = training.network(("nucleus", "microtubules", "protein"), 1.0)
    side = 64
    # input and output channels, pixels of the output, weights of each output pixel, whether its input has a gradient
    layers = [
        *[(3, 96, side, 9, False), (96, 256, side // 2, 9, True), (256, 384, side // 4, 9, True)],
        *[(384, 384, side // 4, 9, True), (384, 256, side // 4, 9, True)],
        *[(2, 16, side, 9, False), (16, 32, side // 2, 9, True), (32, 32, side // 4, 9, True)],
        *[(288, 256, side // 4, 9, True), (256, 384, side // 4, 9, True), (384, 384, side // 4, 9, True)],
        *[(384, 256, side // 2, 4, True), (256, 96, side, 4, True), (96, 1, side, 1, True)],
    ]  # the two folded ones: 4 of 16 weights meet a pixel
    expected = sum((3 if grad else 2) * 2 * a * b * s * s * taps for a, b, s, taps, grad in layers)
    assert training.operations(shape) == pytest.approx(expected, rel=0.01)


def test_loop_and_files_are_timed_against_their_twins() -> None:
    for row, least in (
        (training.loop_against_bare(TINY, batch=4, steps=2, repeats=3), 0.97),
        (training.streamed_against_held(TINY, batch=4, steps=4, repeats=3), 0.9),
    ):
        assert row.value is not None
        assert row.ratio is not None
        assert row.value > 0
        assert row.held == (row.ratio >= least)
        assert row.n == 3


def test_the_ratio_is_of_neighbouring_repeats() -> None:
    row = training.against("a", ([1.0, 20.0, 9.0], [2.0, 10.0, 10.0]), "b", 0.9)
    assert row.ratio == 0.9  # of 0.5, 2 and 0.9
    assert row.spread == (0.5, 2.0)
    assert row.held
    turns: list[str] = []

    def ours() -> float:
        turns.append("ours")
        return 1.0

    def other() -> float:
        turns.append("other")
        return 2.0

    assert training.compared(ours, other, 2) == ([1.0, 1.0], [2.0, 2.0])
    assert turns == ["other", "ours"] * 2


def test_files_hold_the_crops(tmp_path: Path) -> None:
    pixels = np.asarray(training.drawn(TINY, 21).pixels)
    files = training.in_files(pixels, tmp_path, 4)
    training.forget(files)
    assert np.array_equal(ShardedPixels(files)[:], pixels)


def test_two_processes_are_compared_with_one() -> None:
    row = training.two_processes_against_one(TINY, cells=24, epochs=1)
    assert row.value is not None
    assert row.against_value is not None
    assert row.value < 1e-5
    assert 0 < row.against_value < 1e-5
    assert row.held == (row.value <= 3 * row.against_value)


def test_without_the_authors_code_the_rows_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(authors.AUTHORS, raising=False)
    monkeypatch.setattr(training, "choose_device", lambda _: torch.device("cpu"))
    rows = training.beside_the_authors(batch=4, steps=3)
    assert [(row.value, row.held, row.aim) for row in rows] == [
        (None, None, "at least 1.2 of it"),
        (None, None, None),
    ]
    assert all("not run: needs a checkout" in row.what for row in rows)


def test_crops_are_laid_as_the_authors_loader_reads_them(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 64, 64)).astype(np.uint8)
    authors.write_crops(tmp_path, pixels, np.array([0, 0, 1, 1, 1]))
    found = sorted((tmp_path / "toy_dataset").glob("protein_1/*.tif"))
    assert [file.stem for file in found] == [f"{n}_{c}" for n in (2, 3, 4) for c in ("blue", "green", "red")]
    read = np.array(Image.open(tmp_path / "toy_dataset" / "protein_1" / "3_green.tif"))
    assert (read.dtype, read.shape) == (np.float32, (128, 128))
    assert np.array_equal((read[1::2, ::2] * 255).round(), pixels[3, 2])


def test_what_a_process_of_its_own_prints() -> None:
    with pytest.raises(RuntimeError, match=f"KeyError.*{authors.AUTHORS}|No module named 'keras'"):
        authors.alone(authors.trained, ".", 1, 4)


def test_rows_of_a_gpu() -> None:
    row = training.share_of_peak("x", "NVIDIA H200", 989e12 * 0.5 / 2e10, 2e10)
    assert row.ratio == pytest.approx(0.5)
    assert row.held
    assert not training.share_of_peak("x", "NVIDIA H100 80GB HBM3", 989e12 * 0.3 / 2e10, 2e10).held
    assert training.share_of_peak("x", "another", 1.0, 1.0).held is None
    row = training.all_epochs("x", 30 * 1_165_713 / 60 / 30, 200_000)
    assert row.value == pytest.approx(30)
    assert row.held
    if not torch.cuda.is_available():
        rows = training.on_gpu(TINY, batch=4, cells=8)
        assert [(row.value, row.held) for row in rows] == [(None, None)] * 3
        assert all("no GPU here" in row.what for row in rows)


def test_losses_are_compared_relatively() -> None:
    one = [{"loss": 1.0, "validation_loss": 2.0}, {"loss": 1.0, "validation_loss": 3.0}]
    other = [{"loss": 1.1, "validation_loss": 2.0}, {"loss": 1.0, "validation_loss": 4.0}]
    assert math.isclose(training.largest_difference(one, other), 0.25)
