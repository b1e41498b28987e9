"""Normalized average pairwise distances: whether cells of proteins with the same localization term are closer.

The paper's measure for screens with annotations per image. A score below 0 means that cells of two proteins with the
same term are closer than cells of two proteins with different terms.

The paper leaves some details open. The choices here are:

- Normalization of distances "to an expectation". There are two metrics. `normalized_pairwise_distance` is a z-score:
  the mean distance of the pairs with the same term minus the mean of the pairs with different terms, divided by the
  standard deviation of the latter. `relative_pairwise_distance` is the first mean divided by the second, minus 1. The
  paper's numbers (-0.574 to -0.274) could be either, so compare rankings with the paper, not values.
- Pairs are drawn with replacement, so that rare terms can be scored too. `n` of a row is its number of distinct pairs
  of images with the same term.
- Uncertainty. Proteins, which are independent, are resampled with replacement (images of the same protein are not
  independent). Each sampled pair is weighted by the product of the counts of its two proteins, and `low` and `high`
  are the 2.5 and 97.5 percentiles of the weighted scores. All rows of a call share these draws. The intervals are
  conservative, because the products also amplify the noise of single pairs.

Source: paper, Methods, "Comparing Pairwise Distances in Feature Spaces"; Figure 2B; Table 2.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from pcip_core.errors import EvaluationError, ShapeError
from pcip_core.evaluation.image_pairs import constrained_pairs, keyed, mean_distances, term_pairs
from pcip_core.evaluation.labelled import LabelledImages
from pcip_core.evaluation.neighbours import threads
from pcip_core.features.checks import require_finite, require_rows
from pcip_core.features.scaling import standardize
from pcip_core.spec import baselines
from pcip_core.words import many

_DRAWS = 64  # bootstrap draws per block of weights
_LEAST_SPREAD = 1e-6  # of the distances, relative to their mean; below it, variation is rounding error

Scores = dict[str, np.ndarray]  # metric -> (1 + bootstraps,): the score, then the score of each draw


@dataclass(frozen=True)
class Pairwise:
    """Scores by pairwise distances.

    Attributes:
        rows: each with classifier (`pairwise`), parameter (`pairs=1000`), label (the term; None: all terms), metric,
            value, low, high (the 95% interval; None without bootstrap), n (distinct pairs of images with the same
            term) and protocol.
        left_out: reason -> number of excluded terms, images or columns, including reasons with 0.
    """

    rows: list[dict[str, Any]]
    left_out: dict[str, int]


def pairwise_scores(
    features: np.ndarray,
    image: np.ndarray,
    terms: np.ndarray,
    proteins: np.ndarray,
    *,
    same: int = 1000,
    each_other: int = 1000,
    min_proteins: int = 30,
    bootstraps: int = 1000,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Pairwise:
    """Score each term by comparing pairs of its proteins with pairs of one of its proteins and another term's.

    Args:
        features: (n, d). Each column is standardized here over all n cells, as in the paper.
        image: (n,) number 0..m-1 of the image of each cell.
        terms: (m,) the single term of each image; exclude images with several terms beforehand.
        proteins: (m,) the protein of each image.
        same: number of pairs of different proteins per term.
        each_other: number of pairs per term and other term.
        min_proteins: terms with fewer proteins are excluded (30 in the paper).
        bootstraps: number of bootstrap draws for the intervals; 0 for no intervals.
        seed: seed of the pairs and the draws; the pairs of a term do not depend on the other terms.
        progress: called with the number of cells done, in proportion to the work.

    Returns:
        Rows of protocol `any_line`: two metrics for all terms (the unweighted mean over the terms), then for each
        term.

    Raises:
        ShapeError: the arrays differ in length, or an image number is not 0..m-1.
        EvaluationError: fewer than two terms are left, a feature is not finite, or the distances do not vary.

    >>> image, terms, proteins = np.arange(6), np.repeat(["nucleus", "vacuole"], 3), np.arange(6)
    >>> features = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.3]])
    >>> result = pairwise_scores(features, image, terms, proteins, same=9, each_other=9, min_proteins=2, bootstraps=0)
    >>> [(row["label"], row["value"] < 0) for row in result.rows if row["metric"] == "relative_pairwise_distance"]
    [(None, True), ('nucleus', True), ('vacuole', True)]

    Source: paper, "Comparing Pairwise Distances in Feature Spaces" (1,000 pairs and 1,000 with each other term).
    """
    ready = _prepared(features, image, terms, proteins, None, min_proteins=min_proteins)
    names = [str(name) for name in np.unique(ready.terms)]
    pairs = {
        (term, other): term_pairs(
            ready.terms,
            ready.proteins,
            term,
            other,
            count=same if term == other else each_other,
            seed=seed,
        )
        for term in names
        for other in names
    }
    distance = _distances(ready, pairs, progress)
    counts = _counts(ready.proteins, bootstraps, seed)
    scores, distinct = {}, {}
    for term in names:
        others = [(term, other) for other in names if other != term]
        scores[term] = _scores(
            term,
            _moments(distance[term, term], ready.proteins[pairs[term, term]], counts),
            _moments(
                np.concatenate([distance[key] for key in others]),
                ready.proteins[np.concatenate([pairs[key] for key in others])],
                counts,
            ),
        )
        distinct[term] = _distinct(pairs[term, term])
    overall = {
        metric: np.mean([scores[term][metric] for term in names], axis=0) for metric in scores[names[0]]
    }
    parameter = f"pairs={same}" if same == each_other else f"pairs={same},each_other={each_other}"
    rows = _rows(parameter, "any_line", None, overall, sum(distinct.values()))
    for term in names:
        rows += _rows(parameter, "any_line", term, scores[term], distinct[term])
    return Pairwise(rows, ready.left_out)


def pairwise_scores_by_line(
    features: np.ndarray,
    image: np.ndarray,
    terms: np.ndarray,
    proteins: np.ndarray,
    lines: np.ndarray,
    *,
    pairs: int = 10_000,
    min_proteins: int = 30,
    bootstraps: int = 1000,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Pairwise:
    """Score pairs of images of the same cell line and of different cell lines, whose morphology differs (Table 2).

    Pairs with the same term and pairs with different terms are drawn uniformly from all pairs that meet the
    constraint, so frequent terms and proteins with many images have more weight. The scores therefore differ from
    those of `pairwise_scores`, as they do in the paper.

    Args:
        features, image, terms, proteins, min_proteins, bootstraps, seed, progress: as for `pairwise_scores`.
        lines: (m,) the cell line of each image.
        pairs: number of pairs with the same term, and of pairs with different terms, per constraint.

    Returns:
        Rows without label, two metrics for each protocol: `same_line`, `different_line`, and
        `different_minus_same_line`, the difference of the two scores (closer to 0: more robust to the cell line). The
        interval of the difference is computed from the difference in each draw.

    Raises:
        ShapeError: the arrays differ in length, or an image number is not 0..m-1.
        EvaluationError: as for `pairwise_scores`, or no pair of images meets a constraint.

    Source: paper, "Comparing Pairwise Distances in Feature Spaces" and Table 2 (10,000 pairs).
    """
    ready = _prepared(features, image, terms, proteins, lines, min_proteins=min_proteins)
    drawn = {
        (protocol, same_term): constrained_pairs(
            ready.terms,
            ready.proteins,
            ready.lines,
            same_term=same_term,
            same_line=protocol == "same_line",
            count=pairs,
            seed=seed,
        )
        for protocol in ("same_line", "different_line")
        for same_term in (True, False)
    }
    distance = _distances(ready, drawn, progress)
    counts = _counts(ready.proteins, bootstraps, seed)
    moments = {key: _moments(distance[key], ready.proteins[drawn[key]], counts) for key in drawn}
    scores, rows, distinct = {}, [], 0
    for protocol in ("same_line", "different_line"):
        scores[protocol] = _scores(protocol, moments[protocol, True], moments[protocol, False])
        n = _distinct(drawn[protocol, True])
        rows += _rows(f"pairs={pairs}", protocol, None, scores[protocol], n)
        distinct += n
    difference = {
        metric: values - scores["same_line"][metric] for metric, values in scores["different_line"].items()
    }
    rows += _rows(f"pairs={pairs}", "different_minus_same_line", None, difference, distinct)
    return Pairwise(rows, ready.left_out)


TRIALS = ("any_line", "by_line")


def pairwise_trial(
    trial: str, features: np.ndarray, images: LabelledImages, settings: baselines.Pairwise, *, seed: int
) -> Pairwise:
    """Pairwise distances over all cell lines (`any_line`), or for the same and for different lines (`by_line`).

    Args:
        trial: one of `TRIALS`.
        features: (n, d) of the cells.
        images: their images.
        settings: numbers of pairs, and what is excluded.
        seed: of the pairs.

    Raises:
        ShapeError, EvaluationError: as `pairwise_scores` and `pairwise_scores_by_line`.
    """
    arrays = (features, images.of_cell, images.terms, images.proteins)
    common = dict[str, Any](min_proteins=settings.min_proteins, bootstraps=settings.bootstraps, seed=seed)
    if trial == "any_line":
        return pairwise_scores(*arrays, same=settings.same, each_other=settings.each_other, **common)
    return pairwise_scores_by_line(*arrays, images.lines, pairs=settings.by_line, **common)


@dataclass(frozen=True)
class _Ready:
    """Standardized cells of the scored images, sorted by image.

    Attributes:
        points: (n, d) float64.
        start: (m + 1,) first row of each image, and n.
        terms, lines: (m,).
        proteins: (m,) numbers from 0.
    """

    points: np.ndarray
    start: np.ndarray
    terms: np.ndarray
    proteins: np.ndarray
    lines: np.ndarray
    left_out: dict[str, int]


def _prepared(
    features: np.ndarray,
    image: np.ndarray,
    terms: np.ndarray,
    proteins: np.ndarray,
    lines: np.ndarray | None,
    *,
    min_proteins: int,
) -> _Ready:
    """Check the arguments, exclude terms and images that cannot be scored, and sort the cells by image."""
    require_rows("pairwise distances", features, image)
    lines = terms if lines is None else lines
    m = len(terms)
    if len(proteins) != m or len(lines) != m or (len(image) and not 0 <= image.min() <= image.max() < m):
        raise ShapeError(
            "pairwise distances",
            found=f"{many(m, 'term')}, {many(len(proteins), 'protein')}, {many(len(lines), 'line')}, image numbers "
            f"{f'{image.min()}..{image.max()}' if len(image) else 'of no cell'}",
            required="one term, protein and line per image, and image numbers from 0 to the number of images - 1",
            remedy="Pass one row per image, and the row number of each cell's image as `image`.",
        )
    require_finite("pairwise distances", features)
    cells = np.bincount(image, minlength=m)
    names, member = np.unique(terms, return_inverse=True)
    shared = np.unique(np.stack([member, np.unique(proteins, return_inverse=True)[1]])[:, cells > 0], axis=1)
    few = np.bincount(shared[0], minlength=len(names)) < max(min_proteins, 2)  # a pair needs two proteins
    kept = (cells > 0) & ~few[member]
    if (~few).sum() < 2:
        raise EvaluationError(
            "pairwise distances",
            found=f"{many((~few).sum(), 'term')} shared by {max(min_proteins, 2)} proteins or more, "
            f"of {many(len(names), 'term')}",
            required="at least two such terms",
            remedy="Score more proteins, or lower min_proteins.",
        )
    constant = features.min(0) == features.max(0)
    points = standardize(features)
    points[:, constant] = 0  # without rounding error
    order = image.argsort(kind="stable")
    points = points[order[kept[image[order]]]]
    left_out = {
        "terms_with_few_proteins": int(few.sum()),
        "images_of_terms_with_few_proteins": int((few[member] & (cells > 0)).sum()),
        "images_without_cells": int((cells == 0).sum()),
        "columns_constant": int(constant.sum()),
    }
    start = np.append(0, cells[kept].cumsum())
    numbers = np.unique(proteins[kept], return_inverse=True)[1]
    return _Ready(points, start, terms[kept], numbers, lines[kept], left_out)


def _distances(
    ready: _Ready,
    pairs: dict[tuple[str, Any], np.ndarray],
    progress: Callable[[int], None] | None,
) -> dict[tuple[str, Any], np.ndarray]:
    """Compute the mean distance of each pair, for all sets together, because they share pairs and images."""
    distance = mean_distances(
        ready.points, ready.start, np.concatenate(list(pairs.values())), progress=progress
    )
    ends = np.cumsum([len(each) for each in pairs.values()])[:-1]
    return dict(zip(pairs, np.split(distance, ends), strict=True))


def _counts(proteins: np.ndarray, bootstraps: int, seed: int) -> np.ndarray:
    """Draw the counts of each protein in each bootstrap draw: (1 + bootstraps, proteins) float32.

    The first row contains each protein once.
    """
    rng = keyed(seed, "proteins drawn")
    n = int(proteins.max()) + 1
    counts = np.ones((1 + bootstraps, n), np.float32)
    for row in counts[1:]:
        row[:] = np.bincount(rng.integers(n, size=n), minlength=n)
    return counts


def _moments(distance: np.ndarray, proteins: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the weighted mean and standard deviation of the distances in each draw.

    Args:
        distance: (p,).
        proteins: (p, 2) proteins of the two images of each pair.
        counts: (draws, proteins).

    Returns:
        (draws,) and (draws,); NaN for a draw without a pair.
    """
    centre = distance.mean()
    powers = (distance - centre)[:, None] ** np.arange(3)  # (p, 3), centred for numerical precision
    first, second = proteins.T

    def weighted(at: int) -> np.ndarray:
        block = counts[at : at + _DRAWS]
        return (block[:, first] * block[:, second]).astype(np.float64) @ powers

    workers = threads()
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        sums = np.concatenate(list(pool.map(weighted, range(0, len(counts), _DRAWS))))  # (draws, 3)
    with np.errstate(invalid="ignore"):
        mean, square = sums[:, 1] / sums[:, 0], sums[:, 2] / sums[:, 0]
    return centre + mean, np.sqrt(np.maximum(square - mean**2, 0))


