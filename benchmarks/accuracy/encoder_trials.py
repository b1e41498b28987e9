"""What was tried for real cells: other starts, larger crops, combined sets, plates; and settings on simulated cells.

The shipped settings are compared by `pcip bench encoders`. This benchmark computes the tables of
docs/decisions/0061-what-was-tried-for-real-cells.md.

| size | what |
|---|---|
| small (the default) | the start as it is: uncertainty of the scores, larger crops, combined sets, plates |
| medium | the shipped settings, three seeds; starts of more varied simulated cells; pairs of one protein |
| long | harder pairs; lengths of vectors; other networks; initial weights and rates by width on simulated screens |

Each size has the parts of `PARTS`, and those of the smaller sizes. `PCIP_BENCH_PART` runs only those that have its text
in their name, such as `simulated_yeast: sweep`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from benchmarks.common.encoder_blocks import ENCODERS, with_encoder
from benchmarks.common.encoder_features import CLASSIC, DATA, VGG16, other_features, together
from benchmarks.common.encoder_pairs import harder_rows, papers_harder_rows, vector_rows
from benchmarks.common.encoder_plates import pairs_rows, plate_rows
from benchmarks.common.encoder_scores import KNN, LOGISTIC, RETRIEVAL, UNITS
from benchmarks.common.encoder_screens import REAL, SIMULATED, Cells, cells_of
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
from benchmarks.common.parts import chosen
from benchmarks.common.varied_cells import IMAGES, varied_cells
from pcip_core.models.inference import extract_features
from pcip_core.spec.recipes import RECIPES

DESCRIPTION = (
    "what was tried for real cells: other starts, larger crops, combined sets, plates, other networks"
)
SECONDS = 640
LONG = True
NAMED_SIZES = {"small": 0, "medium": 1, "long": 2}
Part = Callable[[Cells], Iterator[Row]]
LABELLED, ANTIBODIES = "human_labelled_cells", "human_antibodies"
_LARGER_PX = 128  # side of crops that show the pictures as they are; those of the spec have half of it
_LARGER = f"crops of {_LARGER_PX} px"
_SEEDS = 3
_TUNED = (0, 10)  # epochs on the real cells
_BLOCK_EPOCHS = {True: 10, False: 4}  # of real cells or not


def run(size: str = "small") -> list[Row]:
    """The parts of a size, or those that PCIP_BENCH_PART names; the real screens where their images are."""
    rows: list[Row] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for screen, parts in parts_of(NAMED_SIZES[size]).items():
            root = None if screen in SIMULATED else DATA / screen
            if root is not None and not root.is_dir():
                rows.append(Row(f"{screen}: not run: its images cannot be distributed ({root})", None))
                continue
            cells = cells_of(screen, root)
            for name, part in parts.items():
                for row in part(cells):
                    print(f"{name}: {row.what}: {row.value}", file=sys.stderr, flush=True)
                    rows.append(row)
    finally:
        torch.set_num_threads(threads)
    return rows


def parts_of(size: int) -> dict[str, dict[str, Part]]:
    """Screen -> name -> part of a size, of those that are run."""
    every = {
        f"{screen}: {name}": (screen, name, part)
        for screen, parts in PARTS.items()
        for name, (least, part) in parts.items()
        if least <= size
    }
    run: dict[str, dict[str, Part]] = {}
    for full in chosen(list(every)):
        screen, name, part = every[full]
        run.setdefault(screen, {})[name] = part
    return run


def labelled_rows(cells: Cells) -> Iterator[Row]:
    """Scores of the labelled cells by halves of the montages, and their uncertainty; the start as it is."""
    (asked,) = cells.questions.values()
    start = untrained(cells, replace(cells.encoder, epochs=0))
    others = other_features(cells)
    for name, features in ((start.layer, start.features[start.layer]), (CLASSIC, others[CLASSIC])):
        for way, value in uncertainty(features, asked).items():
            yield Row(f"{cells.about}: {name}, {way}: standard error by montages", value, UNITS[way])
    about = f"{cells.about}: start as it is"
    yield from recall_rows(f"{about}, {start.layer}", start.features[start.layer], asked)
    yield from set_rows(about, cells, larger_cells(), start, others)


def shipped_rows(cells: Cells) -> Iterator[Row]:
    """The same scores after training on the labelled cells by the shipped settings."""
    larger, others = larger_cells(), other_features(cells)
    for seed in range(_SEEDS):
        each = trained(cells, replace(cells.encoder, seed=seed))
        yield from set_rows(f"{cells.about}: shipped settings, seed {seed}", cells, larger, each, others)


def larger_cells() -> Cells:
    """The labelled cells in crops that show the pictures as they are."""
    return cells_of(LABELLED, DATA / LABELLED, size_px=_LARGER_PX)


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


def candidate_rows(name: str, _: Cells) -> Iterator[Row]:
    """Train an encoder of varied simulated cells; score it on the labelled cells, as it is and trained on them."""
    candidate = CANDIDATES[name]
    cells = cells_of(LABELLED, DATA / LABELLED, size_px=candidate.size_px)
    (asked,) = cells.questions.values()
    simulated = varied_cells(part=range(0, IMAGES, candidate.every))
    state, seconds = trained_start(simulated, candidate)
    for epochs in _TUNED:
        each = tuned(cells, candidate, state, epochs=epochs)
        about = f"{cells.about}: {name}, {epochs} epochs on these cells, {each.layer}"
        yield from half_rows(about, each.features[each.layer], asked, f" ({seconds:.0f} s)")


def antibody_rows(cells: Cells) -> Iterator[Row]:
    """Why plates are recognised."""
    yield from plate_rows(cells, untrained(cells, replace(cells.encoder, epochs=0)))


def block_rows(cells: Cells) -> Iterator[Row]:
    """Scores of other networks after the same number of epochs from initial weights, with the first seed."""
    what, epochs = next(iter(cells.questions)), _BLOCK_EPOCHS[cells.screen == LABELLED]
    rate = RECIPES["agreement"]["learning_rate"]
    config = replace(cells.encoder, start="none", epochs=epochs, learning_rate=rate, precision="bf16")
    for name, make in {"shipped blocks": None, **ENCODERS}.items():
        each = trained(cells, config, task=with_encoder(make) if make else None)
        about = f"{cells.about}: {what}: {name}, {epochs} epochs, {each.layer}"
        for way in (KNN, LOGISTIC, RETRIEVAL):
            yield Row(f"{about}, {way} ({each.seconds:.0f} s)", each.score(what, way), UNITS[way], n=1)


_PARTS: dict[str, dict[str, tuple[int, Part]]] = {
    LABELLED: {
        "feature sets": (0, labelled_rows),
        "shipped settings": (1, shipped_rows),
        **{name: (1, partial(candidate_rows, name)) for name in CANDIDATES},
        "networks": (2, block_rows),
    },
    ANTIBODIES: {
        "plates": (0, antibody_rows),
        "pairs": (1, lambda cells: pairs_rows(cells, cells.encoder)),
    },
    **{screen: {"sweep": (2, swept_rows), "networks": (2, block_rows)} for screen in SIMULATED},
}
PARTS = {
    screen: {
        **_PARTS.get(screen, {}),
        "harder pairs, shipped settings": (2, harder_rows),
        "harder pairs, the paper's settings": (2, papers_harder_rows),
        "vectors that agree": (2, vector_rows),
    }
    for screen in (*REAL, *SIMULATED)
}
"""Screen -> name of a part -> smallest size that has it, as in NAMED_SIZES, and its rows."""
