"""The task of the supervised network, and its training end to end: the paper's upper baseline."""

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
from pcip_core.training.loop import train
from pcip_core.training.processes import ALONE, Processes
from pcip_core.training.sampling import draw_kept, draw_order, draw_shifts, draw_turns, hold_out_images
from pcip_core.training.task import Batch, ahead, output_of
from pcip_core.training.tracker import Tracker


@dataclass(frozen=True)
class TrainedClassifier:
    """A supervised network, in evaluation mode, and what it says of the cells held out (h of n).

    Attributes:
        network, history, device: as of `TrainedEncoder`.
        held: (n,) bool, the cells held out. No epoch is chosen by them, so that they are a fair test.
        predicted: (h,) class number that the network gives each held cell, in the cells' order.
        probabilities: (h, classes) float32.
        accuracy, balanced_accuracy: of the held cells; NaN when there are none.
        only_trained: classes without a held cell: of one image, or of images that others needed. The
            balanced accuracy is without them.
        only_held: classes that the network never saw; their cells count as wrong.
    """

    network: DeepLoc
    history: list[dict[str, float]]
    device: torch.device
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
) -> TrainedClassifier:
    """Train the network on labelled cells, and classify the cells held out.

    Args:
        cells: the crops.
        labels: (n,) number of each cell's class in `network.classes`.
        network: the network's shape.
        config: as of `train`; a last batch of one cell joins the one before.
        held: (n,) bool, cells not to train on; by default `config.validation_fraction` of the images.
        balanced: weigh each class alike in the loss, however many cells it has.
        tracker, checkpoints: as of `train`.

    Raises:
        ShapeError: labels or held are not one a cell.
        TrainingError: as `train`; a label is not among the classes, fewer than two classes are trained on,
            or batches are of one cell, of which batch norm knows no variance.

    Source: paper, "Supplementary tables", Supervised (End-to-End); network and augmentation of Kraus et al. 2017.
    """
    _check(cells, labels, held, network, config)
    if held is None:
        held = hold_out_images(cells.image, labels, fraction=config.validation_fraction, seed=config.seed)
    _check_classes(labels[~held])
    task = partial(Classification, labels=labels, held=held, balanced=balanced)
    trained = train(cells, network, config, task=task, tracker=tracker, checkpoints=checkpoints)
    probabilities = classify(
        trained.network, only(cells.pixels, held), batch_size=config.batch_size, device=trained.device
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
        held=held,
        predicted=predicted,
        probabilities=probabilities,
        accuracy=accuracy,
        balanced_accuracy=balanced_accuracy,
        only_trained=only_trained,
        only_held=only_held,
    )


class Classification:
    """Each cell once an epoch, turned, flipped and shifted; cross-entropy of its class.

    A crop of 64 px is shifted by up to 2 px each way (of other sizes by 1/32), its edge repeated: as far as
    the publication's random cuts of 60 px go.
    """

    unit = "cells"

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
        """The untrained network."""
        return build_deeploc(self._network, self._config.seed)

    def batches(self, epoch: int, processes: Processes = ALONE) -> Iterator[Batch]:
        """The cells trained on, turned, flipped and shifted, with the units to keep."""
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
        """Cross-entropy, each cell weighted by its class; the weights of the cells trained on have mean 1."""
        return cross_entropy(output, batch.truth, weight=self._weights, reduction="none").mean()

    def validate(
        self, network: CellNetwork, precision: torch.dtype, processes: Processes = ALONE
    ) -> dict[str, float]:
        """Loss and balanced accuracy of the cells held out."""
        if not len(self.validation):
            return {}
        truth = self._truth(self.validation)
        output = torch.zeros(len(truth), len(self._network.classes), device=truth.device)
        parts = [processes.share(part) for part in slices(len(truth), self._config.batch_size)]
        batches = (Batch((self._cells.of(self.validation[mine]),), truth[mine]) for mine in parts)
        for mine, batch in zip(parts, ahead(batches, streamed=self.streamed), strict=True):
            output[mine] = output_of(network, batch, precision)
        output = processes.sum(output)  # of rows that one process has and the others left 0
        predicted = output.argmax(1).cpu().numpy()
        return {
            "validation_loss": float(self.loss(output, Batch((), truth))),
            "validation_balanced_accuracy": _accuracies(self._labels[self.validation], predicted)[0],
        }

    def preview(self, network: CellNetwork) -> None:
        """Nothing to look at."""

    def _truth(self, cells: np.ndarray) -> torch.Tensor:
        return self._cells.on_device(self._labels[cells])


def _lines(size: int, flip: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """(B, size) which line of a crop comes where, flipped and then shifted, the edge repeated."""
    lines = np.clip(np.arange(size) + shift[:, None], 0, size - 1)
    return np.where(flip[:, None], size - 1 - lines, lines)


def _accuracies(truth: np.ndarray, predicted: np.ndarray) -> tuple[float, float]:
    """Balanced accuracy (the mean recall of the classes in `truth`) and accuracy; NaN of no cells."""
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
            remedy="Pass one class number, and one mark, for each cell.",
        )
    if labels.min() < 0 or labels.max() >= len(network.classes):
        raise TrainingError(
            "labels",
            found=f"numbers from {labels.min()} to {labels.max()}",
            required=f"0 to {len(network.classes) - 1}, for {len(network.classes)} classes",
            remedy="Number the classes as `classes` of the network names them.",
        )
    if config.batch_size < 2 or not 0 <= config.validation_fraction < 1:
        raise TrainingError(
            "supervised settings",
            found=f"batch_size {config.batch_size}, validation_fraction {config.validation_fraction}",
            required="batch_size of 2 or more, validation_fraction in [0, 1)",
            remedy="Correct `encoder` in the spec.",
        )


def _check_classes(trained_on: np.ndarray) -> None:
    classes = np.unique(trained_on)
    if len(classes) < 2:
        raise TrainingError(
            "labels",
            found=f"{len(classes)} class(es) among the {len(trained_on)} cells to train on",
            required="two or more",
            remedy="Label cells of another class, or hold fewer out.",
        )
