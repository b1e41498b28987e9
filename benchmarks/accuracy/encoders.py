"""What does an encoder learn by its settings? Scores of its features on simulated and real cells, and what they cost.

Each screen is trained on with the settings of its shipped spec and with the paper's, and the features answer the
questions of `benchmarks.common.encoder_screens`. So do hand-made features and, where its weights are, VGG16's.

| size | trainings |
|---|---|
| small (the default) | one seed |
| medium | three seeds; the aims are judged by their medians |
| long | as medium, and settings that differ from the shipped ones in one thing, with one seed |
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
from pcip_core.training.loop import train
from pcip_core.training.tasks.pairs import network_and_task
from pcip_core.training.tracker import SilentTracker

DESCRIPTION = (
    "encoders by their settings: scores on simulated and real cells, and the processor time of training"
)
SECONDS = 900
LONG = True
NAMED_SIZES = {"small": 1, "medium": 3, "long": 3}  # size -> seeds
WAYS = (KNN, PRIOR, LOGISTIC, RETRIEVAL, PLATE)
DATA = REPOSITORY.parent / "shared" / "data"
SHIPPED, PAPER = "shipped", "paper"
_VGG16 = "weights/vgg16_imagenet_features.safetensors"
_DRAWS = 200  # shuffled labels
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
}
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


@dataclass(frozen=True)
class Aim:
    """A score that is asked for: at least `value` by `way`, in answer to `question`."""

    screen: str
    question: str
    way: str
    value: float
    at_most: bool = False


AIMS = (
    Aim("simulated_human", "localization, image left out", KNN, 0.90),
    Aim("simulated_yeast", "localization, image left out", KNN, 0.76),
    Aim("human_labelled_cells", "localization, image left out", KNN, 0.60),
    Aim("human_labelled_cells", "localization, image left out", LOGISTIC, 0.78),
    Aim("human_antibodies", "protein, antibody left out", KNN, 0.97),
    Aim("human_antibodies", "protein, antibody left out", PLATE, 1.0, at_most=True),
)
_LEAST_TIME = 0.4  # of the processor time of the paper's settings, for the same score
_ABOVE = "human_labelled_cells"  # where hand-made features and VGG16 are to be exceeded


@dataclass(frozen=True)
class Trained:
    """One training: its processor time, and layer -> question -> way -> score."""

    seconds: float
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]
    p_values: Mapping[str, float]


def run(size: str = "small") -> list[Row]:
    """All screens; the real ones where their images are."""
    rows: list[Row] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for name in (*SIMULATED, *REAL):
            root = None if name in SIMULATED else DATA / name
            if root is not None and not root.is_dir():
                rows.append(Row(f"{name}: not run: its images cannot be distributed ({root})", None))
                continue
            rows += screen_rows(cells_of(name, root), size)
    finally:
        torch.set_num_threads(threads)
    return rows


def screen_rows(cells: Cells, size: str) -> list[Row]:
    """Scores and costs of one screen: the shipped and the paper's settings, other features, and other settings."""
    seeds = range(NAMED_SIZES[size])
    encoders = {SHIPPED: cells.encoder, PAPER: replace(cells.encoder, **_PAPERS)}
    trainings = {
        name: [trained(cells, replace(config, seed=seed)) for seed in seeds]
        for name, config in encoders.items()
    }
    others = {name: answers(values, cells) for name, values in other_features(cells).items()}
    rows = [*score_rows(cells, encoders, trainings, others), cost_row(cells, trainings)]
    if cells.screen == SIMULATED[0]:
        rows.append(time_to_score(cells, encoders, trainings))
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
    features = extract_features(result.network, cells.pixels, precision=result.precision)
    scores = {layer: answers(values, cells) for layer, values in features.items()}
    chosen = features[layer_of(config)]
    p_values = {
        what: retrieval_p_value(chosen, asked, draws=_DRAWS) for what, asked in cells.questions.items()
    }
    print(f"{cells.screen}, {'+'.join(config.tasks)}, seed {config.seed}: {seconds:.0f} s", flush=True)
    return Trained(seconds, scores, p_values)


def layer_of(config: EncoderConfig) -> str:
    """The layer that analyses use, by rule: the last where cells must agree or be named, otherwise conv3."""
    return "conv3" if list(config.tasks) == ["inpainting"] else "conv5"


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


