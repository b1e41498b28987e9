"""What the protein map clusters: the mean features of each protein, or of each protein in a cell line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from pcip_core.features.blocks import Features
from pcip_core.features.means import means_by_image


@dataclass(frozen=True)
class Proteins:
    """The rows that are clustered.

    Attributes:
        names: n names, `PROTEIN` or `PROTEIN (line)`.
        proteins: n names of the protein itself.
        means: (n, d) mean features of the cells of each.
    """

    names: list[str]
    proteins: list[str]
    means: np.ndarray


def mean_proteins(
    features: Features, image: np.ndarray, images: pl.DataFrame, *, by_line: bool = False
) -> Proteins:
    """Mean features of the cells of each protein.

    Args:
        features: (n, d), in memory or read one block at a time.
        image: (n,) number of each cell's image; each image has a cell.
        images: one row per image, in the order of their numbers, with `protein` and `cell_line`. The cells of an
            image without a protein are excluded.
        by_line: whether the cells of each cell line of a protein form a row of their own. A cell line that is
            not known adds nothing to the name.
    """
    protein = pl.col("protein")
    line = pl.col("cell_line").fill_null("") if by_line else pl.lit("")
    member = pl.when(line == "").then(protein).otherwise(pl.format("{} ({})", protein, line))
    keys = images.select(protein, pl.when(protein.is_not_null()).then(line).alias("line"), member=member)
    groups, means = means_by_image(features, image, keys)
    return Proteins(groups["member"].to_list(), groups["protein"].to_list(), means)
