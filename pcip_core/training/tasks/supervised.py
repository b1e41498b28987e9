"""The supervised task, and end-to-end training of the supervised network: the paper's upper baseline."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from pcip_core.crops.pixels import only
from pcip_core.errors import ShapeError, TrainingError
from pcip_core.models.deeploc import DeepLoc, DeepLocConfig, build_deeploc
from pcip_core.models.inference import classify
from pcip_core.models.network import CellNetwork
from pcip_core.spec.training import TrainingConfig
from pcip_core.training.batches import CellBatches, slices
from pcip_core.training.cells import CellSet
from pcip_core.training.loop import Start, train
from pcip_core.training.processes import ALONE, Processes
from pcip_core.training.sampling import draw_kept, draw_order, draw_shifts, draw_turns, hold_out_images
from pcip_core.training.task import Batch, ahead, output_of
from pcip_core.training.tracker import Tracker
from pcip_core.words import many


@dataclass(frozen=True)
class TrainedClassifier:
    """A supervised network, in evaluation mode, and its predictions for the h held-out cells among n cells.

    Attributes:
        network, history, device, precision: as in `TrainedEncoder`.
        held: (n,) bool, the held-out cells. They do not influence the choice of the epoch, so they are an independent
            test set.
        predicted: (h,) predicted class number of each held-out cell, in the order of the cells.
        probabilities: (h, classes) float32.
        accuracy, balanced_accuracy: on the held-out cells; NaN if there are none.
        only_trained: classes without a held-out cell, which have one image, or share images with other classes. The
            balanced accuracy excludes them.
        only_held: classes without a training cell; the predictions for their cells are always wrong.
    """

    network: DeepLoc
    history: list[dict[str, float]]
    device: torch.device
    precision: str
    held: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray
    accuracy: float
    balanced_accuracy: float
    only_trained: tuple[str, ...]
    only_held: tuple[str, ...]


def train_supervised(
    cells: CellSet,
    labels: np.ndarray,
    network: DeepLocConfig,
    config: TrainingConfig,
    *,
    held: np.ndarray | None = None,
    balanced: bool = True,
    tracker: Tracker | None = None,
    checkpoints: Path | None = None,
    start: Start | None = None,
) -> TrainedClassifier:
    """Train the network on labelled cells, and classify the held-out cells.

    Args:
        cells: the crops.
        labels: (n,) number of the class of each cell in `network.classes`.
        network: the configuration of the network.
        config: as for `train`; a last batch of one cell joins the previous batch.
        held: (n,) bool, the held-out cells; by default the cells of `config.validation_fraction` of the images.
        balanced: whether all classes have equal weight in the loss, regardless of their number of cells.
        tracker, checkpoints, start: as for `train`.

    Raises:
        ShapeError: labels or held do not have one entry per cell.
        TrainingError: as for `train`; or a label is not among the classes, the training set has fewer than two
            classes, or batches have one cell, for which batch norm has no variance.

    >>> from pcip_core.training.tracker import SilentTracker
    >>> pixels = (np.arange(1024) % 251).astype(np.uint8).reshape(4, 1, 16, 16)
    >>> cells = CellSet(pixels, np.arange(4), ("protein",))
    >>> network = DeepLocConfig(cells.channels, ("nucleus", "vacuole"), size_px=16, width=0.02)
    >>> config = TrainingConfig(epochs=1, batch_size=4, device="cpu", validation_fraction=0.5)
    >>> result = train_supervised(cells, np.array([0, 0, 1, 1]), network, config, tracker=SilentTracker())
    >>> int(result.held.sum()), result.probabilities.shape
    (2, (2, 2))

    Source: paper, "Supplementary tables", Supervised (End-to-End); network and augmentation of Kraus et al. 2017.
    """
    _check(cells, labels, held, network, config)
    if held is None:
        held = hold_out_images(cells.image, labels, fraction=config.validation_fraction, seed=config.seed)
    _check_classes(labels[~held])
    task = partial(Classification, labels=labels, held=held, balanced=balanced)
    trained = train(cells, network, config, task=task, tracker=tracker, checkpoints=checkpoints, start=start)
    probabilities = classify(
        trained.network,
        only(cells.pixels, held),
        batch_size=config.batch_size,
        device=trained.device,
        precision=trained.precision,
    )
    predicted = probabilities.argmax(1)
    balanced_accuracy, accuracy = _accuracies(labels[held], predicted)
    only_trained, only_held = (
        tuple(network.classes[label] for label in np.setdiff1d(labels[these], labels[~these]))
        for these in (~held, held)
    )
    return TrainedClassifier(
        trained.network,
        trained.history,
        trained.device,
        trained.precision,
        held=held,
        predicted=predicted,
        probabilities=probabilities,
        accuracy=accuracy,
        balanced_accuracy=balanced_accuracy,
        only_trained=only_trained,
        only_held=only_held,
    )


class Classification:
    """Each cell once per epoch, rotated, flipped and shifted; cross-entropy of its class.

    A crop of 64 px is shifted by up to 2 px in each direction (1/32 of other sizes), with its border repeated. This
    is the range of the random crops of 60 px in the publication.
    """

    unit, fewest_rows = "cells", 2

    def __init__(
        self,
        cells: CellSet,
        network: DeepLocConfig,
        config: TrainingConfig,
        device: torch.device,
        *,
        labels: np.ndarray,
        held: np.ndarray,
        balanced: bool,
    ) -> None:
        self.training, self.validation = np.flatnonzero(~held), np.flatnonzero(held)
        digest = hashlib.sha256(labels.astype("<i8").tobytes() + np.packbits(held).tobytes()).hexdigest()[:16]
        self.identity = f"supervised by {digest}, {'balanced' if balanced else 'plain'}"
        self._network, self._config, self._labels = network, config, labels.astype(np.int64)
        self._cells = CellBatches(cells.pixels, device, config.memory_fraction)
        self.streamed = self._cells.streamed
        count = np.bincount(self._labels[self.training], minlength=len(network.classes))
        weights = np.where(count > 0, len(self.training) / np.maximum(count, 1) / (count > 0).sum(), 0)
        self._weights = torch.tensor(weights if balanced else np.ones(len(count)), dtype=torch.float32).to(
            device
        )

    def build(self) -> DeepLoc:
        """Build the untrained network."""
        return build_deeploc(self._network, self._config.seed)

    def batches(self, epoch: int, processes: Processes = ALONE) -> Iterator[Batch]:
        """Yield the training cells, rotated, flipped and shifted, with the units that dropout keeps."""
        n, seed, size = len(self.training), self._config.seed, self._network.size_px
        order = draw_order(n, seed=seed, epoch=epoch)
        turns = draw_turns(n, seed=seed, epoch=epoch)
        shifts = draw_shifts(n, most=size // 32, seed=seed, epoch=epoch)
        for part in slices(n, self._config.batch_size, fewest=2):
            drawn = order[processes.share(part)]
            x = self._cells.warped(
                self.training[drawn],
                turns[drawn, 0],
                _lines(size, turns[drawn, 1], shifts[drawn, 0]),
                _lines(size, turns[drawn, 2], shifts[drawn, 1]),
            )
            kept = draw_kept(drawn, sum(self._network.hidden), seed=seed, epoch=epoch)
            truth = self._truth(self.training[drawn])
            yield Batch((x, self._cells.on_device(kept)), truth, processes.others(part))

    def loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Compute the cross-entropy, weighting each cell by its class; the mean weight of the training cells is 1."""
        return cross_entropy(output, batch.truth, weight=self._weights, reduction="none").mean()

    def validate(
        self, network: CellNetwork, precision: torch.dtype, processes: Processes = ALONE
    ) -> dict[str, float]:
        """Compute the loss and the balanced accuracy on the held-out cells."""
        if not len(self.validation):
            return {}
        truth = self._truth(self.validation)
        output = torch.zeros(len(truth), len(self._network.classes), device=truth.device)
        parts = [processes.share(part) for part in slices(len(truth), self._config.batch_size)]
        batches = (Batch((self._cells.of(self.validation[mine]),), truth[mine]) for mine in parts)
        for mine, batch in zip(parts, ahead(batches, streamed=self.streamed), strict=True):
            logits = output_of(network, batch, precision)
            assert isinstance(logits, torch.Tensor)
            output[mine] = logits
        output = processes.sum(output)  # each row is computed by one process and 0 in the others
        predicted = output.argmax(1).cpu().numpy()
        return {
            "validation_loss": float(self.loss(output, Batch((), truth))),
            "validation_balanced_accuracy": _accuracies(self._labels[self.validation], predicted)[0],
        }

    def preview(self, network: CellNetwork) -> None:
        """Return None: a supervised network has no preview."""

    def _truth(self, cells: np.ndarray) -> torch.Tensor:
        return self._cells.on_device(self._labels[cells])