def score_rows(
    cells: Cells,
    encoders: Mapping[str, EncoderConfig],
    trainings: Mapping[str, Sequence[Trained]],
    others: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> Iterator[Row]:
    """The median of each score of the shipped settings against the paper's, then what other features reach."""
    layer, papers = (layer_of(encoders[name]) for name in (SHIPPED, PAPER))
    for what in cells.questions:
        about = f"{cells.about}: {what}"
        for way in WAYS:
            ours, theirs = (
                [each.scores[at][what][way] for each in trainings[name] if way in each.scores[at][what]]
                for name, at in ((SHIPPED, layer), (PAPER, papers))
            )
            if not ours or not theirs:
                continue
            value, against = statistics.median(ours), statistics.median(theirs)
            yield Row(
                what=f"{about}: shipped settings, {layer}, {way}",
                value=value,
                unit=UNITS[way],
                against=f"the paper's settings, {papers}",
                against_value=against,
                ratio=value / against,
                n=len(ours),
                spread=(min(ours), max(ours)),
                **judged(cells.screen, what, way, value, len(ours)),
            )
        yield Row(
            what=f"{about}: shipped settings, {layer}, mAP: p-value by shuffled labels",
            value=statistics.median(each.p_values[what] for each in trainings[SHIPPED]),
            n=_DRAWS,
        )
    yield from other_rows(cells, layer, trainings[SHIPPED], others)


def judged(screen: str, question: str, way: str, value: float, seeds: int) -> dict[str, Any]:
    """The aim of a score as text, and whether it is met; a single seed is not judged."""
    for aim in AIMS:
        if (aim.screen, aim.question, aim.way) == (screen, question, way):
            met = value <= aim.value if aim.at_most else value >= aim.value
            bound = "most" if aim.at_most else "least"
            enough = seeds >= NAMED_SIZES["medium"]
            text = f"median of three seeds at {bound} {aim.value:.2f}"
            return {"aim": text, "held": met if enough else None}
    return {}


def other_rows(
    cells: Cells,
    layer: str,
    ours: Sequence[Trained],
    others: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> Iterator[Row]:
    """The scores of features that no training made, with the shipped settings' as what they are compared with."""
    for name, scores in others.items():
        for what, by_way in scores.items():
            for way, value in by_way.items():
                median = statistics.median(each.scores[layer][what][way] for each in ours)
                asked = cells.screen == _ABOVE and way in (KNN, LOGISTIC) and name != "intensity"
                yield Row(
                    what=f"{cells.about}: {what}: {name}, {way}",
                    value=value,
                    unit=UNITS[way],
                    against=f"shipped settings, {layer}",
                    against_value=median,
                    ratio=value / median,
                    n=len(cells.rows),
                    aim="below the median of three seeds of the shipped settings" if asked else None,
                    held=value < median if asked and len(ours) >= NAMED_SIZES["medium"] else None,
                )


def cost_row(cells: Cells, trainings: Mapping[str, Sequence[Trained]]) -> Row:
    """Processor time of a training."""
    ours, theirs = ([each.seconds for each in trainings[name]] for name in (SHIPPED, PAPER))
    value, against = statistics.median(ours), statistics.median(theirs)
    return Row(
        what=f"{cells.about}: training of {cells.encoder.epochs} epochs, one thread, shipped settings",
        value=value,
        unit="s of processor time",
        against="the paper's settings",
        against_value=against,
        ratio=value / against,
        n=len(ours),
        spread=(min(ours), max(ours)),
    )


def time_to_score(
    cells: Cells, encoders: Mapping[str, EncoderConfig], trainings: Mapping[str, Sequence[Trained]]
) -> Row:
    """Processor time in which the shipped settings reach the best layer of the paper's, in ever longer trainings."""
    what = next(iter(cells.questions))
    paper, layer = trainings[PAPER], layer_of(encoders[SHIPPED])
    wanted = statistics.median(max(scores[what][KNN] for scores in each.scores.values()) for each in paper)
    against, config = statistics.median(each.seconds for each in paper), encoders[SHIPPED]
    shorter = [2**power for power in range(10) if 2**power < config.epochs]
    for epochs in (*shorter, config.epochs):
        ours = (
            [trained(cells, replace(config, epochs=epochs, seed=seed)) for seed in range(len(paper))]
            if epochs in shorter
            else trainings[SHIPPED]
        )
        score = statistics.median(each.scores[layer][what][KNN] for each in ours)
        if score >= wanted:
            break
    value = statistics.median(each.seconds for each in ours)
    return Row(
        what=f"{cells.about}: training until {layer} reaches {wanted:.3f} by {KNN} ({epochs} epochs: {score:.3f})",
        value=value,
        unit="s of processor time",
        against="the paper's settings, best layer",
        against_value=against,
        ratio=value / against,
        n=len(paper),
        aim=f"at most {_LEAST_TIME} of it",
        held=score >= wanted and value <= _LEAST_TIME * against
        if len(paper) >= NAMED_SIZES["medium"]
        else None,
    )


def changed_rows(cells: Cells, name: str, shipped: Trained) -> Iterator[Row]:
    """The scores after one change of the shipped settings, against these, both with the first seed."""
    config = replace(cells.encoder, **_CHANGES[name])
    if name == _LONGER:
        config = replace(config, epochs=2 * config.epochs)
    changed = trained(cells, config)
    ours, layer = layer_of(cells.encoder), layer_of(config)
    for what, by_way in changed.scores[layer].items():
        for way in (KNN, LOGISTIC, RETRIEVAL):
            value, against = by_way[way], shipped.scores[ours][what][way]
            yield Row(
                what=f"{cells.about}: {what}: {name}, {layer}, {way} ({changed.seconds:.0f} s)",
                value=value,
                unit=UNITS[way],
                against=f"shipped settings, {ours}",
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
        print(f"\n{cells.about}: {what}\n{'':<34}" + "".join(f"{way:>24}" for way in WAYS))
        lines = {
            f"{name} settings, {layer}": medians([each.scores[layer][what] for each in of_name])
            for name, of_name in trainings.items()
            for layer in of_name[0].scores
        }
        for name, scores in (lines | {name: scores[what] for name, scores in others.items()}).items():
            figures = "".join(f"{scores[way]:>24.3f}" if way in scores else f"{'':>24}" for way in WAYS)
            print(f"{name:<34}{figures}")
    for name, of_name in trainings.items():
        seconds = statistics.median(each.seconds for each in of_name)
        print(f"{name} settings: {seconds:.0f} s of processor time")
