"""Trainings of encoders for their benchmark, and the scores of each layer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from benchmarks.common.encoder_scores import KNN, LOGISTIC, PLATE, PRIOR, RETRIEVAL, scores_of
from benchmarks.common.encoder_screens import Cells
from pcip_core.models.inference import extract_features
from pcip_core.models.inpainting import NetworkConfig
from pcip_core.spec.training import Augmentation, EncoderConfig
from pcip_core.training.loop import TrainedEncoder, train
from pcip_core.training.task import TaskKind
from pcip_core.training.tasks.pairs import network_and_task
from pcip_core.training.tracker import SilentTracker

WAYS = (KNN, PRIOR, LOGISTIC, RETRIEVAL, PLATE)
_PAPERS: dict[str, Any] = {
    "task": "inpainting",
    "block": "paper",
    "initial_weights": "glorot",
    "pairs": "same_image",
    "augment": Augmentation(),
    "schedule": "constant",
    "warm_up": 0.0,
    "batch_size": 16,
    "learning_rate": 5e-4,
    "start": "none",
}  # at the width and the rate that suit a demo
_EPOCHS = {
    "simulated_human": 16,
    "simulated_yeast": 16,
    "human_labelled_cells": 40,
    "human_antibodies": 20,
    "yeast_reference_strains": 20,
}  # of a training that starts from initial weights


@dataclass(frozen=True)
class Trained:
    """One encoder.

    Attributes:
        layer: the layer that analyses use.
        seconds: processor time of the training.
        scores: layer -> question -> way -> score.
        features: layer -> (cells, filters).
        encoder: the network, to describe other cells.
    """

    layer: str
    seconds: float
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]
    features: Mapping[str, np.ndarray]
    encoder: TrainedEncoder

    def score(self, question: str, way: str) -> float:
        """The score of the layer that analyses use; NaN where this way does not apply."""
        return self.scores[self.layer][question].get(way, float("nan"))

    def best(self, question: str, way: str) -> float:
        """The score of the best layer."""
        return max(scores[question][way] for scores in self.scores.values())


def papers_settings(cells: Cells) -> EncoderConfig:
    """The paper's settings, from initial weights, in the number of epochs that suits the screen."""
    return replace(cells.encoder, epochs=_EPOCHS.get(cells.screen, cells.encoder.epochs), **_PAPERS)


def trained(
    cells: Cells, config: EncoderConfig, kept: np.ndarray | None = None, task: TaskKind | None = None
) -> Trained:
    """Train, describe the cells that are scored, and let each layer answer all questions.

    Args:
        cells: of one screen.
        config: settings of the encoder.
        kept: (n,) bool, the cells to train on; by default all.
        task: in place of that of the settings.
    """
    shape, usual = network_for(cells, config)
    crops = cells.crops
    if kept is not None:
        crops = replace(crops, pixels=np.asarray(crops.pixels)[kept], image=crops.image[kept])
    start = time.process_time()
    result = train(
        crops,
        shape,
        replace(config, preview_every=config.epochs + 1),
        task=task or usual,
        tracker=SilentTracker(),
    )
    seconds = time.process_time() - start
    print(f"{cells.screen}, {'+'.join(config.tasks)}, seed {config.seed}: {seconds:.0f} s", flush=True)
    return described(cells, result, config.layer, seconds)


def untrained(cells: Cells, config: EncoderConfig) -> Trained:
    """Describe the cells by the network as its training starts."""
    shape, task = network_for(cells, config)
    device = torch.device("cpu")
    network = task(cells.crops, shape, config, device).build().eval()  # type: ignore[attr-defined]
    return described(cells, TrainedEncoder(network, [], device, "float32"), config.layer, 0.0)


def network_for(cells: Cells, config: EncoderConfig) -> tuple[NetworkConfig, TaskKind]:
    """The settings of the network and the class of the task."""
    return network_and_task(
        config,
        cells.crops.channels,
        cells.structural,
        ("protein",),
        cells.pixels.shape[-1],
        images=int(cells.crops.image.max()) + 1,
    )


def described(cells: Cells, encoder: TrainedEncoder, layer: str, seconds: float) -> Trained:
    """Describe the cells that are scored by an encoder, and let each layer answer all questions."""
    features = extract_features(encoder.network, cells.pixels, precision=encoder.precision)
    scores = {each: answers(values, cells) for each, values in features.items()}
    return Trained(layer, seconds, scores, features, encoder)


def answers(features: np.ndarray, cells: Cells, ways: tuple[str, ...] = WAYS) -> dict[str, dict[str, float]]:
    """Question -> way -> score of features."""
    return {what: scores_of(features, asked, ways=ways) for what, asked in cells.questions.items()}
