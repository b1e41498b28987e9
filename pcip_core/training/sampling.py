"""All random draws of a training: pairs of cells of an image or a protein, redrawn each epoch (paper, "Sampling
Pairs"), order, flips and other changes of cells, held-out cells and images, and units kept by dropout.

Every draw is a function of the seed, the epoch, the cell and the purpose of the draw, computed with a counter-based
generator (splitmix64, Steele et al. 2014). The generator has no state, so each epoch can be repeated or resumed
separately.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pcip_core.errors import TrainingError
from pcip_core.words import many, verb

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_NAMES = (
    "target",
    "order",
    "flips",
    "held_out",
    "quota",
    "turns",
    "down",
    "across",
    "dropout",
    "held_images",
    "transposed",
    "scale",
    "blur",
    "intensity",
    "another_image",
    "elsewhere",
)
_DRAWS = {name: np.uint64(number) for number, name in enumerate(_NAMES)}  # append new names at the end
_MOST_CELLS = 2**40  # of a training; further draws of a cell add multiples of this to its number


def keyed_bits(purpose: str, seed: int, epoch: int, cells: np.ndarray) -> np.ndarray:
    """Draw 64 random bits for each cell.

    Args:
        purpose: the purpose of the draw, one of `_NAMES`; draws for different purposes are independent.
        seed, epoch: the rest of the key.
        cells: (n,) numbers of the cells.

    Returns:
        (n,) uint64.

    >>> keyed_bits("order", 0, 1, np.arange(2)).tolist()
    [9451143353636776879, 2391539541053276776]
    """
    with np.errstate(over="ignore"):
        key = _mixed(np.uint64(seed % 2**64) + _GOLDEN)
        key = _mixed(key + np.uint64(epoch % 2**64) * _GOLDEN)
        key = _mixed(key + _DRAWS[purpose] * _GOLDEN)
        return _mixed(key + cells.astype(np.uint64) * _GOLDEN)


def keyed_uniform(purpose: str, seed: int, epoch: int, cells: np.ndarray) -> np.ndarray:
    """Draw a uniform number for each cell: (n,) float64 in [0, 1). The arguments are those of `keyed_bits`."""
    return (keyed_bits(purpose, seed, epoch, cells) >> np.uint64(11)) * 2.0**-53


def _mixed(x: np.ndarray | np.uint64) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


@dataclass(frozen=True)
class Harder:
    """How to draw pairs of cells that differ in shape: of several partners of a cell, take the one that differs most.

    The more partners are drawn, the more often the few most unusual cells of an image are taken. If the partners
    outnumber the cells of an image, some of its cells are hardly ever a partner.

    Attributes:
        shapes: (n, F) numbers that describe the shape of each cell; two cells differ by their Euclidean distance.
        of: number of partners that are drawn for each cell, independently; some may be the same cell.
    """

    shapes: np.ndarray
    of: int

    def more_different(self, partners: np.ndarray, others: np.ndarray) -> np.ndarray:
        """For each cell, the one of two partners that differs more from it, the first of equals: (n,) positions."""
        of_partner, of_other = (
            ((self.shapes - self.shapes[each]) ** 2).sum(1) for each in (partners, others)
        )
        return np.where(of_other > of_partner, others, partners)


def draw_partners(
    image: np.ndarray,
    protein: np.ndarray | None = None,
    *,
    across: float = 0.0,
    harder: Harder | None = None,
    seed: int,
    epoch: int,
) -> np.ndarray:
    """Draw for each cell another cell of its image, or a cell of another image of its protein.

    All possible partners are equally likely, unless harder ones are asked for. If both kinds are asked for, a cell
    that has partners of one kind only gets one of these.

    Args:
        image: (n,) integer number of the image of each cell.
        protein: (n,) protein of each cell, equal for all cells of an image; needed for partners in other images.
        across: the probability of a partner in another image.
        harder: prefer partners that differ in shape from the cell (paper, Discussion: "harder pairs where the
            morphology of the cells differs more drastically"). Their kinds have the same probability as without.
        seed, epoch: the key of the draw.

    Returns:
        (n,) positions in `image`.

    Raises:
        TrainingError: a cell has no partner: its image has only one cell, or its protein only one image.

    >>> draw_partners(np.array([0, 1, 0, 1]), seed=0, epoch=1).tolist()
    [2, 3, 0, 1]
    >>> draw_partners(np.array([0, 1, 2, 3]), np.array(["A", "A", "B", "B"]), across=1.0, seed=0, epoch=1).tolist()
    [1, 0, 3, 2]
    """
    protein = np.zeros(len(image), np.int64) if protein is None else protein
    order = np.lexsort((image, protein))
    start, count = _blocks(protein[order], image[order])
    first, total = _blocks(protein[order])
    another = keyed_uniform("another_image", seed, epoch, order) < across
    if 0 < across < 1:
        another = (another & (total > count)) | (count < 2)
    lacking = order[np.where(another, total == count, count < 2)]
    if len(lacking):
        raise _without_partner(image, protein, lacking, across)
    rank = np.arange(len(image)) - start

    def drawn(number: int) -> np.ndarray:
        """The partners of a draw, of which each has another number."""
        key = order + number * _MOST_CELLS
        step = 1 + (keyed_uniform("target", seed, epoch, key) * (count - 1)).astype(np.int64)
        within = start + (rank + step) % count
        step = count + (keyed_uniform("elsewhere", seed, epoch, key) * (total - count)).astype(np.int64)
        partner = np.empty(len(image), np.int64)
        partner[order] = order[np.where(another, first + (start - first + step) % total, within)]
        return partner

    chosen = drawn(0)
    if harder is not None:
        for number in range(1, harder.of):
            chosen = harder.more_different(chosen, drawn(number))
    return chosen


def _blocks(*keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the first position and the length of the run of equal keys around each of n sorted rows."""
    begins = np.ones(len(keys[0]), bool)
    begins[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    start, run = np.flatnonzero(begins), np.cumsum(begins) - 1
    return start[run], np.diff(start, append=len(begins))[run]


def _without_partner(
    image: np.ndarray, protein: np.ndarray, lacking: np.ndarray, across: float
) -> TrainingError:
    """Name the first image or protein, of those whose cells (positions) have no partner, and count them."""
    if across == 1:
        few, every = np.unique(protein[lacking]), np.unique(protein)
        return TrainingError(
            f"protein {few[0]}",
            found=f"one image ({len(few):,} of {many(len(every), 'protein', ',')} {verb(len(few), 'have')} one)",
            required="at least two images, because a pair consists of cells of two images of the same protein",
            remedy="Set encoder.pairs to mixed or same_image, or leave out the images of these proteins.",
        )
    few, every = np.unique(image[lacking]), np.unique(image)
    return TrainingError(
        f"image number {few[0]}",
        found=f"one cell ({len(few):,} of {many(len(every), 'image', ',')} {verb(len(few), 'have')} one"
        f"{' and no other image of their protein' if across else ''})",
        required="at least two cells, because a pair consists of two cells of the same image",
        remedy="Exclude the image (crops.min_cells in the spec).",
    )


def draw_order(n: int, *, seed: int, epoch: int) -> np.ndarray:
    """Draw the order of n cells in an epoch: (n,) positions.

    >>> sorted(draw_order(4, seed=0, epoch=1).tolist())
    [0, 1, 2, 3]
    """
    return np.argsort(keyed_bits("order", seed, epoch, np.arange(n)), kind="stable")


def draw_flips(n: int, *, seed: int, epoch: int) -> np.ndarray:
    """Draw whether to flip the source vertically and horizontally, and the target vertically and horizontally.

    Returns:
        (n, 4) bool, all independent (paper, "Datasets, Preprocessing, and Training").

    >>> draw_flips(100, seed=0, epoch=1).mean(0).round(1).tolist()
    [0.5, 0.5, 0.5, 0.5]
    """
    bits = keyed_bits("flips", seed, epoch, np.arange(n))
    return ((bits[:, None] >> np.arange(60, 64, dtype=np.uint64)) & np.uint64(1)).astype(bool)


def hold_out(image: np.ndarray, *, fraction: float, seed: int) -> np.ndarray:
    """Select cells for validation: `fraction` of the cells of each image, leaving at least two for training.

    Fractional numbers of cells are rounded up or down at random, so that small images contribute their share.

    Args:
        image: (n,) integer number of the image of each cell.
        fraction: share of cells, in [0, 1).
        seed: the key of the draw.

    Returns:
        (n,) bool.

    >>> image = np.repeat([0, 1], 10)
    >>> held = hold_out(image, fraction=0.2, seed=0)
    >>> np.bincount(image[held]).tolist()
    [2, 2]
    """
    images, inverse, count = np.unique(image, return_inverse=True, return_counts=True)
    chance = keyed_uniform("quota", seed, 0, np.arange(len(images)))
    quota = np.minimum(np.floor(count * fraction + chance).astype(np.int64), count - 2)
    order = np.lexsort((keyed_bits("held_out", seed, 0, np.arange(len(image))), inverse))
    start = np.cumsum(count) - count
    held = np.empty(len(image), bool)
    held[order] = np.arange(len(image)) - start[inverse[order]] < quota[inverse[order]]
    return held


def draw_turns(n: int, *, seed: int, epoch: int) -> np.ndarray:
    """Draw whether to transpose a cell, flip it vertically and flip it horizontally: (n, 3) bool, all independent.

    Together these yield the eight symmetries of a square with equal probability.

    >>> draw_turns(100, seed=0, epoch=1).shape
    (100, 3)
    """
    bits = keyed_bits("turns", seed, epoch, np.arange(n))
    return ((bits[:, None] >> np.arange(61, 64, dtype=np.uint64)) & np.uint64(1)).astype(bool)


def draw_shifts(n: int, *, most: int, seed: int, epoch: int) -> np.ndarray:
    """Draw the vertical and horizontal shift of each cell in px: (n, 2) integers from -most to most.

    >>> shifts = draw_shifts(100, most=2, seed=0, epoch=1)
    >>> shifts.min(0).tolist(), shifts.max(0).tolist()
    ([-2, -2], [2, 2])
    """
    draws = [keyed_uniform(name, seed, epoch, np.arange(n)) for name in ("down", "across")]
    return np.floor(np.stack(draws, 1) * (2 * most + 1)).astype(np.int64) - most


def draw_kept(cells: np.ndarray, units: int, *, seed: int, epoch: int) -> np.ndarray:
    """Draw the units that dropout keeps for each of (B,) cells: (B, units) bool, each with probability 1/2.

    >>> draw_kept(np.arange(3), 100, seed=0, epoch=1).shape
    (3, 100)
    """
    words = -(-units // 64)
    bits = keyed_bits("dropout", seed, epoch, cells[:, None] * words + np.arange(words))  # (B, words)
    return np.unpackbits(bits.astype("<u8").view(np.uint8), axis=1)[:, :units].astype(bool)


def hold_out_images(image: np.ndarray, labels: np.ndarray, *, fraction: float, seed: int) -> np.ndarray:
    """Select whole images for validation or test: about `fraction` of the images of each class.

    Classes are processed in ascending order of their number of images. At least one image is held out for each class
    with two or more images (unless the fraction is 0), but never the last training image of a class. A class with one
    image thus stays in the training set. If images contain cells of several classes, some classes get more or less
    than their share.

    Args:
        image: (n,) integer number of the image of each cell.
        labels: (n,) class of each cell.
        fraction: share of images, in [0, 1).
        seed: the key of the draw.

    Returns:
        (n,) bool, equal for all cells of an image.

    >>> image, labels = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 0, 0, 1, 1])
    >>> held = hold_out_images(image, labels, fraction=0.5, seed=0)
    >>> len(set(image[held].tolist())), bool(held[labels == 1].any())
    (1, False)
    """
    images, of_image = np.unique(image, return_inverse=True)
    classes, of_class = np.unique(labels, return_inverse=True)
    has = np.zeros((len(images), len(classes)), bool)  # whether an image has cells of a class
    has[of_image, of_class] = True
    left = has.sum(0)  # images of each class that are trained on
    wanted = np.clip(np.rint(left * fraction), min(1, np.ceil(fraction)), left - 1)
    held = np.zeros(len(images), bool)
    order = np.argsort(keyed_bits("held_images", seed, 0, np.arange(len(images))), kind="stable")
    for label in np.argsort(left, kind="stable"):
        for candidate in order[has[order, label] & ~held[order]]:
            if (held & has[:, label]).sum() >= wanted[label]:
                break
            if left[has[candidate]].min() > 1:
                held[candidate] = True
                left[has[candidate]] -= 1
    return held[of_image]
