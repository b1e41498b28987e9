"""Which proteins differ from cell to cell: by the two-compartment score, or without known compartments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm, rankdata

from pcip_core.analysis.compartments import BOTH
from pcip_core.errors import EvaluationError
from pcip_core.features.blocks import Columns, Features, columns_of, groups_of
from pcip_core.features.checks import require_rows

_LEAST_GROUPS = 5  # of a cell line that has an intercept of its own
_HUBER = 1.345  # 95 % efficient where residuals are normal
_TINY = 1e-12


@dataclass(frozen=True)
class Ranked:
    """Proteins, the most variable first.

    Attributes:
        rows: one a protein and cell line, with `rank` from 1.
        left_out: protein and cell line of those with too few cells.
    """

    rows: list[dict[str, Any]]
    left_out: list[tuple[str, str]]


def ranked_by_deviation(
    rows: Sequence[dict[str, Any]], *, group: str = BOTH, least_cells: int = 10
) -> Ranked:
    """The paper's measure: the standard deviation of the two-compartment score, by protein and cell line.

    It asks for annotations, and is less sensitive where few cells show the second phenotype (paper, Results).

    Args:
        rows: of `compartments.by_protein`.
        group: whose proteins are ranked.
        least_cells: those with fewer are left out.

    Returns:
        The rows of that group with `rank`, highest standard deviation first.
    """
    asked = [row for row in rows if row["group"] == group]
    kept = sorted(
        (row for row in asked if row["n"] >= max(least_cells, 2)),
        key=lambda row: (-row["standard_deviation"], row["protein"], row["cell_line"]),
    )
    left_out = [(row["protein"], row["cell_line"]) for row in asked if row["n"] < max(least_cells, 2)]
    return Ranked([{**row, "rank": rank} for rank, row in enumerate(kept, 1)], left_out)


def variability(
    features: Features,
    protein: np.ndarray,
    cell_line: np.ndarray,
    intensity: np.ndarray,
    *,
    least_cells: int = 10,
    columns: Columns | None = None,
) -> Ranked:
    """How variable each protein's cells are, without known compartments: a wide spread, and in two parts.

    Two numbers of each protein in a cell line:

    - `spread`: log of the mean squared distance of its cells to their mean, in standardized features, times
      n / (n - 1), as the mean is made of the same n cells. `excess` is what is left of it after a robust
      (Huber) regression on log mean intensity and cell line, in robust standard deviations: faint proteins
      look noisy, and some lines are more uneven than others.
    - `split`: along the first principal component of its cells, log of the variance over what is left of it
      within the best two parts (each of 2 cells and 5 % or more). It is scale-free, and 1.01 for a normal
      distribution; `split_excess` is that after the same regression with log n as well, as few cells split
      well by chance. It is high for two phenotypes, and higher if they are unbalanced.

    `variability` is the sum of the normal scores of the ranks of both, so that neither has to be calibrated; it
    is relative to the proteins that are ranked. Each alone has its blind side: spread takes any unevenness for
    variability, and split sees any two parts, however near. Both take cells in mitosis for a phenotype. A line
    with fewer than 5 proteins has no intercept of its own.

    Args:
        features: (n, d) of all cells; standardized here over all of them. Of those that stream, the cells of one
            protein in one line are in memory at a time.
        protein, cell_line: (n,) of each cell.
        intensity: (n,) mean of the protein channel, background included or not, above 0 on average.
        least_cells: a protein with fewer in a line is left out.
        columns: `columns_of` the features, where they are known.

    Returns:
        Rows: protein, cell_line, n, log_intensity, spread, excess, split, split_excess, variability, rank.

    Raises:
        ShapeError: the arrays differ in length.
        EvaluationError: a value is not finite, a mean intensity is not above 0, too few proteins are left.
    """
    require_rows("variability", features, protein=protein, cell_line=cell_line, intensity=intensity)
    columns = columns_of(features, "variability") if columns is None else columns
    rows: list[dict[str, Any]] = []
    left_out, kept = [], []
    for key, members in _groups(protein, cell_line):
        if len(members) < max(least_cells, 4):
            left_out.append(key)
        else:
            kept.append((key, members))
    group = np.full(len(features), -1)
    for number, (_, members) in enumerate(kept):
        group[members] = number
    for ((name, line), members), vectors in zip(kept, groups_of(features, group), strict=True):
        mean_light = float(np.mean(intensity[members], dtype=np.float64))
        if not mean_light > 0:  # also NaN
            raise EvaluationError(
                f"variability of {name} in {line or 'no line'}",
                found=f"a mean intensity of {mean_light:.4g}",
                required="intensities above 0",
                remedy="Pass intensities of the raw protein channel, before the background is taken off.",
            )
        points = columns.standardized(vectors)
        own = points - points.mean(0)
        rows.append(
            {
                "protein": name,
                "cell_line": line,
                "n": len(members),
                "log_intensity": float(np.log(mean_light)),
                "spread": float(np.log(max((own**2).sum() / (len(own) - 1), _TINY))),
                "split": two_part_split(first_component(own)),
            }
        )
    if len(rows) < 4:
        raise EvaluationError(
            "variability",
            found=f"{len(rows)} proteins with {least_cells} cells or more ({len(left_out)} have fewer)",
            required="four or more to compare",
            remedy="Compare more proteins, or lower `least_cells`.",
        )
    lines = np.array([row["cell_line"] for row in rows])
    logs = np.array([row["log_intensity"] for row in rows])
    counts = np.log([row["n"] for row in rows])
    excess = robust_residuals(np.array([row["spread"] for row in rows]), [logs], lines)
    split_excess = robust_residuals(np.array([row["split"] for row in rows]), [logs, counts], lines)
    total = normal_scores(excess) + normal_scores(split_excess)
    for row, *found in zip(rows, excess, split_excess, total, strict=True):
        row |= dict(zip(("excess", "split_excess", "variability"), map(float, found), strict=True))
    rows.sort(key=lambda row: (-row["variability"], row["protein"], row["cell_line"]))
    return Ranked([{**row, "rank": rank} for rank, row in enumerate(rows, 1)], left_out)


def _groups(protein: np.ndarray, cell_line: np.ndarray) -> list[tuple[tuple[str, str], np.ndarray]]:
    """Protein and line, and the rows of their cells, in sorted order."""
    members: dict[tuple[str, str], list[int]] = {}
    for row, key in enumerate(zip(protein, cell_line, strict=True)):
        members.setdefault((str(key[0]), str(key[1])), []).append(row)
    return [(key, np.array(rows)) for key, rows in sorted(members.items())]


def first_component(centred: np.ndarray) -> np.ndarray:
    """(n, d) with column means 0 -> (n,) places along the first principal component; the sign is arbitrary."""
    if len(centred) > centred.shape[1]:
        axis = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    else:  # the smaller of the two products
        axis = centred.T @ np.linalg.eigh(centred @ centred.T)[1][:, -1]
        axis /= max(float(np.linalg.norm(axis)), _TINY)
    return centred @ axis


def main_directions(features: Features, members: Sequence[np.ndarray], columns: Columns) -> np.ndarray:
    """Where cells lie along the first principal component of their own protein's cells.

    Args:
        features: (n, d); of those that stream, the cells of one protein are in memory at a time.
        members: the rows of the cells of each protein.
        columns: `columns_of` the features, by which they are standardized.

    Returns:
        (n,) places, the sign of each protein's arbitrary; NaN for all other cells.
    """
    place, group = np.full(len(features), np.nan), np.full(len(features), -1)
    members = [rows for rows in members if len(rows)]
    for number, rows in enumerate(members):
        group[rows] = number
    for rows, vectors in zip(members, groups_of(features, group), strict=True):
        points = columns.standardized(vectors)
        place[np.sort(rows)] = first_component(points - points.mean(0))
    return place


def two_part_split(values: np.ndarray, *, least_share: float = 0.05) -> float:
    """Log of the sum of squares over that within the best two parts of a line, found exactly.

    Args:
        values: (n,), 4 or more.
        least_share: of the cells in either part, and never fewer than 2, so that one outlier is no part.

    Returns:
        0 or more; 0 where all values are equal.
    """
    ordered = np.sort(values.astype(np.float64) - values.mean())
    n, total = len(ordered), float((ordered**2).sum())
    if total < _TINY:
        return 0.0
    least = max(2, int(np.ceil(least_share * n)))
    size = np.arange(least, n - least + 1)
    sums = ordered.cumsum()[size - 1]
    between = sums**2 * n / (size * (n - size))  # as all values sum to 0
    return float(np.log(total / max(total - between.max(), _TINY * total)))


def robust_residuals(values: np.ndarray, covariates: Sequence[np.ndarray], lines: np.ndarray) -> np.ndarray:
    """What covariates and cell lines do not predict, in robust standard deviations.

    Huber regression by iteratively reweighted least squares, the scale being the median absolute residual.

    Args:
        values: (g,).
        covariates: each (g,).
        lines: (g,) cell line; those of fewer than 5 share one intercept.
    """
    names, member, counts = np.unique(lines, return_inverse=True, return_counts=True)
    own = [member == index for index in range(len(names)) if counts[index] >= _LEAST_GROUPS]
    if own and sum(map(np.sum, own)) == len(lines):
        own = own[1:]  # the rest is the intercept
    centred = [column - column.mean() for column in covariates]
    columns = [np.ones(len(values)), *(column for column in centred if column.std() > _TINY), *own]
    design = np.stack(columns, axis=1).astype(np.float64)
    weight = np.ones(len(values))
    residual = values - values.mean()
    for _ in range(100):
        root = np.sqrt(weight)
        fitted = design @ np.linalg.lstsq(design * root[:, None], values * root, rcond=None)[0]
        before, residual = residual, values - fitted
        scale = 1.4826 * float(np.median(np.abs(residual)))
        if scale < _TINY or np.abs(residual - before).max() < 1e-9 * scale:
            break
        weight = np.minimum(1, _HUBER * scale / np.maximum(np.abs(residual), _TINY))
    return residual / scale if scale >= _TINY else residual


def normal_scores(values: np.ndarray) -> np.ndarray:
    """Normal quantiles of the ranks: (g,), equal values alike."""
    return norm.ppf((rankdata(values) - 0.5) / len(values))


def ranking_quality(values: np.ndarray, truth: np.ndarray, *, at: int = 10) -> dict[str, float]:
    """How well a measure ranks those that are true first.

    Returns:
        precision (of the first `at`, or of all if there are fewer), average_precision, and chance: the share
        that is true, which is the average precision of a random order.

    Raises:
        EvaluationError: none is true, or all are.
    """
    from sklearn.metrics import average_precision_score

    if truth.all() or not truth.any():
        raise EvaluationError(
            "ranking",
            found=f"{int(truth.sum())} of {len(truth)} true",
            required="some that are true and some that are not",
            remedy="Rank other proteins.",
        )
    first = np.argsort(-values, kind="stable")[:at]
    return {
        "precision": float(truth[first].mean()),
        "average_precision": float(average_precision_score(truth, values)),
        "chance": float(truth.mean()),
    }
