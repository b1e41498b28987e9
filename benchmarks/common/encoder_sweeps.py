"""Initial weights and learning rates at several widths: does what is best at a small width suit larger ones?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from benchmarks.common.encoder_scores import KNN, LOGISTIC, UNITS
from benchmarks.common.encoder_screens import Cells
from benchmarks.common.encoder_trainings import trained
from benchmarks.common.harness import Row

WIDTHS = (0.125, 0.25, 0.5)
SETTINGS: tuple[tuple[str | float, float], ...] = (
    ("torch", 3e-4),
    ("torch", 1e-3),
    ("torch", 3e-3),
    ("glorot", 1e-3),
    (0.5, 1e-3),
)  # initial weights and learning rate: a cross through the recipe's, which are the second
EPOCHS, SEEDS = 2, 2  # epochs at a constant rate


def swept_rows(cells: Cells) -> Iterator[Row]:
    """Scores by seed, width, initial weights and learning rate, after few epochs at a constant rate."""
    what = next(iter(cells.questions))
    config = replace(
        cells.encoder, start="none", epochs=EPOCHS, schedule="constant", warm_up=0.0, precision="bf16"
    )
    for seed, width, (weights, rate) in product(range(SEEDS), WIDTHS, SETTINGS):
        each = replace(config, seed=seed, width=width, initial_weights=weights, learning_rate=rate)
        swept = trained(cells, each)
        about = (
            f"{cells.about}: {what}: sweep, {EPOCHS} epochs, seed {seed}, width {width:g}, "
            f"initial weights {weights}, learning rate {rate:g}, {swept.layer}"
        )
        for way in (KNN, LOGISTIC):
            yield Row(f"{about}, {way} ({swept.seconds:.0f} s)", swept.score(what, way), UNITS[way], n=1)
