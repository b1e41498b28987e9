"""What does an encoder learn by its settings? Scores of its features on simulated and real cells, and what they cost.

Each screen is trained on with the settings of its shipped spec and with the paper's, and the features answer the
questions of `benchmarks.common.encoder_screens`. So do hand-made features, VGG16's where its weights are, and
combinations of feature sets. Where the shipped settings start from an encoder of simulated cells (`encoder.start`),
this encoder itself, and a training without it, are compared too.

| size | trainings |
|---|---|
| small (the default) | one seed |
| medium | three seeds of the shipped settings, with and without a start; the aims are judged by their medians |
| long | three seeds of both, and of second rounds; with one seed, settings that differ in one thing |

The parts that `PCIP_BENCH_PART` names are screens.

A second round leaves out the proteins that vary most by the features of the first. `pcip bench encoder_trials` has what
else was tried: other starts, initial weights by width, other networks.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from benchmarks.common.encoder_features import CLASSIC, DATA, VGG16, combinations, other_features
from benchmarks.common.encoder_rounds import round_rows
from benchmarks.common.encoder_scores import (
    KNN,
    LOGISTIC,
    PLATE,
    PRIOR,
    RETRIEVAL,
    UNITS,
    medians,
    retrieval_p_value,
)
from benchmarks.common.encoder_screens import REAL, SIMULATED, Cells, cells_of
from benchmarks.common.encoder_trainings import WAYS, Trained, answers, papers_settings, trained, untrained
from benchmarks.common.harness import Row
from benchmarks.common.parts import chosen
from pcip_core.spec.recipes import RECIPES
from pcip_core.spec.training import Augmentation, EncoderConfig

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
SHIPPED, PAPER = "shipped settings", "the paper's settings"
START, FRESH = "the start itself", "without a start"
_DRAWS = 99  # shuffled labels
_CHANGES: dict[str, dict[str, Any]] = {
    "inpainting": {"task": "inpainting"},
    "inpainting + 0.05 agreement": {"task": {"inpainting": 1, "agreement": 0.05}},
    "identity": {"task": "identity"},
    "agreement + 0.3 identity": {"task": {"agreement": 1, "identity": 0.3}},
    "block of the paper": {"block": "paper", "start": "none"},
    "without augmentation": {"augment": Augmentation()},
    "batches of 128": {"batch_size": 128},
    "batches of 256": {"batch_size": 256},
    "constant learning rate": {"schedule": "constant", "warm_up": 0.0, "learning_rate": 5e-4},
    "vectors of 64": {"projector": 64},
    "vectors of 256": {"projector": 256},
    "twice the epochs": {},
}
_LONGER = "twice the epochs"
_TRAINED = 10  # epochs of a changed training where the shipped settings take the start as it is


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


def run(size: str = "small") -> list[Row]:
    """All screens; the real ones where their images are."""
    rows: list[Row] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for name in chosen((*SIMULATED, *REAL)):
            root = None if name in SIMULATED else DATA / name
            if root is not None and not root.is_dir():
                rows.append(Row(f"{name}: not run: its images cannot be distributed ({root})", None))
                continue
            cells = cells_of(name, root)
            rows += screen_rows(cells, trainings_of(cells, NAMED_SIZES[size]), size)
    finally:
        torch.set_num_threads(threads)
    return rows


def trainings_of(cells: Cells, seeds: tuple[int, int]) -> dict[str, list[Trained]]:
    """Train by the shipped and by the paper's settings; where the shipped ones have a start, also without it.

    Args:
        cells: of one screen.
        seeds: number of trainings by the shipped settings, and by the paper's.
    """
    config, papers = cells.encoder, papers_settings(cells)
    trainings = {
        name: [trained(cells, replace(each, seed=seed)) for seed in range(count)]
        for name, each, count in zip((SHIPPED, PAPER), (config, papers), seeds, strict=True)
    }
    if config.start != "none":
        rate = RECIPES["agreement"]["learning_rate"]
        fresh = replace(config, start="none", epochs=papers.epochs, learning_rate=rate)
        trainings[FRESH] = [trained(cells, replace(fresh, seed=seed)) for seed in range(seeds[0])]
        trainings[START] = [untrained(cells, config)]
    return trainings


def screen_rows(cells: Cells, trainings: Mapping[str, Sequence[Trained]], size: str) -> list[Row]:
    """Scores and costs of one screen: the trained encoders, other features, and other settings."""
    features = other_features(cells)
    others = {name: answers(values, cells) for name, values in features.items()}
    rows = [row for name in trainings if name != PAPER for row in score_rows(cells, name, trainings)]
    rows += [*other_rows(cells, trainings[SHIPPED], others), cost_row(cells, trainings)]
    if cells.screen in REAL:
        rows += combined_rows(cells, trainings[SHIPPED], features)
    if cells.screen == SIMULATED[0]:
        rows.append(time_to_score(cells, trainings))
    if size == "long":
        for name, config in changes_of(cells).items():
            rows += changed_rows(cells, name, config, trainings[SHIPPED][0])
        if cells.screen in SIMULATED:
            rows += round_rows(cells, cells.encoder, trainings[SHIPPED])
    print_tables(cells, trainings, others)
    return rows


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
                **(judged(cells.screen, what, way, value, len(values)) if name == SHIPPED else {}),
            )
        p_value = retrieval_p_value(ours[0].features[layer], cells.questions[what], draws=_DRAWS)
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
                asked = cells.screen in REAL and way in (KNN, LOGISTIC) and name in (CLASSIC, VGG16)
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


def combined_rows(cells: Cells, ours: Sequence[Trained], others: Mapping[str, np.ndarray]) -> Iterator[Row]:
    """The scores of combined feature sets, medians over the trainings, against those of the layer that analyses use."""
    sets = [combinations(each.features, each.layer, others) for each in ours]
    for name in sets[0]:
        scored = [answers(each[name], cells, (KNN, PRIOR, LOGISTIC, RETRIEVAL)) for each in sets]
        for what, by_way in scored[0].items():
            for way in by_way:
                values = [each[what][way] for each in scored]
                value = statistics.median(values)
                against = statistics.median(each.score(what, way) for each in ours)
                yield Row(
                    what=f"{cells.about}: {what}: {SHIPPED}, combined {name}, {way}",
                    value=value,
                    unit=UNITS[way],
                    against=f"{SHIPPED}, {ours[0].layer}",
                    against_value=against,
                    ratio=value / against,
                    n=len(values),
                    spread=(min(values), max(values)),
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


def changes_of(cells: Cells) -> dict[str, EncoderConfig]:
    """The settings of each training that differs from the shipped ones in one thing.

    Where the shipped settings take the start as it is, the training itself is the first change, and the basis of the
    others.
    """
    config = cells.encoder
    trained_first = {}
    if config.epochs == 0:
        config = replace(config, epochs=_TRAINED)
        trained_first = {f"{_TRAINED} epochs": config}
    settings = {name: replace(config, **change) for name, change in _CHANGES.items()}
    settings[_LONGER] = replace(config, epochs=2 * config.epochs)
    return trained_first | {name: each for name, each in settings.items() if each != config}


def changed_rows(cells: Cells, name: str, config: EncoderConfig, shipped: Trained) -> Iterator[Row]:
    """The scores after one change of the shipped settings, against these, both with the first seed."""
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
