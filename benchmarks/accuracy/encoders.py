"""What does an encoder learn by its settings? Scores of its features on simulated and real cells, and what they cost.

Each screen is trained on with the settings of its shipped spec and with the paper's, and the features answer the
questions of `benchmarks.common.encoder_screens`. So do hand-made features and, where its weights are, VGG16's.

| size | trainings |
|---|---|
| small (the default) | one seed |
| medium | three seeds of the shipped settings; the aims are judged by their medians |
| long | three seeds of both; and settings that differ from the shipped ones in one thing, with one seed |
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from benchmarks.common.encoder_scores import (
    KNN,
    LOGISTIC,
    PLATE,
    PRIOR,
    RETRIEVAL,
    UNITS,
    medians,
    retrieval_p_value,
    scores_of,
)
from benchmarks.common.encoder_screens import REAL, SIMULATED, Cells, cells_of
from benchmarks.common.harness import Row
from pcip_assets.workspace import REPOSITORY
from pcip_core.features.designed.classic import classic_features
from pcip_core.features.intensity import intensity_features
from pcip_core.features.transfer import BEST_LAYER, feature_set_name, vgg16_features
from pcip_core.models.inference import extract_features
from pcip_core.models.vgg16 import load_vgg16
from pcip_core.spec.training import Augmentation, EncoderConfig
from pcip_core.training.loop import TrainedEncoder, train
from pcip_core.training.tasks.pairs import network_and_task
from pcip_core.training.tracker import SilentTracker

DESCRIPTION = (
    "encoders by their settings: scores on simulated and real cells, and the processor time of training"
)
SECONDS = 1100
LONG = True
NAMED_SIZES = {
    "small": (1, 1),
    "medium": (3, 1),
    "long": (3, 3),
}  # seeds of the shipped and of the paper's settings
_JUDGED = 3  # seeds by whose median the aims are judged
WAYS = (KNN, PRIOR, LOGISTIC, RETRIEVAL, PLATE)
DATA = REPOSITORY.parent / "shared" / "data"
SHIPPED, PAPER, REUSED = "shipped settings", "the paper's settings", "the encoder of simulated_human"
_VGG16 = "weights/vgg16_imagenet_features.safetensors"
_DRAWS = 99  # shuffled labels
_LEVELS = 32  # grey levels of the texture
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
}  # at the width and the rate that suit a demo
_CHANGES: dict[str, dict[str, Any]] = {
    "inpainting": {"task": "inpainting"},
    "inpainting + 0.05 agreement": {"task": {"inpainting": 1, "agreement": 0.05}},
    "identity": {"task": "identity"},
    "agreement + 0.3 identity": {"task": {"agreement": 1, "identity": 0.3}},
    "block of the paper": {"block": "paper"},
    "without augmentation": {"augment": Augmentation()},
    "batches of 128": {"batch_size": 128},
    "cosine schedule": {"schedule": "cosine", "warm_up": 0.1, "learning_rate": 1e-3},
    "vectors of 256": {"projector": 256},
    "twice the epochs": {},
}
_LONGER = "twice the epochs"
_PAPERS_EPOCHS = {"simulated_human": 16, "simulated_yeast": 16, "human_labelled_cells": 40}


@dataclass(frozen=True)
class Aim:
    """A score that is asked for: at least `value` by `way`, in answer to `question`."""

    screen: str
    question: str
    way: str
    value: float


AIMS = (
    Aim("simulated_human", "localization, image left out", KNN, 0.90),
    Aim("simulated_yeast", "localization, image left out", KNN, 0.76),
    Aim("human_labelled_cells", "localization, image left out", KNN, 0.60),
    Aim("human_labelled_cells", "localization, image left out", LOGISTIC, 0.78),
    Aim("human_antibodies", "protein, antibody left out", KNN, 0.97),
    Aim("human_antibodies", "protein, antibody left out", PLATE, 0.05),
)
_LEAST_TIME = 0.4  # of the processor time of the paper's settings, for the same score
_ABOVE = "human_labelled_cells"  # where hand-made features and VGG16 are to be exceeded


@dataclass(frozen=True)
class Trained:
    """One encoder.

    Attributes:
        layer: the layer that analyses use.
        seconds: processor time of the training.
        scores: layer -> question -> way -> score.
        features: (cells, filters) of this layer.
        encoder: the network.
    """

    layer: str
    seconds: float
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]
    features: np.ndarray
    encoder: TrainedEncoder

    def score(self, question: str, way: str) -> float:
        """The score of the layer that analyses use; NaN where this way does not apply."""
        return self.scores[self.layer][question].get(way, float("nan"))

    def best(self, question: str, way: str) -> float:
        """The score of the best layer."""
        return max(scores[question][way] for scores in self.scores.values())


def run(size: str = "small") -> list[Row]:
    """All screens; the real ones where their images are."""
    rows: list[Row] = []
    reused: list[Trained] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for name in (*SIMULATED, *REAL):
            root = None if name in SIMULATED else DATA / name
            if root is not None and not root.is_dir():
                rows.append(Row(f"{name}: not run: its images cannot be distributed ({root})", None))
                continue
            cells = cells_of(name, root)
            trainings = trainings_of(cells, NAMED_SIZES[size], reused)
            reused = reused or trainings[SHIPPED]  # of simulated_human, the first
            rows += screen_rows(cells, trainings, size)
    finally:
        torch.set_num_threads(threads)
    return rows


def trainings_of(cells: Cells, seeds: tuple[int, int], reused: Sequence[Trained]) -> dict[str, list[Trained]]:
    """Train by the shipped and by the paper's settings; describe real cells of the same channels by other encoders too.

    Args:
        cells: of one screen.
        seeds: number of trainings by the shipped settings, and by the paper's.
        reused: encoders of another screen.
    """
    config = cells.encoder
    papers = replace(config, **_PAPERS, epochs=_PAPERS_EPOCHS.get(cells.screen, config.epochs))
    trainings = {
        name: [trained(cells, replace(each, seed=seed)) for seed in range(count)]
        for name, each, count in zip((SHIPPED, PAPER), (config, papers), seeds, strict=True)
    }
    if reused and reused[0].encoder.network.config.channels == cells.crops.channels:
        trainings[REUSED] = [described(cells, each.encoder, each.layer, 0.0) for each in reused]
    return trainings


def screen_rows(cells: Cells, trainings: Mapping[str, Sequence[Trained]], size: str) -> list[Row]:
    """Scores and costs of one screen: the trained encoders, other features, and other settings."""
    others = {name: answers(values, cells) for name, values in other_features(cells).items()}
    rows = [row for name in trainings if name != PAPER for row in score_rows(cells, name, trainings)]
    rows += [*other_rows(cells, trainings[SHIPPED], others), cost_row(cells, trainings)]
    if cells.screen == SIMULATED[0]:
        rows.append(time_to_score(cells, trainings))
    if size == "long":
        rows += [row for name in _CHANGES for row in changed_rows(cells, name, trainings[SHIPPED][0])]
    print_tables(cells, trainings, others)
    return rows


def trained(cells: Cells, config: EncoderConfig) -> Trained:
    """Train on all crops, describe the cells that are scored, and let each layer answer all questions."""
    images = int(cells.crops.image.max()) + 1
    shape, task = network_and_task(
        config, cells.crops.channels, cells.structural, ("protein",), cells.pixels.shape[-1], images=images
    )
    start = time.process_time()
    result = train(
        cells.crops,
        shape,
        replace(config, preview_every=config.epochs + 1),
        task=task,
        tracker=SilentTracker(),
    )
    seconds = time.process_time() - start
    print(f"{cells.screen}, {'+'.join(config.tasks)}, seed {config.seed}: {seconds:.0f} s", flush=True)
    return described(cells, result, config.layer, seconds)


def described(cells: Cells, encoder: TrainedEncoder, layer: str, seconds: float) -> Trained:
    """Describe the cells that are scored by an encoder, and let each layer answer all questions."""
    features = extract_features(encoder.network, cells.pixels, precision=encoder.precision)
    scores = {each: answers(values, cells) for each, values in features.items()}
    return Trained(layer, seconds, scores, features[layer], encoder)


def answers(features: np.ndarray, cells: Cells) -> dict[str, dict[str, float]]:
    """Question -> way -> score of features."""
    return {what: scores_of(features, asked, ways=WAYS) for what, asked in cells.questions.items()}


def other_features(cells: Cells) -> dict[str, np.ndarray]:
    """Name -> features of the same cells without training: intensities, classic features, and VGG16 on photographs."""
    channels = cells.crops.channels
    low, high = cells.low[cells.rows], cells.high[cells.rows]
    classic = classic_features(
        cells.pixels, low, high, channels, cells.structural, ("protein",), levels=_LEVELS
    )
    others = {"intensity": intensity_features(cells.pixels, low, high, channels)[0], "classic": classic[0]}
    weights = DATA / _VGG16
    if weights.is_file():
        network = load_vgg16(weights)
        values = vgg16_features(network, cells.pixels, channels, strategy="protein", protein=["protein"])
        others[feature_set_name("protein", BEST_LAYER)] = values[BEST_LAYER]
    return others


def score_rows(cells: Cells, name: str, trainings: Mapping[str, Sequence[Trained]]) -> Iterator[Row]:
    """The median of each score of the encoders of one name, against those of the paper's settings."""
    ours, papers = trainings[name], trainings[PAPER]
    layer, other = ours[0].layer, papers[0].layer
    for what in cells.questions:
        about = f"{cells.about}: {what}: {name}, {layer}"
        for way in WAYS:
            values, theirs = ([each.score(what, way) for each in several] for several in (ours, papers))
            if np.isnan(values).any() or np.isnan(theirs).any():
                continue
            value, against = statistics.median(values), statistics.median(theirs)
            yield Row(
                what=f"{about}, {way}",
                value=value,
                unit=UNITS[way],
                against=f"{PAPER}, {other}",
                against_value=against,
                ratio=value / against,
                n=len(values),
                spread=(min(values), max(values)),
                **judged(cells.screen, what, way, value, len(values)),
            )
        p_value = retrieval_p_value(ours[0].features, cells.questions[what], draws=_DRAWS)
        yield Row(f"{about}, {RETRIEVAL}, first seed: p-value by shuffled labels", p_value, n=_DRAWS)


