"""The numbers that the paper prints for its screens. They are shown beside our results, and never mixed with them.

`paper_numbers.csv` gives the table and row of each number. For the autoencoder, the paper reports the best layer
without naming it, so its feature set here is `autoencoder`. `CONTRADICTIONS` lists the places where the paper
contradicts itself.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CONTRADICTIONS = (
    "Supervised features, 11-NN: 92.39 in the text, 92.44 in Supplementary Table 1.",
    '"k = 11 produced the best results for all feature sets": in Supplementary Table 1 the autoencoder is best with '
    "k = 50 (47.19; 42.50 with both 11 and 25).",
    '"Regardless of k, feature representations were ranked the same": in Supplementary Table 1 VGG16 is above '
    "CellProfiler for k = 1, 5 and 11, and below it for 25 and 50.",
)
"""Statements of the paper that contradict each other."""

_FILE = Path(__file__).with_name("paper_numbers.csv")


@dataclass(frozen=True)
class PaperNumber:
    """One printed number.

    Attributes:
        source, row, column: table or section, row and column in which it is printed.
        screen: name of the screen here: `chong_labelled_cells` (30,889 labelled yeast cells) or
            `human_protein_atlas` (638,640 cells).
        feature_set, classifier, parameter, protocol, metric: as in main.benchmarks; '' where the paper has none.
        value: in the units of main.benchmarks; accuracies from 0 to 1.
        printed: as printed; accuracies in per cent.
    """

    source: str
    row: str
    column: str
    screen: str
    feature_set: str
    classifier: str
    parameter: str
    protocol: str
    metric: str
    value: float
    printed: str


@cache
def all_paper_numbers() -> tuple[PaperNumber, ...]:
    """Read all numbers, in the order of the file."""
    with _FILE.open(newline="") as file:
        rows = [dict(row) for row in csv.DictReader(file)]
    return tuple(PaperNumber(value=float(row.pop("value")), **row) for row in rows)


def paper_numbers(screen: str) -> list[PaperNumber]:
    """Select the numbers of one screen; none for screens that are not in the paper.

    >>> len(paper_numbers("demo"))
    0
    """
    return [number for number in all_paper_numbers() if number.screen == screen]
