"""The rows of the protein map: the mean features of each protein, or of each protein in each cell line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from pcip_core.features.blocks import Features
from pcip_core.features.means import means_by_image


@dataclass(frozen=True)
class Proteins:
    """The rows to cluster.

    Attributes:
        names: n row names, `PROTEIN` or `PROTEIN (line)`.
        proteins: n names of the proteins.
        means: (n, d) mean features of the cells of each row.
    """

    names: list[str]
    proteins: list[str]
    means: np.ndarray


def mean_proteins(
    features: Features, image: np.ndarray, images: pl.DataFrame, *, by_line: bool = False
) -> Proteins:
    """Compute the mean features of the cells of each protein.

    Args:
        features: (n, d), in memory or read one block at a time.
        image: (n,) number of each cell's image; each image has a cell.
        images: one row per image, in the order of their numbers, with `protein` and `cell_line`. The cells of an
            image without a protein are excluded.
        by_line: whether the cells of each cell line of a protein form a separate row. The name of a row with an
            unknown cell line is that of the protein.

    >>> images = pl.DataFrame({"protein": ["B", "A"], "cell_line": ["U2OS", None]})
    >>> rows = mean_proteins(np.array([[1.0], [3.0]]), np.array([0, 1]), images, by_line=True)
    >>> rows.names, rows.means.tolist()
    (['A', 'B (U2OS)'], [[3.0], [1.0]])
    """
    protein = pl.col("protein")
    line = pl.col("cell_line").fill_null("") if by_line else pl.lit("")
    member = pl.when(line == "").then(protein).otherwise(pl.format("{} ({})", protein, line))
    keys = images.select(protein, pl.when(protein.is_not_null()).then(line).alias("line"), member=member)
    groups, means = means_by_image(features, image, keys)
    return Proteins(groups["member"].to_list(), groups["protein"].to_list(), means)


def terms_of_proteins(images: pl.DataFrame, *, longest: int = 48) -> dict[str, str]:
    """Protein -> the localization terms of its images in one line, "" without any, for labels of figures.

    Args:
        images: one row per image, with `protein` and `localization`, a list.
        longest: longer lines are cut.

    >>> images = pl.DataFrame({"protein": ["A", "A", "B"], "localization": [["Nucleoli"], ["Cytosol"], []]})
    >>> terms_of_proteins(images)
    {'A': 'Cytosol, Nucleoli', 'B': ''}
    """
    lines = images.group_by("protein", maintain_order=True).agg(
        pl.col("localization")
        .list.explode(keep_nulls=False, empty_as_null=False)
        .unique()
        .sort()
        .str.join(", ")
    )
    return {
        protein: line if len(line) <= longest else f"{line[: longest - 1]}…"
        for protein, line in lines.iter_rows()
    }
