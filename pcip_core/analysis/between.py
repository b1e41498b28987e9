"""Cells and proteins between pairs of compartments (paper, Figure 5)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from pcip_core.analysis.compartments import OTHER, CompartmentScores, by_protein, compartment_scores
from pcip_core.analysis.variability import Ranked, ranked_by_deviation
from pcip_core.features.blocks import Features, columns_of
from pcip_core.features.checks import require_rows

_GROUP = ["protein", "cell_line", "group"]
_PAIR = ["first", "second"]


@dataclass(frozen=True)
class BetweenPair:
    """The scores of one pair of compartments.

    Attributes:
        scores: scores of all n cells.
        ranked: proteins of the group `both`, the most variable first.
    """

    scores: CompartmentScores
    ranked: Ranked

    @property
    def scored(self) -> int:
        """The number of cells with a score."""
        return int((self.scores.group != OTHER).sum())


@dataclass(frozen=True)
class Between:
    """The scores of several pairs of compartments.

    Attributes:
        pairs: in the order given.
        cells: one row per pair and scored cell: first, second, cell_id, image_id, group, score, place. Names
            keep the types of the input.
        proteins: the rows of `by_protein` of each pair, with first, second, `rank` (by the standard deviation of
            the score, within the pair) and `place_rank` (by that of the place, over all pairs). Only
            proteins of the group `both` with enough cells have ranks; all others are null.
    """

    pairs: list[BetweenPair]
    cells: pl.DataFrame
    proteins: pl.DataFrame


def between_compartments(
    features: Features,
    cells: pl.DataFrame,
    annotations: Mapping[str, Collection[str]],
    pairs: Sequence[tuple[str, str]],
    *,
    least_cells: int = 10,
) -> Between:
    """Score the cells of each pair of compartments, and summarize them by protein and cell line.

    Args:
        features, annotations: as for `compartment_scores`.
        cells: n rows with cell_id, image_id, protein and cell_line, text or categorical.
        pairs: first and second compartment of each pair.
        least_cells: least number of cells in a cell line for a rank.

    Raises:
        ShapeError: features and cells differ in length.
        EvaluationError: as for `compartment_scores`.

    Source: paper, Figure 5 and Supplementary Data 2.
    """
    require_rows("compartment scores", features, cells=cells)
    columns = columns_of(features, "compartment scores") if pairs else None
    made: list[BetweenPair] = []
    scored: list[pl.DataFrame] = []
    proteins: list[pl.DataFrame] = []
    for first, second in pairs:
        scores = compartment_scores(features, cells["image_id"], annotations, first, second, columns=columns)
        ends = [pl.lit(first).alias("first"), pl.lit(second).alias("second")]
        table = pl.concat([cells.select("cell_id", "image_id"), scores.table], how="horizontal")
        scored.append(table.filter(pl.col("group") != OTHER).select(*ends, pl.all()))
        summary = by_protein(scores, cells)
        ranked = ranked_by_deviation(summary, least_cells=least_cells)
        made.append(BetweenPair(scores, ranked))
        rank = ranked.table.select(*_GROUP, "rank")
        proteins.append(
            summary.select(*ends, pl.all()).join(rank, on=_GROUP, how="left", maintain_order="left")
        )
    if not pairs:
        return Between([], pl.DataFrame(), pl.DataFrame())
    return Between(made, pl.concat(scored), _with_place_rank(pl.concat(proteins), least_cells))


def _with_place_rank(proteins: pl.DataFrame, least_cells: int) -> pl.DataFrame:
    """Add a rank over all pairs by place, which is comparable between pairs, unlike the score."""
    ranked = ranked_by_deviation(proteins, by="standard_deviation_place", least_cells=least_cells)
    rank = ranked.table.select(*_PAIR, *_GROUP, place_rank="rank")
    return proteins.join(rank, on=[*_PAIR, *_GROUP], how="left", maintain_order="left")
