"""Sampling of cells for `mismatch`: sources and targets with different labels, and references for each label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

import numpy as np
import polars as pl

from pcip_core.errors import EvaluationError, ShapeError
from pcip_core.words import many


@dataclass(frozen=True)
class Pair:
    """A source and a target of different labels, with reference cells of each label; all are positions.

    Attributes:
        source, target: the two cells.
        same: other cells of the source's label.
        matching: as many other cells of the target's label.
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
    """Pairs to compare, and the excluded labels, whose cells are all in one image."""

    pairs: list[Pair]
    left_out: list[str]

    @property
    def cells(self) -> np.ndarray:
        """Distinct positions of all cells in the pairs."""
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
    """Draw pairs of cells of different labels, before any crop is read.

    Args:
        labels: (n,) localization of each cell: one term, "" for cells to leave out.
        image: (n,) image of each cell.
        each: pairs per ordered pair of labels; duplicates are dropped.
        most: largest number of pairs. Where `each` would give more, it is lowered; if there are more ordered pairs
            of labels than this, a balanced subset is used, in which each label is a source as often as a target.
        references: number of other sources in each mean; fewer if a label has fewer cells in other images.
        seed: each draw depends only on it, the two labels and the number of the pair, so that the pairs of two
            labels do not depend on the other labels.

    Raises:
        ShapeError: lengths differ.
        EvaluationError: fewer than two labels with two images or more.
    """
    labels, image = np.asarray(labels, dtype=str), np.asarray(image)
    if len(labels) != len(image):
        raise ShapeError(
            "pairs of labels",
            found=f"{many(len(labels), 'label')}, {many(len(image), 'image')}",
            required="one label and one image per cell",
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
    drawn: dict[tuple[int, int], Pair] = {}
    for swap in swaps:
        for number in range(min(each, max(most // len(swaps), 1))):
            pair = _draw(labels, image, *swap, references, _generator(swap, seed, number + 1))
            if len(pair.same):  # empty if all other cells of a label are in the target's image
                drawn.setdefault((pair.source, pair.target), pair)
    if len(usable) < 2 or not drawn:
        raise EvaluationError(
            "mismatch",
            found=f"{many(len(usable), 'label')} with two images or more, of {len(usable) + len(left_out)}",
            required="two labels or more, each with cells in images other than those of a pair",
            remedy="Pass cells of more images.",
        )
    return Drawn(list(drawn.values()), left_out)


def draw_held_out(
    labels: np.ndarray,
    held_out: np.ndarray | None,
    groups: Mapping[str, Callable[[], np.ndarray]],
    *,
    each: int,
    seed: int,
) -> tuple[Drawn, bool, str]:
    """Draw pairs of cells that were held out of the training, if these suffice; otherwise from all cells.

    Args:
        labels: (n,) as for `draw_pairs`.
        held_out: (n,) whether the cell was held out of the training; None if unknown.
        groups: name -> a function that gives the (n,) groups of cells, the preferred name first: `image` for
            `draw_pairs`, or a substitute if each label has only one image.
        each, seed: as for `draw_pairs`.

    Returns:
        The pairs, whether all their cells were held out, and the name of the groups.

    Raises:
        EvaluationError: all cells together have too few labels, or too few groups.
    """
    every = np.ones(len(labels), bool)
    choices = [every] if held_out is None else [held_out, every]
    tries = [(name, cells) for name in groups for cells in choices]
    for name, cells in tries[:-1]:
        with suppress(EvaluationError):
            drawn = draw_pairs(np.where(cells, labels, ""), groups[name](), each=each, seed=seed)
            return drawn, cells is held_out, name
    name, _ = tries[-1]
    return draw_pairs(labels, groups[name](), each=each, seed=seed), False, name


def pairs_of_many_labels(pairs: pl.DataFrame, n: int, seed: int) -> pl.DataFrame:
    """Draw at most n rows, one by one, each time among those whose labels have been drawn least.

    Args:
        pairs: rows with source_label and target_label.
        n: number of rows.
        seed: of the draw.

    Returns:
        The rows in their order.
    """
    labels = list(zip(pairs["source_label"], pairs["target_label"], strict=True))
    left = np.random.default_rng(seed).permutation(len(labels)).tolist()
    drawn: list[int] = []
    uses: Counter[tuple[int, str]] = Counter()  # of a label as source (0) or as target (1)
    for _ in range(min(n, len(labels))):
        row = min(left, key=lambda row: sum(uses[end] for end in enumerate(labels[row])))
        left.remove(row)
        drawn.append(row)
        uses.update(enumerate(labels[row]))
    return pairs[sorted(drawn)]


def _usable(labels: np.ndarray, image: np.ndarray) -> tuple[list[str], list[str]]:
    """Labels with cells in two or more images, and the remaining labels."""
    terms, of_label = np.unique(labels, return_inverse=True)
    images, of_image = np.unique(image, return_inverse=True)
    together = np.unique(of_label * len(images) + of_image) // max(len(images), 1)
    enough = np.bincount(together, minlength=len(terms)) >= 2
    named = terms != ""
    return terms[named & enough].tolist(), terms[named & ~enough].tolist()


def _generator(terms: Sequence[str], seed: int, number: int) -> np.random.Generator:
    """The random generator for one label, or for one pair of labels."""
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
    """Draw a source, a target, and equally many other cells of both labels."""
    source = rng.choice(np.flatnonzero(labels == source_label))
    target = rng.choice(np.flatnonzero(labels == target_label))
    pools = [
        np.flatnonzero((labels == labels[cell]) & (image != image[cell]) & (image != image[target]))
        for cell in (source, target)
    ]
    count = min(references, *(len(pool) for pool in pools))
    same, matching = (rng.choice(pool, count, replace=False) for pool in pools)
    return Pair(int(source), int(target), same, matching)
