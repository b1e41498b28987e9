"""Variation of proteins between cells: by the two-compartment score, or without known compartments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from scipy.stats import norm, rankdata

from pcip_core.analysis.compartments import BOTH
from pcip_core.errors import EvaluationError
from pcip_core.features.blocks import Columns, Features, columns_of, groups_of
from pcip_core.features.checks import require_rows
from pcip_core.words import many, verb

_KEYS = ["protein", "cell_line"]
_LEAST_GROUPS = 5  # proteins of a cell line with a separate intercept
_HUBER = 1.345  # 95 % efficient for normal residuals
_TINY = 1e-12


@dataclass(frozen=True)
class Ranked:
    """Proteins in order of variability, the most variable first.

    Attributes:
        table: one row per protein and cell line, with `rank` from 1.
        left_out: protein and cell_line of the proteins with too few cells.
        places: (n,) only from `variability`: position of each cell along the first principal component of the
            cells of its protein and cell line, with an arbitrary sign; NaN for excluded cells.
    """

    table: pl.DataFrame
    left_out: pl.DataFrame
    places: np.ndarray = field(default_factory=lambda: np.zeros(0))


def ranked_by_deviation(
    table: pl.DataFrame, *, by: str = "standard_deviation", group: str = BOTH, least_cells: int = 10
) -> Ranked:
    """The paper's measure: the standard deviation of the two-compartment score, by protein and cell line.

    It requires annotations, and is less sensitive if few cells show the second phenotype (paper, Results).

    Args:
        table: from `compartments.by_protein`.
        by: the column of the standard deviation.
        group: the group whose proteins are ranked.
        least_cells: proteins with fewer cells are excluded.

    Returns:
        The rows of that group with `rank`, the highest standard deviation first.
    """
    of_group, enough = table.filter(pl.col("group") == group), pl.col("n") >= max(least_cells, 2)
    kept = of_group.filter(enough).drop("rank", strict=False)
    kept = kept.sort(by, "protein", "cell_line", descending=[True, False, False], maintain_order=True)
    left_out = of_group.filter(~enough).select("protein", "cell_line")
    return Ranked(kept.with_columns(rank=pl.int_range(1, pl.len() + 1)), left_out)


def variability(
    features: Features,
    cells: pl.DataFrame,
    intensity: np.ndarray,
    *,
    least_cells: int = 10,
) -> Ranked:
    """Variability of each protein's cells without known compartments, from their spread and split.

    Two measures for each protein in a cell line:

    - `spread`: log of the mean squared distance of its cells to their mean, in standardized features, times
      n / (n - 1), because the mean is estimated from the same cells. `excess` is the residual of a robust (Huber)
      regression of it on log mean intensity and cell line, in robust standard deviations: images of
      faint proteins are noisy, and some cell lines are more heterogeneous than others.
    - `split`: along the first principal component of its cells, log of the variance divided by the variance
      within the best two groups (each of 2 or more cells and at least 5 %). It is scale-free, and 1.01 for a
      normal distribution; `split_excess` is its residual after the same regression with log n as an additional
      covariate, because few cells separate well by chance. It is high for two phenotypes, and higher if they are
      unbalanced.

    `variability` is the sum of the normal scores of the ranks of both residuals, so that neither needs
    calibration; it is relative to the ranked proteins. Each measure has a weakness: spread counts any
    heterogeneity as variability, and split finds two groups however near they are. Both count mitotic cells as a
    phenotype. Cell lines with fewer than 5 proteins share an intercept.

    Args:
        features: (n, d) of all cells; standardized here over all of them. If they are read in blocks, only the
            cells of one protein in one cell line are in memory.
        cells: n rows with `protein` and `cell_line`, text or categorical.
        intensity: (n,) mean of the protein channel, background included or not, above 0 on average.
        least_cells: proteins with fewer cells in a cell line are excluded.

    Returns:
        A table with protein, cell_line, n, log_intensity, spread, excess, split, split_excess, variability, rank;
        and the positions of the cells.

    Raises:
        ShapeError: the lengths differ.
        EvaluationError: a value is not finite, a mean intensity is not above 0, or fewer than four proteins have
            enough cells.
    """
    require_rows("variability", features, cells=cells, intensity=intensity)
    columns = columns_of(features, "variability")
    names = cells.select(_KEYS)
    proteins = (
        names.with_columns(intensity=pl.Series(intensity).cast(pl.Float64))
        .group_by(_KEYS)
        .agg(pl.len().cast(pl.Int64).alias("n"), pl.col("intensity").mean())
        .sort(pl.col(_KEYS).cast(pl.String))
    )
    few = pl.col("n") < max(least_cells, 4)
    kept, left_out = proteins.filter(~few), proteins.filter(few).select(pl.col(_KEYS).cast(pl.String))
    _require_comparable(kept, left_out.height, least_cells)
    numbered = kept.select(*_KEYS, group=pl.int_range(pl.len()))
    group = (
        names.join(numbered, on=_KEYS, how="left", maintain_order="left")["group"].fill_null(-1).to_numpy()
    )
    measured = [_spread_and_places(columns, vectors) for vectors in groups_of(features, group)]
    spread = np.array([spread for spread, _ in measured])
    split = np.array([two_part_split(of_group) for _, of_group in measured])
    places = np.full(len(group), np.nan)
    places[np.argsort(group, kind="stable")[(group < 0).sum() :]] = np.concatenate(
        [of_group for _, of_group in measured]
    )
    lines = kept["cell_line"].cast(pl.String).to_numpy()
    logs, counts = np.log(kept["intensity"].to_numpy()), np.log(kept["n"].to_numpy())
    excess = robust_residuals(spread, [logs], lines)
    split_excess = robust_residuals(split, [logs, counts], lines)
    table = kept.select(
        *(pl.col(key).cast(pl.String) for key in _KEYS),
        "n",
        log_intensity=pl.lit(pl.Series(logs)),
        spread=pl.lit(pl.Series(spread)),
        excess=pl.lit(pl.Series(excess)),
        split=pl.lit(pl.Series(split)),
        split_excess=pl.lit(pl.Series(split_excess)),
        variability=pl.lit(pl.Series(normal_scores(excess) + normal_scores(split_excess))),
    ).sort("variability", *_KEYS, descending=[True, False, False])
    return Ranked(table.with_columns(rank=pl.int_range(1, pl.len() + 1)), left_out, places)


def _require_comparable(proteins: pl.DataFrame, left_out: int, least_cells: int) -> None:
    """Raise an EvaluationError unless there are four proteins or more, each with a mean intensity above 0."""
    if proteins.height < 4:
        raise EvaluationError(
            "variability",
            found=(
                f"{many(proteins.height, 'protein')} with {many(least_cells, 'cell')} or more "
                f"({left_out} {verb(left_out, 'have')} fewer)"
            ),
            required="four or more to compare",
            remedy="Compare more proteins, or lower `least_cells`.",
        )
    dark = proteins.filter((pl.col("intensity") > 0).not_() | pl.col("intensity").is_nan())
    for name, line, _, light in dark.rows():
        raise EvaluationError(
            f"variability of {name} in {line or 'no cell line'}",
            found=f"a mean intensity of {light:.4g}",
            required="intensities above 0",
            remedy="Pass intensities of the raw protein channel, before the background is subtracted.",
        )


def _spread_and_places(columns: Columns, vectors: np.ndarray) -> tuple[float, np.ndarray]:
    """Spread of one protein, and positions of its n cells along their first principal component."""
    points = columns.standardized(vectors)
    centred = points - points.mean(0)
    spread = np.log(max((centred**2).sum() / (len(centred) - 1), _TINY))
    return float(spread), first_component(centred)


def first_component(centred: np.ndarray) -> np.ndarray:
    """(n, d) with column means 0 -> (n,) positions along the first principal component, with an arbitrary sign."""
    if len(centred) > centred.shape[1]:
        axis = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    else:  # use the smaller of the two products
        axis = centred.T @ np.linalg.eigh(centred @ centred.T)[1][:, -1]
        axis /= max(float(np.linalg.norm(axis)), _TINY)
    return centred @ axis


def two_part_split(values: np.ndarray, *, least_share: float = 0.05) -> float:
    """Log ratio of the total sum of squares to that within the best two groups of values, found exactly.

    Args:
        values: (n,), 4 or more.
        least_share: least share of the cells in either group, and at least 2, so that one outlier is not a group.

    Returns:
        0 or more; 0 if all values are equal.
    """
    ordered = np.sort(values.astype(np.float64) - values.mean())
    n, total = len(ordered), float((ordered**2).sum())
    if total < _TINY:
        return 0.0
    least = max(2, int(np.ceil(least_share * n)))
    size = np.arange(least, n - least + 1)
    sums = ordered.cumsum()[size - 1]
    between = sums**2 * n / (size * (n - size))  # because the values sum to 0
    return float(np.log(total / max(total - between.max(), _TINY * total)))


def robust_residuals(values: np.ndarray, covariates: Sequence[np.ndarray], lines: np.ndarray) -> np.ndarray:
    """Residuals after regression on covariates and cell lines, in robust standard deviations.

    Huber regression by iteratively reweighted least squares, with the median absolute residual as scale.

    Args:
        values: (g,).
        covariates: each (g,).
        lines: (g,) cell line; lines with fewer than 5 values share one intercept.
    """
    names, member, counts = np.unique(lines, return_inverse=True, return_counts=True)
    intercepts = [member == index for index in range(len(names)) if counts[index] >= _LEAST_GROUPS]
    if intercepts and sum(map(np.sum, intercepts)) == len(lines):
        intercepts = intercepts[1:]  # the remaining line has the common intercept
    centred = [column - column.mean() for column in covariates]
    columns = [np.ones(len(values)), *(column for column in centred if column.std() > _TINY), *intercepts]
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
    """Normal quantiles of the ranks: (g,); ties get the same score."""
    return norm.ppf((rankdata(values) - 0.5) / len(values))


def ranking_quality(values: np.ndarray, truth: np.ndarray, *, at: int = 10) -> dict[str, float]:
    """Quality of a ranking of proteins by a measure, given the true ones.

    Returns:
        precision (of the first `at`, or of all if there are fewer), average_precision, and chance: the share of
        true proteins, which is the average precision of a random order.

    Raises:
        EvaluationError: none or all are true.
    """
    from sklearn.metrics import average_precision_score

    if truth.all() or not truth.any():
        raise EvaluationError(
            "ranking",
            found=f"{int(truth.sum())} of {len(truth)} true",
            required="both true and false proteins",
            remedy="Rank other proteins.",
        )
    first = np.argsort(-values, kind="stable")[:at]
    return {
        "precision": float(truth[first].mean()),
        "average_precision": float(average_precision_score(truth, values)),
        "chance": float(truth.mean()),
    }