def judged(screen: str, question: str, way: str, value: float, seeds: int) -> dict[str, Any]:
    """The aim of a score as text, and whether it is met; a single seed is not judged."""
    for aim in AIMS:
        if (aim.screen, aim.question, aim.way) == (screen, question, way):
            text = f"median of three seeds at least {aim.value:.2f}"
            return {"aim": text, "held": value >= aim.value if seeds >= _JUDGED else None}
    return {}


def other_rows(
    cells: Cells, ours: Sequence[Trained], others: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> Iterator[Row]:
    """The scores of features that no training made, with the shipped settings' as what they are compared with."""
    for name, scores in others.items():
        for what, by_way in scores.items():
            for way, value in by_way.items():
                median = statistics.median(each.score(what, way) for each in ours)
                asked = cells.screen == _ABOVE and way in (KNN, LOGISTIC) and name != "intensity"
                yield Row(
                    what=f"{cells.about}: {what}: {name}, {way}",
                    value=value,
                    unit=UNITS[way],
                    against=f"{SHIPPED}, {ours[0].layer}",
                    against_value=median,
                    ratio=value / median,
                    n=len(cells.rows),
                    aim="below the median of three seeds of the shipped settings" if asked else None,
                    held=value < median if asked and len(ours) >= _JUDGED else None,
                )


def cost_row(cells: Cells, trainings: Mapping[str, Sequence[Trained]]) -> Row:
    """Processor time of a training."""
    ours, theirs = ([each.seconds for each in trainings[name]] for name in (SHIPPED, PAPER))
    value, against = statistics.median(ours), statistics.median(theirs)
    return Row(
        what=f"{cells.about}: training of {cells.encoder.epochs} epochs, one thread, {SHIPPED}",
        value=value,
        unit="s of processor time",
        against=PAPER,
        against_value=against,
        ratio=value / against,
        n=len(ours),
        spread=(min(ours), max(ours)),
    )


def time_to_score(cells: Cells, trainings: Mapping[str, Sequence[Trained]]) -> Row:
    """Processor time in which the shipped settings reach the best layer of the paper's, in ever longer trainings."""
    what, papers, config = next(iter(cells.questions)), trainings[PAPER], cells.encoder
    wanted = statistics.median(each.best(what, KNN) for each in papers)
    shorter = [2**power for power in range(10) if 2**power < config.epochs]
    for epochs in (*shorter, config.epochs):
        ours = trainings[SHIPPED]
        if epochs in shorter:
            ours = [
                trained(cells, replace(config, epochs=epochs, seed=seed))
                for seed in range(len(trainings[SHIPPED]))
            ]
        score = statistics.median(each.score(what, KNN) for each in ours)
        if score >= wanted:
            break
    against, value = (statistics.median(each.seconds for each in several) for several in (papers, ours))
    met = score >= wanted and value <= _LEAST_TIME * against
    return Row(
        what=f"{cells.about}: training until {KNN} reaches {wanted:.3f} ({epochs} epochs: {score:.3f})",
        value=value,
        unit="s of processor time",
        against=f"{PAPER}, best layer",
        against_value=against,
        ratio=value / against,
        n=len(ours),
        aim=f"at most {_LEAST_TIME} of it",
        held=met if len(ours) >= _JUDGED else None,
    )


def changed_rows(cells: Cells, name: str, shipped: Trained) -> Iterator[Row]:
    """The scores after one change of the shipped settings, against these, both with the first seed."""
    config = replace(cells.encoder, **_CHANGES[name])
    if name == _LONGER:
        config = replace(config, epochs=2 * config.epochs)
    changed = trained(cells, config)
    for what in cells.questions:
        for way in (KNN, LOGISTIC, RETRIEVAL):
            value, against = changed.score(what, way), shipped.score(what, way)
            yield Row(
                what=f"{cells.about}: {what}: {name}, {changed.layer}, {way} ({changed.seconds:.0f} s)",
                value=value,
                unit=UNITS[way],
                against=f"{SHIPPED}, {shipped.layer}",
                against_value=against,
                ratio=value / against,
                n=1,
            )


def print_tables(
    cells: Cells,
    trainings: Mapping[str, Sequence[Trained]],
    others: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> None:
    """Print one table per question: the median of each way, for each layer and each other feature set."""
    for what in cells.questions:
        print(f"\n{cells.about}: {what}\n{'':<48}" + "".join(f"{way:>24}" for way in WAYS))
        lines = {
            f"{name}, {layer}": medians([each.scores[layer][what] for each in of_name])
            for name, of_name in trainings.items()
            for layer in of_name[0].scores
        }
        for name, scores in (lines | {name: scores[what] for name, scores in others.items()}).items():
            figures = "".join(f"{scores[way]:>24.3f}" if way in scores else f"{'':>24}" for way in WAYS)
            print(f"{name:<48}{figures}")
    for name in (SHIPPED, PAPER):
        of_name = trainings[name]
        seconds = statistics.median(each.seconds for each in of_name)
        print(f"{name}: {seconds:.0f} s of processor time")
