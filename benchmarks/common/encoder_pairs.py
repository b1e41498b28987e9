"""Values of a setting of pairs, with three seeds each: harder pairs, and the length of the vectors that agree."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product

from benchmarks.common.encoder_scores import KNN, LOGISTIC, RETRIEVAL, UNITS
from benchmarks.common.encoder_screens import BLANK, Cells
from benchmarks.common.encoder_trainings import papers_settings, trained
from benchmarks.common.harness import Row
from pcip_core.spec.training import EncoderConfig

HARDEST_OF = (1, 4, 16)
VECTORS = (64, 256, 1024)
SEEDS = 3
_EPOCHS = 10  # where the shipped settings take the start as it is


def harder_rows(cells: Cells) -> Iterator[Row]:
    """Scores by the number of partners that are drawn (`encoder.hardest_of`), by the shipped settings."""
    yield from _harder(cells, "shipped settings", _shipped(cells))


def papers_harder_rows(cells: Cells) -> Iterator[Row]:
    """The same by the paper's settings."""
    yield from _harder(cells, "the paper's settings", papers_settings(cells))


def vector_rows(cells: Cells) -> Iterator[Row]:
    """Scores by the length of the vectors that agree (`encoder.projector`), by the shipped settings."""
    config = _shipped(cells)
    settings = {f"vectors of {length}": replace(config, projector=length) for length in VECTORS}
    yield from _compared(cells, f"shipped settings, {config.epochs} epochs", settings)


def _shipped(cells: Cells) -> EncoderConfig:
    return replace(cells.encoder, epochs=cells.encoder.epochs or _EPOCHS)


def _harder(cells: Cells, name: str, config: EncoderConfig) -> Iterator[Row]:
    if BLANK in cells.structural:
        yield Row(f"{cells.about}: harder pairs, {name}: not run: no structural channel", None)
        return
    settings = {f"hardest of {of}": replace(config, hardest_of=of) for of in HARDEST_OF}
    yield from _compared(cells, f"{name}, {config.epochs} epochs", settings)


def _compared(cells: Cells, about: str, settings: Mapping[str, EncoderConfig]) -> Iterator[Row]:
    """Medians of the scores of several trainings by each of some settings, against those by the first."""
    base, first = next(iter(settings)), None
    for name, config in settings.items():
        several = [trained(cells, replace(config, seed=seed)) for seed in range(SEEDS)]
        first = first or several
        seconds = statistics.median(each.seconds for each in several)
        for what, way in product(cells.questions, (KNN, LOGISTIC, RETRIEVAL)):
            values, against = ([each.score(what, way) for each in group] for group in (several, first))
            value, of_base = statistics.median(values), statistics.median(against)
            yield Row(
                what=f"{cells.about}: {what}: {about}, {name}, {several[0].layer}, {way} ({seconds:.0f} s)",
                value=value,
                unit=UNITS[way],
                against=base,
                against_value=of_base,
                ratio=value / of_base,
                n=len(values),
                spread=(min(values), max(values)),
            )
