"""The position of each cell between two compartments (paper, Figure 5)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from pcip_core.errors import EvaluationError
from pcip_core.features.blocks import Columns, Features, columns_of, places_of, sums_of_groups
from pcip_core.features.checks import require_rows

FIRST_ONLY, BOTH, SECOND_ONLY, OTHER = "first_only", "both", "second_only", "other"
GROUPS = (FIRST_ONLY, BOTH, SECOND_ONLY)
GROUP = pl.Enum([*GROUPS, OTHER])
_LEAST_DISTANCE = 1e-12  # keeps the logarithm finite for a cell at a mean


@dataclass(frozen=True)
class CompartmentScores:
    """Positions of cells between two compartments.

    Attributes:
        first, second: the compartments.
        score: (n,) log(distance to the first mean / distance to the second): below 0 nearer to the first.
            NaN for cells of group `other`.
        place: (n,) projection on the line between the means: 0 at the first, 1 at the second, not bounded.
        group: (n,) of type `GROUP`: `first_only`, `both`, `second_only`, or `other`.
    """

    first: str
    second: str
    score: np.ndarray
    place: np.ndarray
    group: pl.Series

    @property
    def table(self) -> pl.DataFrame:
        """The columns `group`, `score` and `place`, one row per cell."""
        return pl.DataFrame({"group": self.group, "score": self.score, "place": self.place})


def compartment_scores(
    features: Features,
    image: pl.Series | np.ndarray,
    annotations: Mapping[str, Collection[str]],
    first: str,
    second: str,
    *,
    columns: Columns | None = None,
) -> CompartmentScores:
    """Score every cell of images annotated to one of two compartments alone, or to exactly these two.

    The mean of a compartment is the mean of all cells of the images annotated to it alone. A cell in one of
    these images is scored against the mean without its whole image. Otherwise, cells would be nearer to their
    annotated compartment because they contribute to its mean (the paper does not state this; its means seem to
    include all images).

    Both measures order the cells of a pair of compartments similarly. `score` is the paper's; its size depends on the
    distance between the two means, relative to the variation of cells perpendicular to the line between them.
    `place` is in units of that distance, so that its values and their standard deviations are comparable between
    pairs of compartments.

    Args:
        features: (n, d). Each column is centred and scaled here over all n cells, as for the paper's kNN. Streamed
            features are read twice, and once more without `columns`.
        image: (n,) name of each cell's image.
        annotations: image -> its terms. An image without an entry, or with a third term, is `other`.
        first, second: terms.
        columns: `columns_of` the features, computed once for several pairs of terms.

    Raises:
        ShapeError: features and image differ in length.
        EvaluationError: a value is not finite; the two terms are the same; a term is the only
            annotation of fewer than two images, so that no mean without the scored image exists; the means coincide.

    Source: paper, "Single cell analysis of Multiply-Localized Proteins" and Figure 5.
    """
    require_rows("compartment scores", features, image=image)
    columns = columns_of(features, "compartment scores") if columns is None else columns
    names, number = _numbered(image)
    kinds = _groups([frozenset(annotations.get(name, ())) for name in names], first, second)
    _require_images(kinds, annotations, names, first, second)

    ends = np.full(len(names), -1)  # row in `sums` of each image annotated to exactly one of the two
    alone = (kinds == FIRST_ONLY) | (kinds == SECOND_ONLY)
    ends[alone] = np.arange(alone.sum())
    sums, counts = sums_of_groups(features, ends[number], int(alone.sum()))
    sums = columns.standardized(sums / counts[:, None]) * counts[:, None]
    wholes = {
        kind: (sums[kinds[alone] == kind].sum(0), counts[kinds[alone] == kind].sum())
        for kind in (FIRST_ONLY, SECOND_ONLY)
    }

    score, position = np.full(len(features), np.nan), np.full(len(features), np.nan)
    for place, block in places_of(features):
        images = number[place]
        for image_number in np.unique(images[kinds[images] != OTHER]).tolist():
            rows = np.flatnonzero(images == image_number)
            end = ends[image_number]
            means = []
            for kind, (total, n) in wholes.items():
                without_itself = kinds[image_number] == kind
                means.append((total - sums[end]) / (n - counts[end]) if without_itself else total / n)
            score[place][rows], position[place][rows] = _measured(columns.standardized(block[rows]), *means)
    group = pl.Series("group", kinds.tolist(), dtype=GROUP).gather(number)
    return CompartmentScores(first, second, score, position, group)


def _numbered(image: pl.Series | np.ndarray) -> tuple[list[str], np.ndarray]:
    """The sorted names of the images, and the index of each cell's image among them."""
    series = pl.Series(image)
    names = series.unique().cast(pl.String).sort()
    return names.to_list(), series.cast(pl.Enum(names)).to_physical().to_numpy()


