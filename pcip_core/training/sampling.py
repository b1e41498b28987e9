"""Every random draw of a training: pairs within an image, drawn anew each epoch (paper, "Sampling Pairs"), the
order and the flips of cells, the cells and images held out, the units that dropout keeps.

Every draw is a function of (seed, epoch, cell) and of what is drawn, by a counter-based generator
(splitmix64, Steele et al. 2014): no state is kept, so that an epoch can be repeated or resumed alone.
"""

from __future__ import annotations

import numpy as np

from pcip_core.errors import TrainingError

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
)
_DRAWS = {name: np.uint64(number) for number, name in enumerate(_NAMES)}  # a new name goes to the end


def keyed_bits(what: str, seed: int, epoch: int, cells: np.ndarray) -> np.ndarray:
    """64 random bits for each cell.

    Args:
        what: the purpose of the draw; draws for different purposes are independent.
        seed, epoch: the rest of the key.
        cells: (n,) numbers of the cells.

    Returns:
        (n,) uint64.
    """
    with np.errstate(over="ignore"):
        key = _mixed(np.uint64(seed % 2**64) + _GOLDEN)
        key = _mixed(key + np.uint64(epoch % 2**64) * _GOLDEN)
        key = _mixed(key + _DRAWS[what] * _GOLDEN)
        return _mixed(key + cells.astype(np.uint64) * _GOLDEN)


def keyed_uniform(what: str, seed: int, epoch: int, cells: np.ndarray) -> np.ndarray:
    """(n,) float64 in [0, 1), one for each cell."""
    return (keyed_bits(what, seed, epoch, cells) >> np.uint64(11)) * 2.0**-53


def _mixed(x: np.ndarray | np.uint64) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


def draw_partners(image: np.ndarray, *, seed: int, epoch: int) -> np.ndarray:
    """For each cell another cell of its image, each of the others equally likely.

    Args:
        image: (n,) integer number of each cell's image.
        seed, epoch: the key of the draw.

    Returns:
        (n,) positions in `image`.

    Raises:
        TrainingError: an image has one cell only.
    """
    order = np.argsort(image, kind="stable")
    _, start, inverse, count = np.unique(
        image[order], return_index=True, return_inverse=True, return_counts=True
    )
    if len(count) and count.min() < 2:
        lonely = int(image[order][start[count.argmin()]])
        raise TrainingError(
            f"image number {lonely}",
            found="one cell",
            required="two or more: a pair is two cells of one image",
            remedy="Leave the image out (crops.min_cells in the spec).",
        )
    n = count[inverse]
    rank = np.arange(len(image)) - start[inverse]
    step = 1 + (keyed_uniform("target", seed, epoch, order) * (n - 1)).astype(np.int64)
    partner = np.empty(len(image), np.int64)
    partner[order] = order[start[inverse] + (rank + step) % n]
    return partner


def draw_order(n: int, *, seed: int, epoch: int) -> np.ndarray:
    """The order in which an epoch takes n cells: (n,) positions."""
    return np.argsort(keyed_bits("order", seed, epoch, np.arange(n)), kind="stable")


def draw_flips(n: int, *, seed: int, epoch: int) -> np.ndarray:
    """Whether to flip source vertically, source horizontally, target vertically, target horizontally.

    Returns:
        (n, 4) bool, all independent (paper, "Datasets, Preprocessing, and Training").
    """
    bits = keyed_bits("flips", seed, epoch, np.arange(n))
    return ((bits[:, None] >> np.arange(60, 64, dtype=np.uint64)) & np.uint64(1)).astype(bool)


def hold_out(image: np.ndarray, *, fraction: float, seed: int) -> np.ndarray:
    """Cells that are kept for validation: `fraction` of each image, leaving at least two to train on.

    A fraction of a cell is rounded up or down at random, so that small images give their share as well.

    Returns:
        (n,) bool.
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
    """Whether to transpose a cell, flip it vertically, flip it horizontally: (n, 3) bool, all independent.

    Together all eight flips and quarter turns of a square, each equally likely.
    """
    bits = keyed_bits("turns", seed, epoch, np.arange(n))
    return ((bits[:, None] >> np.arange(61, 64, dtype=np.uint64)) & np.uint64(1)).astype(bool)


def draw_shifts(n: int, *, most: int, seed: int, epoch: int) -> np.ndarray:
    """By how many pixels to shift a cell down and across: (n, 2) integers from -most to most."""
    draws = [keyed_uniform(name, seed, epoch, np.arange(n)) for name in ("down", "across")]
    return np.floor(np.stack(draws, 1) * (2 * most + 1)).astype(np.int64) - most


def draw_kept(cells: np.ndarray, units: int, *, seed: int, epoch: int) -> np.ndarray:
    """Which units dropout keeps for each of (B,) cells: (B, units) bool, each with a chance of one half."""
    words = -(-units // 64)
    bits = keyed_bits("dropout", seed, epoch, cells[:, None] * words + np.arange(words))  # (B, words)
    return np.unpackbits(bits.astype("<u8").view(np.uint8), axis=1)[:, :units].astype(bool)


def hold_out_images(image: np.ndarray, labels: np.ndarray, *, fraction: float, seed: int) -> np.ndarray:
    """Whole images that are kept for validation or test: about `fraction` of each class's images.

    Class by class, from the one with fewest images: at least one image of a class that has two (unless the
    fraction is 0), but never the last one of any class. A class with one image so stays in training; where
    images hold cells of several classes, some classes get more or less than their share.

    Args:
        image: (n,) integer number of each cell's image.
        labels: (n,) class of each cell.
        fraction: share of images, in [0, 1).
        seed: the key of the draw.

    Returns:
        (n,) bool, the same for all cells of an image.
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