def _lines(size: int, flip: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Compute the source row (or column) of each row of the result, flipped and then shifted: (B, size)."""
    lines = np.clip(np.arange(size) + shift[:, None], 0, size - 1)
    return np.where(flip[:, None], size - 1 - lines, lines)


def _accuracies(truth: np.ndarray, predicted: np.ndarray) -> tuple[float, float]:
    """Compute the balanced accuracy (mean recall over the classes in `truth`) and the accuracy; NaN without cells."""
    if not len(truth):
        return float("nan"), float("nan")
    hit = truth == predicted
    recalls = [hit[truth == label].mean() for label in np.unique(truth)]
    return float(np.mean(recalls)), float(hit.mean())


def _check(
    cells: CellSet,
    labels: np.ndarray,
    held: np.ndarray | None,
    network: DeepLocConfig,
    config: TrainingConfig,
) -> None:
    n, mask = cells.image.shape, None if held is None else (held.dtype, held.shape)
    if labels.shape != n or labels.dtype.kind not in "iu" or mask not in (None, (np.dtype(bool), n)):
        raise ShapeError(
            "labels",
            found=f"labels {labels.dtype} {labels.shape}, held {mask and f'{mask[0]} {mask[1]}'}",
            required=f"labels integer {n}, held bool {n} or None",
            remedy="Pass one class number and one bool per cell.",
        )
    if labels.min() < 0 or labels.max() >= len(network.classes):
        raise TrainingError(
            "labels",
            found=f"numbers from {labels.min()} to {labels.max()}",
            required=f"0 to {len(network.classes) - 1}, for {len(network.classes)} classes",
            remedy="Number the classes in the order of `classes` of the network.",
        )
    if config.batch_size < 2 or not 0 <= config.validation_fraction < 1:
        raise TrainingError(
            "supervised settings",
            found=f"batch_size {config.batch_size}, validation_fraction {config.validation_fraction}",
            required="batch_size of at least 2, validation_fraction in [0, 1)",
            remedy="Correct `encoder` in the spec.",
        )


def _check_classes(trained_on: np.ndarray) -> None:
    classes = np.unique(trained_on)
    if len(classes) < 2:
        raise TrainingError(
            "labels",
            found=f"{many(len(classes), 'class')} among the {many(len(trained_on), 'training cell')}",
            required="at least two classes",
            remedy="Label cells of another class, or hold out fewer cells.",
        )