def _measured(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log ratio of the distances to two means, and the position along the line between them."""
    line = end - start
    length = float(line @ line)
    if length < _LEAST_DISTANCE:
        raise EvaluationError(
            "compartment scores",
            found="equal means of both compartments",
            required="two different means",
            remedy="Use features that separate the compartments.",
        )
    near, far = (np.linalg.norm(points - mean, axis=1) for mean in (start, end))
    ratio = np.log(np.maximum(near, _LEAST_DISTANCE)) - np.log(np.maximum(far, _LEAST_DISTANCE))
    return ratio, (points - start) @ line / length


def _groups(terms: list[frozenset[str]], first: str, second: str) -> np.ndarray:
    """Group of each image."""
    kinds = {
        frozenset([first]): FIRST_ONLY,
        frozenset([second]): SECOND_ONLY,
        frozenset([first, second]): BOTH,
    }
    return np.array([kinds.get(each, OTHER) for each in terms], dtype="<U11")


def _require_images(
    kinds: np.ndarray, annotations: Mapping[str, Collection[str]], names: list[str], first: str, second: str
) -> None:
    """Raise an EvaluationError unless the terms differ and each is the only annotation of at least two images."""
    if first == second:
        raise EvaluationError(
            "compartment scores",
            found=f"{first!r} twice",
            required="two compartments",
            remedy="Name another second compartment.",
        )
    alone: dict[str, int] = {}
    for name in names:
        terms = frozenset(annotations.get(name, ()))
        if len(terms) == 1:
            alone[next(iter(terms))] = alone.get(next(iter(terms)), 0) + 1
    for term, kind in ((first, FIRST_ONLY), (second, SECOND_ONLY)):
        count = int((kinds == kind).sum())
        if count == 0:
            raise EvaluationError(
                term,
                found="no image with cells that is annotated to it alone",
                required="a term of some images: " + (", ".join(sorted(alone)) or "there is none"),
                remedy="Name one of these; spelling and case matter.",
            )
        if count == 1:
            raise EvaluationError(
                term,
                found="one image annotated to it alone",
                required="two or more images: the mean leaves out the image whose cells are scored",
                remedy="Choose a compartment with more images.",
            )


def by_protein(scores: CompartmentScores, cells: pl.DataFrame) -> pl.DataFrame:
    """Mean and spread of the cells' scores by protein and cell line.

    Args:
        scores: of n cells.
        cells: n rows with `protein` and `cell_line`.

    Returns:
        One row per protein, cell_line and group, sorted by these: mean, standard_deviation (of the sample; NaN for
        one cell) and n; mean_place and standard_deviation_place, the same of the place. A protein has several
        rows in a cell line if its images differ in group. Cells of `other` are excluded.

    Raises:
        ShapeError: the lengths differ.

    Source: paper, Supplementary Data 2.
    """
    require_rows("scores by protein", scores.score[:, None], cells=cells)
    keys = ["protein", "cell_line", "group"]
    table = pl.concat([cells.select("protein", "cell_line"), scores.table], how="horizontal")
    rows = table.filter(pl.col("group") != OTHER).group_by(keys)
    summary = rows.agg(
        pl.col("score").mean().alias("mean"),
        pl.col("score").std().fill_null(np.nan).alias("standard_deviation"),
        pl.len().cast(pl.Int64).alias("n"),
        pl.col("place").mean().alias("mean_place"),
        pl.col("place").std().fill_null(np.nan).alias("standard_deviation_place"),
    )
    return summary.with_columns(pl.col(keys).cast(pl.String)).sort(keys)
