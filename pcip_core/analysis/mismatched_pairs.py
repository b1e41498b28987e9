"""Which cells are compared in `mismatch`: sources and targets of different labels, and what stands for each label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from pcip_core.errors import EvaluationError, ShapeError


@dataclass(frozen=True)
class Pair:
    """A source and a target of different labels, with the cells that stand for each label; all are positions.

    Attributes:
        source, target: the two cells.
        same: other cells of the source's label.
        matching: as many of the target's.
    """

    source: int
    target: int
    same: np.ndarray
    matching: np.ndarray

    @property
    def sources(self) -> np.ndarray:
        """All cells from which this target is predicted: the source, `same`, `matching`."""
        return np.concatenate([[self.source], self.same, self.matching])


@dataclass(frozen=True)
class Drawn:
    """Pairs to compare, and the labels with cells in one image only, for which nothing can be compared."""

    pairs: list[Pair]
    left_out: list[str]

    @property
    def cells(self) -> np.ndarray:
        """Positions of all cells that take part, each once."""
        return np.unique([cell for pair in self.pairs for cell in (pair.target, *pair.sources)])


def draw_pairs(
    labels: np.ndarray,
    image: np.ndarray,
    *,
    each: int = 2,
    most: int = 150,
    references: int = 5,
    seed: int = 0,
) -> Drawn:
    """Pairs of cells of different labels; which crops are needed is known before any is read.

    Args:
        labels: (n,) localization of each cell: one term, "" for cells to leave out.
        image: (n,) image of each cell.
        each: pairs of every ordered pair of labels; the same two cells are taken once.
        most: pairs in all. Where `each` would give more, it is lowered; where there are more ordered pairs of
            labels than this, as many of them are taken that each label is a source as often as a target.
        references: other sources in each mean; fewer where a label has fewer cells in other images.
        seed: every draw is a function of it, of the two labels and of the number of the pair, so that the
            pairs of two labels do not depend on which others there are.

    Raises:
        ShapeError: lengths differ.
        EvaluationError: fewer than two labels with two images or more.
    """
    labels, image = np.asarray(labels, dtype=str), np.asarray(image)
    if len(labels) != len(image):
        raise ShapeError(
            "pairs of labels",
            found=f"{len(labels)} labels, {len(image)} images",
            required="one of each for every cell",
            remedy="Pass arrays of one length.",
        )
    usable, left_out = _usable(labels, image)
    order = sorted(usable, key=lambda term: _generator([term], seed, 0).random())
    turns = (
        (term, order[(i + turn) % len(order)])
        for turn in range(1, len(order))
        for i, term in enumerate(order)
    )
    swaps = sorted(islice(turns, most))
    found: dict[tuple[int, int], Pair] = {}
    for swap in swaps:
        for number in range(min(each, max(most // len(swaps), 1))):
            pair = _draw(labels, image, *swap, references, _generator(swap, seed, number + 1))
            if len(pair.same):  # none where images hold several labels and all others of one are the target's
                found.setdefault((pair.source, pair.target), pair)
    if len(usable) < 2 or not found:
        raise EvaluationError(
            "mismatch",
            found=f"{len(usable)} labels with two images or more, of {len(usable) + len(left_out)}",
            required="two labels or more, each with cells in images beside those of a pair",
            remedy="Give cells of more images.",
        )
    return Drawn(list(found.values()), left_out)


def _usable(labels: np.ndarray, image: np.ndarray) -> tuple[list[str], list[str]]:
    """Labels with cells in two images or more, and the others."""
    terms, of_label = np.unique(labels, return_inverse=True)
    images, of_image = np.unique(image, return_inverse=True)
    together = np.unique(of_label * len(images) + of_image) // max(len(images), 1)
    enough = np.bincount(together, minlength=len(terms)) >= 2
    named = terms != ""
    return terms[named & enough].tolist(), terms[named & ~enough].tolist()


def _generator(terms: Sequence[str], seed: int, number: int) -> np.random.Generator:
    """Of the draws of one label, or of one pair of labels."""
    words = [int.from_bytes(term.encode(), "little") for term in terms]
    return np.random.default_rng([seed % 2**64, number, len(terms[0]), *words])


def _draw(
    labels: np.ndarray,
    image: np.ndarray,
    source_label: str,
    target_label: str,
    references: int,
    rng: np.random.Generator,
) -> Pair:
    """A source, a target, other cells of the source's label, and as many of the target's."""
    source = rng.choice(np.flatnonzero(labels == source_label))
    target = rng.choice(np.flatnonzero(labels == target_label))
    pools = [
        np.flatnonzero((labels == labels[cell]) & (image != image[cell]) & (image != image[target]))
        for cell in (source, target)
    ]
    count = min(references, *(len(pool) for pool in pools))
    same, matching = (rng.choice(pool, count, replace=False) for pool in pools)
    return Pair(int(source), int(target), same, matching)
