"""Mean features of groups of cells: one mean per protein, or per protein and cell line."""

from __future__ import annotations

import numpy as np
import polars as pl

from pcip_core.features.blocks import Features, sums_of_groups


def group_means(features: Features, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the mean features of groups of cells.

    Args:
        features: (n, d), in memory or read one block at a time.
        group: (n,) number of each cell's group, 0 to g - 1; each group has a cell. Cells with a number below 0
            belong to no group.

    Returns:
        (g, d) float64 means, and (g,) numbers of cells.

    >>> means, counts = group_means(np.array([[1.0], [3.0], [5.0]]), np.array([0, 0, 1]))
    >>> means.ravel().tolist(), counts.tolist()
    ([2.0, 5.0], [2, 1])
    """
    sums, counts = sums_of_groups(features, group, int(group.max(initial=-1)) + 1)
    return sums / counts[:, None], counts


def means_by_image(
    features: Features, image: np.ndarray, keys: pl.DataFrame
) -> tuple[pl.DataFrame, np.ndarray]:
    """Compute the mean features of the cells of all images with the same key, such as a protein.

    Args:
        features: (n, d), in memory or read one block at a time.
        image: (n,) number of each cell's image; each image has a cell.
        keys: one row per image, in the order of their numbers; all its columns together are the key. The cells of
            an image with a null are excluded.

    Returns:
        The g keys in sorted order with the column `n_cells`, and (g, d) float64 means.

    >>> keys = pl.DataFrame({"protein": ["B", "A"]})
    >>> groups, means = means_by_image(np.array([[1.0], [3.0], [5.0]]), np.array([0, 0, 1]), keys)
    >>> groups.rows(), means.ravel().tolist()
    ([('A', 1), ('B', 2)], [5.0, 2.0])
    """
    names = keys.columns
    distinct = keys.drop_nulls().unique().sort(names)
    numbered = keys.join(distinct.with_row_index("group"), on=names, how="left", maintain_order="left")
    of_image = numbered["group"].cast(pl.Int64).fill_null(-1).to_numpy()
    means, counts = group_means(features, of_image[image])
    return distinct.with_columns(pl.Series("n_cells", counts, dtype=pl.Int64)), means
