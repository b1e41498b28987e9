"""The proteins or cells nearest to one or several seeds (paper, Figure 4: the rim of the nucleolus)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pcip_core.errors import EvaluationError
from pcip_core.features.blocks import Features, columns_of, places_of, rows_of
from pcip_core.words import many

By = Literal["mean", "least"]


@dataclass(frozen=True)
class Nearest:
    """The nearest points, the nearest first.

    Attributes:
        rows: (n,) positions in the points.
        distances: (n,) Euclidean, in standard deviations of the columns.
    """

    rows: np.ndarray
    distances: np.ndarray


def nearest(points: Features, seeds: Sequence[int] | np.ndarray, n: int, *, by: By = "mean") -> Nearest:
    """The points nearest to one or several seeds, without the seeds themselves.

    Args:
        points: (m, d) features of proteins (their means) or of cells; standardized here over all m. Streamed
            features are read three times, and only the distances are kept in memory.
        seeds: positions of the seeds: a protein, a set of them, a cell, the cells of an image.
        n: number of points; fewer if there are not enough.
        by: `mean`: distance to the mean of the seeds, for seeds of one pattern; it averages out their noise.
            `least`: distance to the nearest seed, for seeds of several patterns.

    Raises:
        EvaluationError: there is no seed, a seed is not a row of the points, n is below 1, or a value is not finite.
    """
    seeds = np.unique(np.asarray(seeds, dtype=np.int64))
    if len(seeds) == 0 or seeds[0] < 0 or seeds[-1] >= len(points) or n < 1:
        raise EvaluationError(
            "nearest",
            found=f"{many(len(seeds), 'seed')}"
            + (f" from row {seeds[0]} to {seeds[-1]}" if len(seeds) else "")
            + f", {many(len(points), 'point')}, n = {n}",
            required="one or more seeds, each a row of the points, and n of 1 or more",
            remedy="Name proteins or cells that are in this feature set.",
        )
    columns = columns_of(points, "nearest")
    queries = columns.standardized(rows_of(points, seeds))
    queries = queries.mean(0, keepdims=True) if by == "mean" else queries
    distance = np.full(len(points), np.inf)
    for place, block in places_of(points):
        scaled = columns.standardized(block)
        for point in queries:  # one by one, so that memory does not grow with the seeds
            distance[place] = np.minimum(distance[place], np.linalg.norm(scaled - point, axis=1))
    others = np.setdiff1d(np.arange(len(points)), seeds)
    rows = others[np.argsort(distance[others], kind="stable")[:n]]
    return Nearest(rows, distance[rows])


def recall(rows: np.ndarray, wanted: Collection[int], seeds: Collection[int], *, of: int) -> dict[str, float]:
    """The share of the wanted points among the nearest.

    Args:
        rows: rows from `nearest`.
        wanted: rows of all points of the pattern; seeds among them are ignored.
        seeds: rows of the seeds.
        of: total number of points.

    Returns:
        recall, precision, and chance: the recall of as many points drawn at random.

    Raises:
        EvaluationError: all wanted points are seeds.
    """
    left = set(map(int, wanted)) - set(map(int, seeds))
    if not left:
        raise EvaluationError(
            "recall",
            found=f"{len(wanted)} wanted, all of them seeds",
            required="one or more that are not seeds",
            remedy="Leave some of the pattern out of the seeds.",
        )
    hits = len(left & set(rows.tolist()))
    return {
        "recall": hits / len(left),
        "precision": hits / max(len(rows), 1),
        "chance": len(rows) / max(of - len(set(seeds)), 1),
    }
