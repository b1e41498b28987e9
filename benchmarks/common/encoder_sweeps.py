"""Initial weights and learning rates at several widths: does what is best at a small width suit larger ones?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from benchmarks.common.encoder_scores import KNN, LOGISTIC, UNITS
from benchmarks.common.encoder_screens import Cells
from benchmarks.common.encoder_trainings import trained
from benchmarks.common.harness import Row
from pcip_core.spec.training import EncoderConfig

WIDTHS = (0.125, 0.25, 0.5)
SETTINGS: tuple[tuple[str | float, float], ...] = (
    ("torch", 3e-4),
    ("torch", 1e-3),
    ("torch", 3e-3),
    ("glorot", 1e-3),
    (0.5, 1e-3),
)  # initial weights and learning rate: a cross through the recipe's, which are the second
EPOCHS, SEEDS = 2, 2  # epochs at a constant rate
WIDE, WIDE_EPOCHS = (0.5, 1.0), 4


def swept_rows(cells: Cells) -> Iterator[Row]:
    """Scores by seed, width, initial weights and learning rate, after few epochs at a constant rate."""
    config = replace(cells.encoder, epochs=EPOCHS, schedule="constant", warm_up=0.0)
    for seed, width, (weights, rate) in product(range(SEEDS), WIDTHS, SETTINGS):
        settings = {"seed": seed, "width": width, "initial_weights": weights, "learning_rate": rate}
        yield from _scored(cells, replace(config, **settings), "sweep")


def wide_rows(cells: Cells) -> Iterator[Row]:
    """Scores of wider networks by the recipe's schedule: at its learning rate, and at this rate by width."""
    config = replace(cells.encoder, epochs=WIDE_EPOCHS)
    for width, seed in product(WIDE, range(SEEDS)):
        for rate in (config.learning_rate, config.learning_rate * config.width / width):
            settings = {"seed": seed, "width": width, "learning_rate": rate}
            yield from _scored(cells, replace(config, **settings), "wide")


def _scored(cells: Cells, config: EncoderConfig, name: str) -> Iterator[Row]:
    what = next(iter(cells.questions))
    each = trained(cells, replace(config, start="none", precision="bf16"))
    about = (
        f"{cells.about}: {what}: {name}, {config.epochs} epochs, seed {config.seed}, width {config.width:g}, "
        f"initial weights {config.initial_weights}, learning rate {config.learning_rate:g}, {each.layer}"
    )
    for way in (KNN, LOGISTIC):
        yield Row(f"{about}, {way} ({each.seconds:.0f} s)", each.score(what, way), UNITS[way], n=1)
