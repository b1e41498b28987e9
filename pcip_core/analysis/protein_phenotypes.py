"""The phenotypes of chosen proteins of a screen: choice of proteins, clustering of their cells, and crops to draw."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pcip_core.analysis.phenotypes import MOST_CELLS, Phenotypes, phenotypes, sample_of
from pcip_core.errors import SpecError
from pcip_core.features.blocks import Columns, Features, rows_of
from pcip_core.spec.analyses import Phenotyping
from pcip_core.words import many

_CROPS, _CROPS_EACH = 12, 3  # largest numbers drawn per protein, and per phenotype
_NAMED = 10  # proteins in an error message


@dataclass(frozen=True)
class ProteinPhenotypes:
    """The phenotypes of the cells of one protein in one cell line.

    Attributes:
        result: the clusters of its n cells.
        table: one row per clustered cell: protein, cell_line, cell_id, image_id, phenotype, share, leaf,
            representative, x, y.
        shown: phenotype -> positions of its cells whose crops are drawn.
        captions: position -> letter of the cells whose crops are drawn, from left to right in the tree.
        cells: total number of its cells, of which n may be a sample.
    """

    result: Phenotypes
    table: pl.DataFrame
    shown: dict[int, list[int]]
    captions: dict[int, str]
    cells: int

    @property
    def shares(self) -> dict[int, float]:
        """Phenotype -> its share of the clustered cells."""
        return {each.cluster: each.share for each in self.result.phenotypes}

    @property
    def summary(self) -> dict[str, Any]:
        """Number and proportions of the phenotypes; `silhouette` is None if their number was given."""
        shares = self.shares
        summary = {
            "phenotypes": len(shares),
            "cells": self.table.height,
            "proportions": [round(share, 3) for share in shares.values()],
            "silhouette": self.result.silhouettes.get(len(shares)),
        }
        return summary | ({"sampled_of": self.cells} if self.table.height < self.cells else {})


def chosen_proteins(
    cells: pl.DataFrame, ranked: pl.DataFrame | None, settings: Phenotyping, where: str
) -> pl.DataFrame:
    """The proteins whose cells are clustered, each in one cell line.

    Args:
        cells: n rows with `protein` and `cell_line`, text or categorical.
        ranked: the table `variability`; read only if the settings name no protein.
        settings: the named proteins in each of their cell lines; without names, the most variable proteins with
            enough cells.
        where: location of the settings, for error messages.

    Returns:
        protein, cell_line, and `n_cell_lines` of the protein, in the order named or ranked.

    Raises:
        SpecError: a named protein has no cells.
    """
    known = cells.select("protein", "cell_line").unique().select(pl.all().cast(pl.String))
    known = known.sort("protein", "cell_line").with_columns(n_cell_lines=pl.len().over("protein"))
    if not settings.proteins:
        assert ranked is not None
        enough = ranked.filter(pl.col("n") >= settings.least_cells).sort("rank")
        most_variable = enough.head(settings.most_variable).select("protein", "cell_line")
        return most_variable.join(known, on=["protein", "cell_line"], how="left", maintain_order="left")
    names = known["protein"].unique(maintain_order=True).to_list()
    if unknown := [protein for protein in settings.proteins if protein not in names]:
        raise SpecError(
            where,
            found=f"no cells of {', '.join(unknown)}",
            required=f"some of {many(len(names), 'protein')}: {', '.join(names[:_NAMED])}"
            + (", ..." if len(names) > _NAMED else ""),
            remedy="Correct the names; spelling and case matter.",
        )
    named = pl.DataFrame({"protein": list(dict.fromkeys(settings.proteins))})
    return named.join(known, on="protein", how="left", maintain_order="left_right")


def protein_phenotypes(
    features: Features,
    cells: pl.DataFrame,
    rows: np.ndarray,
    *,
    columns: Columns,
    settings: Phenotyping,
    seed: int = 0,
    most_cells: int = MOST_CELLS,
) -> ProteinPhenotypes:
    """Cluster the cells of one protein in one cell line, and choose those whose crops are drawn.

    Args:
        features: (N, d) of all cells, in memory or read one block at a time.
        cells: N rows: cell_id, image_id, protein and cell_line, text or categorical.
        rows: the cells of the protein.
        columns: `columns_of` the features.
        settings: number of clusters.
        seed: seed of the sample.
        most_cells: largest number of cells to cluster; of more cells, a sample is used.

    Raises:
        EvaluationError: as for `phenotypes`.
    """
    sample = rows[sample_of(cells["cell_id"].gather(rows).to_list(), most_cells, seed=seed)]
    names = cells[sample].select(pl.col("protein", "cell_line", "cell_id", "image_id").cast(pl.String))
    result = phenotypes(
        rows_of(features, sample),
        names["cell_id"].to_list(),
        reference=columns,
        clusters=settings.clusters,
        most=settings.most,
    )
    leaf = np.argsort(result.leaves)
    each = max(1, min(_CROPS_EACH, _CROPS // len(result.phenotypes)))
    shown = {phenotype.cluster: phenotype.rows[:each] for phenotype in result.phenotypes}
    drawn = sorted((cell for members in shown.values() for cell in members), key=lambda cell: leaf[cell])
    share = np.array([0.0, *(phenotype.share for phenotype in result.phenotypes)])  # by number, from 1
    table = names.with_columns(
        phenotype=pl.lit(pl.Series(result.cluster)).cast(pl.Int64),
        share=pl.lit(pl.Series(share[result.cluster])),
        leaf=pl.lit(pl.Series(leaf)).cast(pl.Int64),
        representative=pl.int_range(pl.len()).is_in(drawn),
        x=pl.lit(pl.Series(result.plane[:, 0])),
        y=pl.lit(pl.Series(result.plane[:, 1])),
    )
    captions = {cell: letters(number) for number, cell in enumerate(drawn)}
    return ProteinPhenotypes(result, table, shown, captions, len(rows))


def fullest_fields(cells: pl.DataFrame, *, most: int = 6) -> pl.DataFrame:
    """The fields with the most cells.

    Args:
        cells: one row per cell, with image_id and field, and any other columns.
        most: number of fields.

    Returns:
        One row per field, sorted: image_id, field, and each further column as a list over the field's cells.
    """
    keys = ["image_id", "field"]
    fields = cells.group_by(keys, maintain_order=True).agg(pl.all(), pl.len().alias("n_cells"))
    return (
        fields.sort("n_cells", *keys, descending=[True, False, False]).head(most).drop("n_cells").sort(keys)
    )


def letters(number: int) -> str:
    """The letters of a number: a to z, then aa, ab, ...

    >>> [letters(number) for number in (0, 25, 26, 53, 702)]
    ['a', 'z', 'aa', 'bb', 'aaa']
    """
    higher, last = divmod(number, 26)
    return ("" if not higher else letters(higher - 1)) + string.ascii_lowercase[last]
