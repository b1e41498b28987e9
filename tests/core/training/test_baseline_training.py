"""The autoencoder and the supervised network in the one loop: they learn, resume and repeat exactly."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from pcip_core.errors import ShapeError, TrainingError
from pcip_core.models.autoencoder import AutoencoderConfig
from pcip_core.models.deeploc import DeepLocConfig
from pcip_core.spec.training import TrainingConfig
from pcip_core.training.batches import CellBatches, slices
from pcip_core.training.cells import CellSet
from pcip_core.training.loop import train
from pcip_core.training.sampling import (
    draw_kept,
    draw_order,
    draw_shifts,
    draw_turns,
    hold_out,
    hold_out_images,
)
from pcip_core.training.tasks.autoencoder import Autoencoding
from pcip_core.training.tasks.supervised import Classification, train_supervised
from pcip_core.training.tracker import Preview

CHANNELS = ("cytosol", "protein")
AUTOENCODER = AutoencoderConfig(CHANNELS, size_px=16, width=0.06)
DEEPLOC = DeepLocConfig(CHANNELS, ("spot", "ring"), size_px=16, width=0.06)
CONFIG = TrainingConfig(
    epochs=4, batch_size=8, learning_rate=1e-3, preview_every=2, width=0.06, seed=3, validation_fraction=0.25
)


class Listener:
    """Keeps what it hears; raises KeyboardInterrupt in the epoch after one if it is told to."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.params: dict[str, Any] = {}
        self.epochs: list[int] = []
        self.previews: dict[int, Preview] = {}
        self._stop_after = stop_after

    def start(self, params: Any) -> None:
        self.params = dict(params)

    def batch(self, epoch: int, done: int, total: int) -> None:
        if self._stop_after is not None and epoch > self._stop_after and done > total / 2:
            raise KeyboardInterrupt

    def epoch(self, number: int, metrics: Any) -> None:
        self.epochs.append(number)

    def preview(self, number: int, preview: Preview) -> None:
        self.previews[number] = preview


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
    """A short training of either kind."""
    cells, labels = labelled()
    config = kwargs.pop("config", CONFIG)
    kwargs.setdefault("tracker", Listener())
    if kind == "autoencoder":
        return train(cells, AUTOENCODER, config, task=Autoencoding, **kwargs)
    return train_supervised(cells, labels, DEEPLOC, config, **kwargs)


def weights(one: Any) -> list[np.ndarray]:
    return [value.numpy() for value in one.network.state_dict().values()]


def without_speed(one: Any) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if "seconds" not in k and "_per_s" not in k} for row in one.history]


def same(one: Any, other: Any) -> bool:
    equal = all(np.array_equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))
    return equal and without_speed(one) == without_speed(other)


@pytest.mark.parametrize("kind", ["autoencoder", "supervised"])
def test_resumed_equals_uninterrupted_bit_for_bit(kind: str, tmp_path: Path) -> None:
    whole = trained(kind)
    with pytest.raises(KeyboardInterrupt):
        trained(kind, tracker=Listener(stop_after=2), checkpoints=tmp_path)
    torch.rand(5)  # torch's global random state plays no part
    listener = Listener()
    resumed = trained(kind, tracker=listener, checkpoints=tmp_path)
    assert listener.epochs == [3, 4]
    assert same(whole, resumed)
    assert same(whole, trained(kind))
    assert not same(whole, trained(kind, config=dataclasses.replace(CONFIG, seed=4)))


def test_a_checkpoint_belongs_to_its_task_and_its_labels(tmp_path: Path) -> None:
    cells, labels = labelled()
    config = dataclasses.replace(CONFIG, epochs=1)
    told = partial(train_supervised, cells, network=DEEPLOC, config=config, checkpoints=tmp_path)
    told(labels=labels, tracker=Listener())
    told(labels=labels, tracker=Listener())
    with pytest.raises(TrainingError, match="other settings: supervised"):
        told(labels=1 - labels, tracker=Listener())
    with pytest.raises(TrainingError, match="other settings: supervised"):
        told(labels=labels, balanced=False, tracker=Listener())
    with pytest.raises(TrainingError, match="other settings: supervised"):
        trained("autoencoder", config=config, checkpoints=tmp_path)


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


def test_supervised_tells_classes_of_images_never_seen() -> None:
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


def test_weights_make_a_rare_class_count_alike() -> None:
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


def test_classes_on_one_side_only_are_stated() -> None:
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


def test_a_last_batch_of_one_joins_the_one_before() -> None:
    assert slices(9, 4, fewest=2) == [slice(0, 4), slice(4, 9)]
    assert slices(10, 4, fewest=2) == [slice(0, 4), slice(4, 8), slice(8, 10)]
    assert slices(9, 4) == [slice(0, 4), slice(4, 8), slice(8, 9)]
    assert slices(1, 4, fewest=2) == [slice(0, 1)]
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
    ((x, keep), truth, _) = next(iter(task.batches(1)))
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


def test_draws_are_even_and_keyed() -> None:
    n = 40_000
    turns = draw_turns(n, seed=0, epoch=1)
    assert (abs(turns.mean(0) - 0.5) < 0.015).all()
    assert (abs(np.corrcoef(turns.T) - np.eye(3)) < 0.02).all()
    shifts = draw_shifts(n, most=2, seed=0, epoch=1)
    for axis in (0, 1):
        counts = np.bincount(shifts[:, axis] + 2, minlength=5)
        assert (abs(counts - n / 5) < 5 * (n / 5) ** 0.5).all()
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.02
    assert not draw_shifts(10, most=0, seed=0, epoch=1).any()
    kept = draw_kept(np.arange(2000), 100, seed=0, epoch=1)
    assert kept.shape == (2000, 100)
    assert (abs(kept.mean(0) - 0.5) < 0.06).all()
    assert abs(np.corrcoef(kept.T) - np.eye(100)).max() < 0.12
    some = np.array([7, 3])
    assert np.array_equal(draw_kept(some, 100, seed=0, epoch=1), kept[some])  # whatever the batch
    assert not np.array_equal(draw_kept(some, 100, seed=0, epoch=2), kept[some])


def test_images_are_held_out_whole_by_class() -> None:
    rng = np.random.default_rng(0)
    of_image = np.repeat(np.arange(4), (40, 10, 2, 1))  # a class each
    image = rng.permutation(np.repeat(np.arange(53), 5))
    labels = of_image[image]
    held = hold_out_images(image, labels, fraction=0.2, seed=0)
    for one in range(53):
        assert len(set(held[image == one])) == 1
    counts = [len(set(image[held & (labels == one)])) for one in range(4)]
    assert counts == [8, 2, 1, 0]
    assert np.array_equal(hold_out_images(image, labels, fraction=0.2, seed=0), held)
    assert not np.array_equal(hold_out_images(image, labels, fraction=0.2, seed=1), held)
    assert not hold_out_images(image, labels, fraction=0.0, seed=0).any()


def test_images_of_several_classes_leave_each_class_one_to_train_on() -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        image, labels = rng.integers(0, 12, 60), rng.integers(0, 8, 60)
        held = hold_out_images(image, labels, fraction=0.5, seed=seed)
        assert set(labels[~held]) == set(labels)
        assert set(image[held]).isdisjoint(image[~held])


def test_labels_that_cannot_be() -> None:
    cells, labels = labelled()
    fit = partial(train_supervised, cells, network=DEEPLOC, config=CONFIG, tracker=Listener())
    with pytest.raises(TrainingError, match=r"1 class\(es\) among"):
        fit(labels=np.zeros_like(labels))
    with pytest.raises(TrainingError, match=r"1 class\(es\) among"):
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
