"""Cells and proteins between pairs of compartments (paper, Figure 5): one row a cell, one row a protein."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pcip_core.analysis.compartments import BOTH, OTHER, CompartmentScores, by_protein, compartment_scores
from pcip_core.analysis.variability import Ranked, ranked_by_deviation
from pcip_core.features.blocks import Features, columns_of
from pcip_core.features.checks import require_rows

_CELLS = ("first", "second", "cell_id", "image_id", "group", "score", "place")
_KEYS = ("first", "second", "protein", "cell_line", "group")


@dataclass(frozen=True)
class BetweenPair:
    """What was found of one pair of compartments.

    Attributes:
        scores: of all n cells.
        ranked: proteins of the group `both`, the most variable first.
    """

    scores: CompartmentScores
    ranked: Ranked

    @property
    def scored(self) -> int:
        """How many cells have a score."""
        return int((self.scores.group != OTHER).sum())


@dataclass(frozen=True)
class Between:
    """What was found of several pairs of compartments.

    Attributes:
        pairs: in the order in which they were asked for.
        cells: columns of the scored cells of every pair, (m,) each: first, second, cell_id, image_id, group, score,
            place.
        proteins: rows of `by_protein` of every pair, with first, second, `rank` (by the standard deviation of the
            score, within the pair), mean_place, standard_deviation_place, and `place_rank` (by that of the place,
            over all pairs). Ranks are of proteins of the group `both` with enough cells, None for all others.
    """

    pairs: list[BetweenPair]
    cells: dict[str, np.ndarray]
    proteins: list[dict[str, Any]]


def between_compartments(
    features: Features,
    cell_id: Sequence[str],
    image: np.ndarray,
    protein: np.ndarray,
    cell_line: np.ndarray,
    annotations: Mapping[str, Collection[str]],
    pairs: Sequence[tuple[str, str]],
    *,
    least_cells: int = 10,
) -> Between:
    """Score the cells of each pair of compartments, and sum them up by protein and cell line.

    Args:
        features, image, annotations: as for `compartment_scores`.
        cell_id, protein, cell_line: (n,) of each cell.
        pairs: first and second compartment of each.
        least_cells: a protein with fewer in a line has no rank.

    Raises:
        ShapeError: the arrays differ in length.
        EvaluationError: as `compartment_scores`.

    Source: paper, Figure 5 and Supplementary Data 2.
    """
    ids = np.asarray(cell_id, object)
    require_rows("compartment scores", features, cell_id=ids)
    columns = columns_of(features, "compartment scores") if pairs else None
    found = Between([], {}, [])
    cells = []
    for first, second in pairs:
        scores = compartment_scores(features, image, annotations, first, second, columns=columns)
        rows = by_protein(scores, protein, cell_line)
        places = by_protein(scores, protein, cell_line, measure="place")
        ranked = ranked_by_deviation(rows, least_cells=least_cells)
        rank = {(row["protein"], row["cell_line"]): row["rank"] for row in ranked.rows}
        pair = {"first": first, "second": second}
        found.pairs.append(BetweenPair(scores, ranked))
        scored = np.flatnonzero(scores.group != OTHER)
        cells.append(
            {
                **{end: np.full(len(scored), term, object) for end, term in pair.items()},
                "cell_id": ids[scored],
                "image_id": image[scored],
                "group": scores.group[scored],
                "score": scores.score[scored],
                "place": scores.place[scored],
            }
        )
        found.proteins.extend(
            {
                **pair,
                **row,
                "rank": rank.get((row["protein"], row["cell_line"])) if row["group"] == BOTH else None,
                "mean_place": place["mean"],
                "standard_deviation_place": place["standard_deviation"],
            }
            for row, place in zip(rows, places, strict=True)
        )
    _rank_places(found.proteins, least_cells)
    found.cells.update({name: np.concatenate([one[name] for one in cells]) for name in _CELLS if cells})
    return found


def _rank_places(rows: list[dict[str, Any]], least_cells: int) -> None:
    """Give the rows of all pairs one ranking: places compare between pairs, scores do not."""
    places = [{**row, "standard_deviation": row["standard_deviation_place"]} for row in rows]
    ranked = ranked_by_deviation(places, least_cells=least_cells).rows
    rank = {tuple(row[key] for key in _KEYS): row["rank"] for row in ranked}
    for row in rows:
        row["place_rank"] = rank.get(tuple(row[key] for key in _KEYS))
