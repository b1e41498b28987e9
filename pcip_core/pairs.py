"""Which cell is predicted from which: pairs within an image, drawn anew each epoch (paper, "Sampling Pairs").

Every draw is a function of (seed, epoch, cell) and of what is drawn, by a counter-based generator
(splitmix64, Steele et al. 2014): no state is kept, so that an epoch can be repeated or resumed alone.
"""

from __future__ import annotations

import numpy as np

from pcip_core.errors import TrainingError

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_DRAWS = {
    name: np.uint64(number) for number, name in enumerate(("target", "order", "flips", "held_out", "quota"))
}


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
