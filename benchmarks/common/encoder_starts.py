"""Other starts for real human cells: encoders of more varied simulated cells, larger crops, larger networks.

What is chosen among them must not be chosen on the cells that it is reported on. The montages of each class therefore
have two halves, and the score of one half chooses. The cells of all other montages vote in both.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.common.encoder_scores import KNN, LOGISTIC, PRIOR, UNITS, Labelled, neighbour_votes
from benchmarks.common.encoder_screens import Cells
from benchmarks.common.encoder_trainings import Trained, described, network_for, trained
from benchmarks.common.harness import Row
from benchmarks.common.varied_cells import halved
from pcip_core.evaluation.classifiers import balanced_accuracy, cross_validated
from pcip_core.models.pairs import PairedCells
from pcip_core.spec.recipes import RECIPES
from pcip_core.spec.training import Augmentation, EncoderConfig
from pcip_core.training.cells import CellSet
from pcip_core.training.loop import TrainedEncoder, train
from pcip_core.training.task import TaskKind
from pcip_core.training.tasks.pairs import Pairs, network_and_task
from pcip_core.training.tracker import SilentTracker

_AGREEMENT = RECIPES["agreement"] | {
    "augment": Augmentation(**RECIPES["agreement"]["augment"]),
    "projector": EncoderConfig.projector,  # the starts came before longer vectors
}
_FOLDS = 5
CHOICE, REST = "half that chooses", "other half"
State = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Candidate:
    """An encoder of simulated cells that could be a start.

    Attributes:
        size_px: side of the crops, 64 or 128.
        stages, width: of the network.
        epochs, learning_rate: of its training on simulated cells.
        start: the shipped start from which this training begins, or `none`.
        every: only every so many of the simulated images are drawn.
    """

    size_px: int = 64
    stages: int = 5
    width: float = 0.25
    epochs: int = 12
    learning_rate: float = 1e-3
    start: str = "none"
    every: int = 1

    def config(self, **others: Any) -> EncoderConfig:
        """The settings of a training of this encoder."""
        own = {key: getattr(self, key) for key in ("width", "stages", "epochs", "learning_rate", "start")}
        return EncoderConfig(
            **{**_AGREEMENT, **own, "precision": "bf16", "validation_fraction": 0.02, **others}
        )


CANDIDATES = {
    "shipped start, continued with varied cells": Candidate(
        epochs=6, learning_rate=3e-4, start="simulated_human", every=4
    ),
    "varied cells, 64 px": Candidate(),
    "varied cells, 128 px": Candidate(size_px=128, stages=6),
    "varied cells, 128 px, width 0.5": Candidate(size_px=128, stages=6, width=0.5),
}


def first_half(cells: Labelled) -> np.ndarray:
    """Every other group of each class, in the order of their names: (n,) bool.

    >>> first_half(Labelled(np.array(["a", "a", "a", "b"]), np.array([3, 3, 5, 4]))).tolist()
    [True, True, False, True]
    """
    chosen = np.zeros(len(cells.labels), bool)
    for label in np.unique(cells.labels):
        here = cells.labels == label
        chosen |= here & np.isin(cells.groups, np.unique(cells.groups[here])[::2])
    return chosen


def half_scores(features: np.ndarray, cells: Labelled) -> dict[str, dict[str, float]]:
    """Way -> balanced accuracy of all cells, of the half that chooses, and of the other half.

    Args:
        features: (n, d).
        cells: the cells, whose groups have one class each.
    """
    values, half = features[:, features.std(0) > 0], first_half(cells)
    folds = min(_FOLDS, len(np.unique(cells.groups)))
    fitted = cross_validated(
        values, cells.labels, classifier="logistic", groups=cells.groups, folds=folds, threads=1
    )
    predicted = {KNN: neighbour_votes(values, cells.labels, cells.groups)[0], LOGISTIC: fitted.predicted}
    parts = {"all": np.ones(len(half), bool), CHOICE: half, REST: ~half}
    return {
        way: {name: balanced_accuracy(cells.labels[part], each[part]) for name, part in parts.items()}
        for way, each in predicted.items()
    }


def uncertainty(
    features: np.ndarray, cells: Labelled, *, draws: int = 999, seed: int = 0
) -> dict[str, float]:
    """Way -> standard error of the balanced accuracy, if other groups of the same classes had been drawn.

    Groups are drawn with replacement within each class; the predictions stay as they are.
    """
    values = features[:, features.std(0) > 0]
    fitted = cross_validated(
        values, cells.labels, classifier="logistic", groups=cells.groups, folds=_FOLDS, threads=1
    )
    predicted = {KNN: neighbour_votes(values, cells.labels, cells.groups)[0], LOGISTIC: fitted.predicted}
    rng, classes = np.random.default_rng(seed), np.unique(cells.labels)
    errors = {}
    for way, each in predicted.items():
        recalls = []
        for label in classes:
            groups = np.unique(cells.groups[cells.labels == label])
            hits = np.array([(each[cells.groups == group] == label).mean() for group in groups])
            recalls.append(hits[rng.integers(len(hits), size=(draws, len(hits)))].mean(1))
        errors[way] = float(np.mean(recalls, axis=0).std())
    return errors


def trained_start(cells: CellSet, candidate: Candidate, seed: int = 0) -> tuple[State, float]:
    """Train an encoder of simulated cells of 128 px, or of half the size; its weights, and processor time in s."""
    crops = cells if candidate.size_px == cells.pixels.shape[-1] else halved(cells)
    config, size = candidate.config(seed=seed), crops.pixels.shape[-1]
    shape, task = network_and_task(
        config, crops.channels, crops.channels[:-1], crops.channels[-1:], size, images=0
    )
    start = time.process_time()
    result = train(crops, shape, config, task=task, tracker=SilentTracker())
    return result.network.state_dict(), time.process_time() - start


def from_state(state: State) -> TaskKind:
    """The tasks on pairs, of a network that starts from given weights."""

    class Started(Pairs):
        def build(self) -> PairedCells:
            network = super().build()
            network.load_state_dict(dict(state))
            return network

    return Started


def tuned(cells: Cells, candidate: Candidate, state: State, *, epochs: int, seed: int = 0) -> Trained:
    """Train on real cells from the weights of a candidate, or with 0 epochs describe them by it as it is."""
    rate = RECIPES["small_screen"]["learning_rate"]
    config = candidate.config(
        epochs=max(epochs, 1), learning_rate=rate, seed=seed, start="none", validation_fraction=0.1
    )
    task = from_state(state)
    if epochs:
        return trained(cells, config, task=task)
    device = torch.device("cpu")
    shape, _ = network_for(cells, config)
    network = task(cells.crops, shape, config, device).build().eval()  # type: ignore[attr-defined]
    return described(cells, TrainedEncoder(network, [], device, "bf16"), config.layer, 0.0)


def half_rows(about: str, features: np.ndarray, cells: Labelled, note: str = "") -> Iterator[Row]:
    """One row per way and half."""
    for way, by_part in half_scores(features, cells).items():
        for part, value in by_part.items():
            yield Row(f"{about}, {part}, {way}{note}", value, UNITS[way], n=len(cells.labels))


def recall_rows(about: str, features: np.ndarray, cells: Labelled) -> Iterator[Row]:
    """The share of the cells of each class that 11-NN finds, plain and corrected for the sizes of the classes."""
    values = features[:, features.std(0) > 0]
    for way, predicted in zip((KNN, PRIOR), neighbour_votes(values, cells.labels, cells.groups), strict=True):
        for label in np.unique(cells.labels):
            here = cells.labels == label
            images = len(np.unique(cells.groups[here]))
            found = float((predicted[here] == label).mean())
            yield Row(f"{about}, {way}: {label}, {images} montages", found, "recall", n=int(here.sum()))
