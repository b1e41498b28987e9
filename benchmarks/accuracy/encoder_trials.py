"""What was tried for real cells: other starts, larger crops, combined sets, plates; and settings on simulated cells.

The shipped settings are compared by `pcip bench encoders`. This benchmark computes the tables of
docs/decisions/0061-what-was-tried-for-real-cells.md.

| size | what |
|---|---|
| small (the default) | the start as it is: uncertainty of the scores, larger crops, combined sets, plates |
| medium | the shipped settings, three seeds; starts of more varied simulated cells; pairs of one protein |
| long | other networks; on the simulated screens, initial weights and learning rates by width |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch

from benchmarks.common.encoder_blocks import ENCODERS, with_encoder
from benchmarks.common.encoder_features import CLASSIC, DATA, VGG16, other_features, together
from benchmarks.common.encoder_plates import pairs_rows, plate_rows
from benchmarks.common.encoder_scores import KNN, LOGISTIC, UNITS
from benchmarks.common.encoder_screens import SIMULATED, Cells, cells_of
from benchmarks.common.encoder_starts import (
    CANDIDATES,
    half_rows,
    recall_rows,
    trained_start,
    tuned,
    uncertainty,
)
from benchmarks.common.encoder_sweeps import swept_rows
from benchmarks.common.encoder_trainings import Trained, trained, untrained
from benchmarks.common.harness import Row
from benchmarks.common.varied_cells import IMAGES, varied_cells
from pcip_core.models.inference import extract_features
from pcip_core.spec.recipes import RECIPES

DESCRIPTION = (
    "what was tried for real cells: other starts, larger crops, combined sets, plates, other networks"
)
SECONDS = 640
LONG = True
NAMED_SIZES = {"small": 0, "medium": 1, "long": 2}
LABELLED, ANTIBODIES = "human_labelled_cells", "human_antibodies"
_LARGER_PX = 128  # side of crops that show the pictures as they are; those of the spec have half of it
_LARGER = f"crops of {_LARGER_PX} px"
_SEEDS = 3
_TUNED = (0, 10)  # epochs on the real cells
_BLOCK_EPOCHS = {
    True: (10, 5, 2),
    False: (4, 2, 1),
}  # of the shipped, residual and timm's blocks; real cells or not


def run(size: str = "small") -> list[Row]:
    """The parts of a size, and those of the smaller ones; the real screens where their images are."""
    rows: list[Row] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for name, of_screen in ((LABELLED, labelled_rows), (ANTIBODIES, antibody_rows)):
            if not (DATA / name).is_dir():
                rows.append(Row(f"{name}: not run: its images cannot be distributed ({DATA / name})", None))
                continue
            rows += of_screen(cells_of(name, DATA / name), NAMED_SIZES[size])
        if NAMED_SIZES[size] > 1:
            for name in SIMULATED:
                cells = cells_of(name, None)
                rows += [*swept_rows(cells), *block_rows(cells)]
    finally:
        torch.set_num_threads(threads)
    return rows


def labelled_rows(cells: Cells, size: int) -> Iterator[Row]:
    """Scores of the labelled cells by halves of the montages, and their uncertainty.

    Args:
        cells: of `human_labelled_cells`.
        size: 0 without, 1 and more with trainings of other starts.
    """
    (asked,) = cells.questions.values()
    start = untrained(cells, replace(cells.encoder, epochs=0))
    others = other_features(cells)
    larger = cells_of(LABELLED, DATA / LABELLED, size_px=_LARGER_PX)
    for name, features in ((start.layer, start.features[start.layer]), (CLASSIC, others[CLASSIC])):
        for way, value in uncertainty(features, asked).items():
            yield Row(f"{cells.about}: {name}, {way}: standard error by montages", value, UNITS[way])
    yield from recall_rows(
        f"{cells.about}: start as it is, {start.layer}", start.features[start.layer], asked
    )
    yield from set_rows(f"{cells.about}: start as it is", cells, larger, start, others)
    if size:
        for seed in range(_SEEDS):
            each = trained(cells, replace(cells.encoder, seed=seed))
            yield from set_rows(f"{cells.about}: shipped settings, seed {seed}", cells, larger, each, others)
        yield from candidate_rows()
    if size > 1:
        yield from block_rows(cells)


def set_rows(
    about: str, cells: Cells, larger: Cells, encoder: Trained, others: Mapping[str, np.ndarray]
) -> Iterator[Row]:
    """The scores of an encoder by halves: alone, on larger crops, and combined with other features.

    Args:
        about: the start of the text of each row.
        cells, larger: the same cells at both sizes.
        encoder: described `cells`.
        others: name -> features of the same cells.
    """
    (asked,), layer = cells.questions.values(), encoder.layer
    network, precision = encoder.encoder.network, encoder.encoder.precision
    described = extract_features(network, larger.pixels, layers=[layer], precision=precision)[layer]
    features = {**encoder.features, **others, _LARGER: described}
    for parts in feature_sets(layer):
        if all(part in features for part in parts):
            values = together([features[part] for part in parts])
            yield from half_rows(f"{about}, {' + '.join(parts)}", values, asked)


def feature_sets(last: str) -> list[tuple[str, ...]]:
    """The feature sets that are compared; several names are combined."""
    return [
        *((name,) for name in (last, CLASSIC, VGG16, _LARGER)),
        (last, CLASSIC),
        ("conv4", last, CLASSIC),
        (last, CLASSIC, VGG16),
        (last, _LARGER),
        (last, _LARGER, CLASSIC),
        (last, _LARGER, CLASSIC, VGG16),
    ]


def candidate_rows() -> Iterator[Row]:
    """Train encoders of varied simulated cells, and score them on the labelled cells, as they are and trained on."""
    for name, candidate in CANDIDATES.items():
        cells = cells_of(LABELLED, DATA / LABELLED, size_px=candidate.size_px)
        (asked,) = cells.questions.values()
        simulated = varied_cells(part=range(0, IMAGES, candidate.every))
        state, seconds = trained_start(simulated, candidate)
        for epochs in _TUNED:
            each = tuned(cells, candidate, state, epochs=epochs)
            about = f"{cells.about}: {name}, {epochs} epochs on these cells, {each.layer}"
            yield from half_rows(about, each.features[each.layer], asked, f" ({seconds:.0f} s)")


def antibody_rows(cells: Cells, size: int) -> Iterator[Row]:
    """Why plates are recognised, and whether pairs of one protein change it."""
    yield from plate_rows(cells, untrained(cells, replace(cells.encoder, epochs=0)))
    if size:
        yield from pairs_rows(cells, cells.encoder)


def block_rows(cells: Cells) -> Iterator[Row]:
    """Scores of other networks after about the processor time of the shipped one, with the first seed."""
    what = next(iter(cells.questions))
    config = replace(
        cells.encoder, start="none", learning_rate=RECIPES["agreement"]["learning_rate"], precision="bf16"
    )
    networks = {"shipped blocks": None, **ENCODERS}
    for (name, make), epochs in zip(networks.items(), _BLOCK_EPOCHS[cells.screen == LABELLED], strict=False):
        task = with_encoder(make) if make else None
        each = trained(cells, replace(config, epochs=epochs), task=task)
        for way in (KNN, LOGISTIC):
            about = (
                f"{cells.about}: {what}: {name}, {epochs} epochs, {each.layer}, {way} ({each.seconds:.0f} s)"
            )
            yield Row(about, each.score(what, way), UNITS[way], n=1)
