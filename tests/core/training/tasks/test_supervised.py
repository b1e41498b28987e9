"""The supervised network in the one loop: what it learns, augments, weighs and refuses."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from pcip_core.errors import ShapeError, TrainingError
from pcip_core.models.deeploc import DeepLocConfig
from pcip_core.training.batches import CellBatches
from pcip_core.training.cells import CellSet
from pcip_core.training.loop import train
from pcip_core.training.sampling import (
    draw_order,
    draw_shifts,
    draw_turns,
)
from pcip_core.training.tasks.autoencoder import Autoencoding
from pcip_core.training.tasks.supervised import Classification, train_supervised
from tests.core.training.small import AUTOENCODER, CHANNELS, CONFIG, DEEPLOC, Listener, labelled, trained


def test_supervised_predicts_classes_of_held_out_images() -> None:
    cells, labels = labelled()
    listener = Listener()
    config = dataclasses.replace(CONFIG, epochs=8, learning_rate=3e-3)
    result = trained("supervised", config=config, tracker=listener)
    assert result.balanced_accuracy > 0.95
    assert set(np.unique(cells.image[result.held])).isdisjoint(cells.image[~result.held])
    truth = labels[result.held]
    assert result.predicted.tolist() == result.probabilities.argmax(1).tolist()
    assert result.accuracy == pytest.approx(accuracy_score(truth, result.predicted))
    assert result.balanced_accuracy == pytest.approx(balanced_accuracy_score(truth, result.predicted))
    last = result.history[-1]
    assert last["validation_balanced_accuracy"] == pytest.approx(result.balanced_accuracy)
    chance = result.probabilities[np.arange(len(truth)), truth]
    assert last["validation_loss"] == pytest.approx(
        -np.log(chance).mean(), rel=1e-3
    )  # classes alike in number
    assert set(last) == {
        *("epoch", "loss", "validation_loss", "validation_balanced_accuracy", "cells_per_s", "seconds")
    }
    assert not listener.previews
    assert result.only_trained == result.only_held == ()
    assert not result.network.training


def test_shuffled_labels_give_chance() -> None:
    cells, labels = labelled(images=40)
    shuffled = np.repeat(np.random.default_rng(1).permutation(labels[::6]), 6)  # whole images, 10 of 40 held
    config = dataclasses.replace(CONFIG, epochs=3, learning_rate=3e-3, batch_size=16)
    accuracies = [
        train_supervised(
            cells, shuffled, DEEPLOC, dataclasses.replace(config, seed=seed), tracker=Listener()
        ).balanced_accuracy
        for seed in range(4)
    ]
    assert abs(np.mean(accuracies) - 0.5) < 0.2  # 40 images: an error of 0.08


def test_weights_balance_a_rare_class() -> None:
    cells, labels = labelled()
    rare = (labels == 0) | (cells.image < 2)  # class 1 is one image of 6 cells, class 0 has 36
    few = CellSet(cells.pixels[rare], cells.image[rare], CHANNELS)
    held = np.zeros(len(few.image), bool)
    output, truth = torch.randn(42, 2), torch.from_numpy(labels[rare])
    losses = torch.nn.functional.cross_entropy(output, truth, reduction="none")
    for balanced, expected in (
        (True, (losses[truth == 0].mean() + losses[truth == 1].mean()) / 2),
        (False, losses.mean()),
    ):
        task = Classification(
            few, DEEPLOC, CONFIG, torch.device("cpu"), labels=labels[rare], held=held, balanced=balanced
        )
        batch = next(iter(task.batches(1)))._replace(truth=truth)
        assert float(task.loss(output, batch)) == pytest.approx(float(expected), rel=1e-5)


def test_classes_only_in_training_or_test_set_are_reported() -> None:
    cells, labels = labelled()
    network = dataclasses.replace(DEEPLOC, classes=("spot", "ring", "lone"))
    labels = np.where(cells.image == 0, 2, labels)
    config = dataclasses.replace(CONFIG, epochs=1)
    result = train_supervised(cells, labels, network, config, tracker=Listener())
    assert result.only_trained == ("lone",)
    assert not result.held[cells.image == 0].any()
    result = train_supervised(cells, labels, network, config, held=cells.image < 2, tracker=Listener())
    assert result.only_held == ("lone",)
    assert result.predicted.shape == (12,)
    none = dataclasses.replace(config, validation_fraction=0.0)
    result = train_supervised(cells, labels, network, none, tracker=Listener())
    assert np.isnan(result.balanced_accuracy)
    assert "validation_loss" not in result.history[0]


def test_a_last_batch_of_one_joins_the_previous_batch() -> None:
    config = dataclasses.replace(CONFIG, epochs=1, batch_size=53)  # 54 cells are trained on
    assert np.isfinite(trained("supervised", config=config).history[0]["loss"])


def test_held_cells_are_never_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[int] = set()
    original = CellBatches.warped

    def spy(self: CellBatches, cells: np.ndarray, *how: np.ndarray) -> torch.Tensor:
        seen.update(cells.tolist())
        return original(self, cells, *how)

    monkeypatch.setattr(CellBatches, "warped", spy)
    result = trained("supervised")
    assert result.held.any()
    assert seen == set(np.flatnonzero(~result.held).tolist())


def test_turned_flipped_and_shifted_cells_equal_a_naive_loop() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 2, 64, 64)).astype(np.uint8)
    cells = CellSet(pixels, np.arange(40) // 2, CHANNELS)
    network = DeepLocConfig(CHANNELS, ("a", "b"), 64, 0.06)
    config = dataclasses.replace(CONFIG, batch_size=40)
    task = Classification(
        cells,
        network,
        config,
        torch.device("cpu"),
        labels=np.arange(40) % 2,
        held=np.zeros(40, bool),
        balanced=True,
    )
    (x, keep), truth, *_ = next(iter(task.batches(1)))
    order = draw_order(40, seed=3, epoch=1)
    turns, shifts = draw_turns(40, seed=3, epoch=1), draw_shifts(40, most=2, seed=3, epoch=1)
    for place, n in enumerate(order):
        crop = pixels[n].transpose(0, 2, 1) if turns[n, 0] else pixels[n]
        crop = crop[:, ::-1] if turns[n, 1] else crop
        crop = crop[:, :, ::-1] if turns[n, 2] else crop
        down, across = shifts[n]
        wide = np.pad(crop, ((0, 0), (2, 2), (2, 2)), mode="edge")
        expected = wide[:, 2 + down : 66 + down, 2 + across : 66 + across]
        assert np.allclose(x[place], expected / 255), n
        assert int(truth[place]) == n % 2
    assert set(map(tuple, shifts)) <= {(a, b) for a in range(-2, 3) for b in range(-2, 3)}
    assert keep.shape == (40, sum(network.hidden))


def test_invalid_labels_raise() -> None:
    cells, labels = labelled()
    fit = partial(train_supervised, cells, network=DEEPLOC, config=CONFIG, tracker=Listener())
    with pytest.raises(TrainingError, match=r"1 class among"):
        fit(labels=np.zeros_like(labels))
    with pytest.raises(TrainingError, match=r"1 class among"):
        fit(labels=labels, held=labels == 1)
    with pytest.raises(ShapeError, match=r"labels int64 \(71,\)"):
        fit(labels=labels[1:])
    with pytest.raises(ShapeError, match="labels float64"):
        fit(labels=labels / 1)
    with pytest.raises(ShapeError, match="held int64"):
        fit(labels=labels, held=labels)
    with pytest.raises(TrainingError, match="numbers from 1 to 2"):
        fit(labels=labels + 1)
    with pytest.raises(TrainingError, match="batch_size 1"):
        fit(labels=labels, config=dataclasses.replace(CONFIG, batch_size=1))
    other = dataclasses.replace(DEEPLOC, channels=("red", "green"))
    with pytest.raises(TrainingError, match="found channels"):
        fit(labels=labels, network=other)
    wrong = dataclasses.replace(AUTOENCODER, channels=("red", "green"))
    with pytest.raises(TrainingError, match="found channels"):
        train(cells, wrong, CONFIG, task=Autoencoding, tracker=Listener())
