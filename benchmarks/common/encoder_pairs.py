"""Harder pairs: what an encoder learns if the cells of a pair differ in shape (`encoder.hardest_of`)."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchmarks.common.encoder_scores import KNN, LOGISTIC, RETRIEVAL, UNITS
from benchmarks.common.encoder_screens import BLANK, Cells
from benchmarks.common.encoder_trainings import Trained, papers_settings, trained
from benchmarks.common.harness import Row
from pcip_core.spec.training import EncoderConfig

HARDEST_OF = (1, 4, 16)
SEEDS = 3
_EPOCHS = 10  # where the shipped settings take the start as it is


def harder_rows(cells: Cells) -> Iterator[Row]:
    """Medians of the scores by the number of partners that are drawn, by the shipped settings."""
    config = replace(cells.encoder, epochs=cells.encoder.epochs or _EPOCHS)
    yield from _rows(cells, "shipped settings", config)


def papers_harder_rows(cells: Cells) -> Iterator[Row]:
    """The same by the paper's settings."""
    yield from _rows(cells, "the paper's settings", papers_settings(cells))


def _rows(cells: Cells, name: str, config: EncoderConfig) -> Iterator[Row]:
    if BLANK in cells.structural:
        yield Row(f"{cells.about}: harder pairs, {name}: not run: no structural channel", None)
        return
    first: Sequence[Trained] = ()
    for of in HARDEST_OF:
        several = [trained(cells, replace(config, hardest_of=of, seed=seed)) for seed in range(SEEDS)]
        first = first or several
        about = f"{name}, {config.epochs} epochs, hardest of {of}"
        yield from _against(cells, about, several, first)


def _against(cells: Cells, about: str, several: Sequence[Trained], first: Sequence[Trained]) -> Iterator[Row]:
    """The medians of several trainings, against those with any partner."""
    seconds = statistics.median(each.seconds for each in several)
    for what in cells.questions:
        for way in (KNN, LOGISTIC, RETRIEVAL):
            values, against = ([each.score(what, way) for each in group] for group in (several, first))
            value, base = statistics.median(values), statistics.median(against)
            yield Row(
                what=f"{cells.about}: {what}: {about}, {several[0].layer}, {way} ({seconds:.0f} s)",
                value=value,
                unit=UNITS[way],
                against=f"hardest of {HARDEST_OF[0]}",
                against_value=base,
                ratio=value / base,
                n=len(values),
                spread=(min(values), max(values)),
            )
