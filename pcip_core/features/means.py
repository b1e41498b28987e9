"""Features of many cells as one: the mean of each group (protein, image)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from pcip_core.features.blocks import Features, sums_of_groups

Key = TypeVar("Key", str, tuple[str, ...])


def group_means(features: Features, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean features of groups of cells.

    Args:
        features: (n, d), in memory or read a block at a time.
        group: (n,) number of each cell's group, 0 to g - 1; each group has a cell. Below 0: in none.

    Returns:
        (g, d) float64, and (g,) the cells of each group.
    """
    sums, counts = sums_of_groups(features, group, int(group.max(initial=-1)) + 1)
    return sums / counts[:, None], counts


def means_by_image(
    features: Features, image: np.ndarray, keys: Sequence[Key | None]
) -> tuple[list[Key], np.ndarray, np.ndarray]:
    """Mean features of the cells of all images of one key: a protein, or a protein and a cell line.

    Args:
        features: (n, d), in memory or read a block at a time.
        image: (n,) number of each cell's image.
        keys: of each image; each image has a cell. None: its cells are left out.

    Returns:
        The g keys in their order, (g, d) float64, and (g,) the cells of each.
    """
    present = sorted({key for key in keys if key is not None})
    number: dict[Key | None, int] = {key: place for place, key in enumerate(present)}
    of_image = np.array([number.get(key, -1) for key in keys], np.int64)
    means, counts = group_means(features, of_image[image])
    return present, means, counts