def _scores(where: str, same: tuple[np.ndarray, np.ndarray], others: tuple[np.ndarray, np.ndarray]) -> Scores:
    """Compute both metrics in each draw; NaN for a draw without pairs, or with constant distances to other terms."""
    (near, _), (expected, spread) = same, others
    varied = spread > _LEAST_SPREAD * expected
    if not varied[0]:
        raise EvaluationError(
            f"pairwise distances, {where}",
            found=f"distances to other terms that are all {expected[0]:.6g}",
            required="distances that vary, as they are normalized by their standard deviation",
            remedy="Check whether the features are equal in all cells.",
        )
    spread, expected = np.where(varied, spread, np.nan), np.where(varied, expected, np.nan)
    return {
        "normalized_pairwise_distance": (near - expected) / spread,
        "relative_pairwise_distance": near / expected - 1,
    }


def _distinct(pairs: np.ndarray) -> int:
    """Count the distinct pairs, regardless of their order."""
    return len(np.unique(np.sort(pairs, axis=1), axis=0))


def _rows(parameter: str, protocol: str, label: str | None, scores: Scores, n: int) -> list[dict[str, Any]]:
    """Make one row per metric. The interval is computed from the draws that have a score."""
    rows = []
    for metric, (value, *draws) in scores.items():
        finite = np.array(draws)[np.isfinite(draws)]
        low, high = np.percentile(finite, (2.5, 97.5)) if len(finite) else (None, None)
        rows.append(
            {
                "classifier": "pairwise",
                "parameter": parameter,
                "label": label,
                "metric": metric,
                "value": float(value),
                "low": None if low is None else float(low),
                "high": None if high is None else float(high),
                "n": n,
                "protocol": protocol,
            }
        )
    return rows
