"""Correct features for effects of plates, cell lines or days: by group, or by the variation among control cells.

The paper applies no correction, so its comparisons are of uncorrected features. The corrections serve screens with
many plates, in which the plate effect can exceed the biological effect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pcip_core.errors import EvaluationError
from pcip_core.features.blocks import Features, Moments, places_of
from pcip_core.features.checks import require_finite, require_rows
from pcip_core.words import many


@dataclass(frozen=True)
class Corrected:
    """Features after a correction.

    Attributes:
        features: (n, d) float32.
        notes: name -> count of groups and columns, including those that carry no information after the correction.
    """

    features: np.ndarray
    notes: dict[str, int]


@dataclass(frozen=True)
class GroupScales:
    """Centre and scale of each column in each group, which `by_group` removes.

    Attributes:
        groups: (g,) the groups, sorted.
        centre: (g, d) float64.
        scale: (g, d) float64; 0 where the column is constant in the group, or the group has one cell.
        notes: as in `by_group`.
    """

    groups: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    notes: dict[str, int]

    @classmethod
    def of(cls, features: Features, groups: np.ndarray) -> GroupScales:
        """Compute the scales from all cells in one pass. Arguments and errors are those of `by_group`."""
        require_rows("correction by group", features, groups)
        names, member, size = np.unique(groups, return_inverse=True, return_counts=True)
        columns = features.shape[1]
        moments = [Moments(columns) for _ in names]
        least, most = np.full((len(names), columns), np.inf), np.full((len(names), columns), -np.inf)
        for place, block in places_of(features):
            require_finite("correction by group", block)
            groups_here = member[place]
            for group in np.unique(groups_here).tolist():
                values = block[groups_here == group]
                moments[group].add(values)
                least[group] = np.minimum(least[group], values.min(0))
                most[group] = np.maximum(most[group], values.max(0))
        varied = least < most  # exact, whereas a standard deviation is subject to rounding
        squares = np.array([group.squares for group in moments]).reshape(varied.shape)
        constant = (~varied[size > 1]).any(0) if (size > 1).any() else np.zeros(columns, bool)
        return cls(
            names,
            np.array([group.mean for group in moments]).reshape(varied.shape),
            np.where(varied, np.sqrt(squares / size[:, None]), 0),
            {
                "groups": len(names),
                "groups_of_one_cell": int((size == 1).sum()),
                "columns_constant_in_a_group": int(constant.sum()),
            },
        )

    def corrected(self, features: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """Correct some of the cells.

        Args:
            features: (m, d).
            groups: (m,) the group of each cell.

        Returns:
            (m, d) float32.
        """
        out = np.zeros(features.shape, np.float32)
        member = np.searchsorted(self.groups, groups)
        for group in np.unique(member).tolist():
            scale = self.scale[group]
            centred = features[member == group] - self.centre[group]
            out[member == group] = np.where(scale > 0, centred / np.where(scale > 0, scale, 1), 0)
        return out


def by_group(features: np.ndarray, groups: np.ndarray) -> Corrected:
    """Centre and scale each group (plate, cell line) by its mean and standard deviation.

    This removes all differences between groups, including biological ones. Use it only where the groups contain
    about the same proteins in the same proportions.

    Args:
        features: (n, d).
        groups: (n,) the group of each cell, of any sortable type.

    Returns:
        Columns with mean 0 and standard deviation 1 in each group. A column that is constant in a group becomes 0
        there, and so do all columns of a group of one cell. Notes: `groups`, `groups_of_one_cell` and
        `columns_constant_in_a_group` (columns that are constant in at least one group of two or more cells).

    Raises:
        ShapeError: features and groups differ in length.
        EvaluationError: a feature is not finite.

    >>> corrected = by_group(np.array([[1.0], [3.0], [10.0], [30.0]]), np.array(["A", "A", "B", "B"]))
    >>> corrected.features.ravel().tolist(), corrected.notes["groups"]
    ([-1.0, 1.0, -1.0, 1.0], 2)
    """
    scales = GroupScales.of(features, groups)
    return Corrected(scales.corrected(features, groups), scales.notes)


@dataclass(frozen=True)
class Whitening:
    """The transformation that `whitened` applies: centre, scale, then rotate the columns that vary among controls.

    Attributes:
        varied: (d,) bool, the columns that vary among controls.
        centre, scale: (v,) float64, of these v columns.
        rotation: (v, v) float64, the whitening matrix.
        notes: as in `whitened`.
    """

    varied: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    rotation: np.ndarray
    notes: dict[str, int]

    @classmethod
    def of(cls, features: Features, controls: np.ndarray, *, regularization: float = 0.01) -> Whitening:
        """Fit the transformation in two passes over the cells. Arguments and errors are those of `whitened`."""
        require_rows("whitening", features, controls)
        if not regularization > 0:
            raise EvaluationError(
                "whitening",
                found=f"regularization {regularization}",
                required="a value above 0, because directions without variation would otherwise become infinite",
                remedy="Choose 0.01, or a smaller value with many controls.",
            )
        chosen, columns = controls.astype(bool), features.shape[1]
        count = int(chosen.sum())
        moments = Moments(columns)
        least, most = np.full(columns, np.inf), np.full(columns, -np.inf)
        for place, block in places_of(features):
            require_finite("whitening", block)
            if chosen[place].any():
                rows = block[chosen[place]]
                moments.add(rows)
                least, most = np.minimum(least, rows.min(0)), np.maximum(most, rows.max(0))
        varied = least < most if count > 1 else np.zeros(columns, bool)
        if not varied.any():
            raise EvaluationError(
                "whitening",
                found=f"{count} control cells, in which {varied.sum()} of {many(len(varied), 'column')} vary",
                required="at least two control cells that differ, preferably many more cells than columns",
                remedy="Name controls that the screen contains, or correct by group instead.",
            )
        centre, scale = moments.mean[varied], np.sqrt(moments.squares[varied] / (count - 1))
        correlation = np.zeros((len(centre), len(centre)))  # R
        for place, block in places_of(features):
            rows = (block[chosen[place]][:, varied] - centre) / scale
            correlation += rows.T @ rows
        values, vectors = np.linalg.eigh(correlation / (count - 1))
        values = np.maximum(values, 0)  # rounding can make them slightly negative
        notes = {
            "controls": count,
            "columns_constant_in_controls": int((~varied).sum()),
            "directions_below_regularization": int((values < regularization).sum()),
        }
        return cls(varied, centre, scale, (vectors / np.sqrt(values + regularization)) @ vectors.T, notes)

    def corrected(self, features: np.ndarray) -> np.ndarray:
        """Transform some of the cells: (m, d) -> (m, d) float32."""
        out = np.zeros(features.shape, np.float32)
        for place, block in places_of(features):
            out[place, self.varied] = ((block[:, self.varied] - self.centre) / self.scale) @ self.rotation
        return out


def whitened(features: np.ndarray, controls: np.ndarray, *, regularization: float = 0.01) -> Corrected:
    """Centre the features on the control cells and equalize the controls' variance in all directions.

    The controls are biologically equal, so their variation is technical: the correction shrinks the directions in
    which they vary most. It first divides each column by the controls' standard deviation, so that the result does
    not depend on units. With R the controls' correlation matrix and e the regularization, it then multiplies by the
    regularized inverse square root of R, V diag((l + e)^(-1/2)) V', with eigenvectors V and eigenvalues l. This
    choice keeps each column as close as possible to the original ("ZCA-cor", as in pycytominer's `Spherize`). The
    mean of l is 1, so e is a fraction of the mean variance. A direction in which the controls do not vary (there are
    many if there are fewer controls than columns) is stretched by at most 1 / sqrt(e), 10 by default.

    Args:
        features: (n, d).
        controls: (n,) bool, the control cells.
        regularization: e, above 0.

    Returns:
        All n cells. The controls have mean 0 and covariance V diag(l / (l + e)) V', which approaches the identity
        for small e. A column that is constant among the controls becomes 0. Notes: `controls`,
        `columns_constant_in_controls` and `directions_below_regularization` (eigenvalues below e, among the columns
        that vary).

    Raises:
        ShapeError: features and controls differ in length.
        EvaluationError: there are fewer than two controls, all controls are equal, a feature is not finite, or the
            regularization is not above 0.

    >>> features = np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 7.0]])
    >>> corrected = whitened(features, np.array([True, True, False]), regularization=1.0)
    >>> corrected.features.round(2).tolist(), corrected.notes["columns_constant_in_controls"]
    ([[-0.5, 0.0], [0.5, 0.0], [1.5, 0.0]], 1)

    Source: not in the paper; Ando et al. 2017, "Improving phenotypic measurements in high-content imaging
    screens" (typical variation normalization); Kessy et al. 2018, "Optimal whitening and decorrelation".
    """
    whitening = Whitening.of(features, controls, regularization=regularization)
    return Corrected(whitening.corrected(features), whitening.notes)


Correct = Callable[[np.ndarray, pl.Series], np.ndarray]
"""Corrects (m, d) features of cells, given the image id of each: (m, d) float32."""

_GROUPED = {"by_plate": "plate", "by_cell_line": "cell_line"}


def corrections_by_image(
    features: Features,
    image: np.ndarray,
    images: pl.DataFrame,
    corrections: Sequence[str],
    *,
    controls: str | None,
    where: str = "correction",
) -> dict[str, Correct]:
    """Corrections whose groups and controls are known for each image.

    Args:
        features: (n, d) of all cells; they may stream: one pass for each correction, two for `whitened`.
        image: (n,) number of each cell's image.
        images: one row per image, in the order of their numbers: image_id, plate, cell_line, protein.
        corrections: `by_plate`, `by_cell_line` or `whitened`.
        controls: protein whose cells are the controls of `whitened`; None: all cells are.
        where: what an error names.

    Returns:
        Correction -> a function that corrects some of the cells, in memory, given the id of each cell's image.

    Raises:
        ShapeError, EvaluationError: as `by_group` and `whitened`, or an image has no plate or no cell line.
    """
    return {
        name: _whitening(features, image, images, controls)
        if name == "whitened"
        else _scaling(features, image, images, _GROUPED[name], f"{where} {name}")
        for name in corrections
    }


def _whitening(features: Features, image: np.ndarray, images: pl.DataFrame, controls: str | None) -> Correct:
    chosen = np.ones(images.height, bool)
    if controls is not None:
        chosen = images["protein"].eq_missing(controls).to_numpy()
    whitening = Whitening.of(features, chosen[image])
    return lambda vectors, _: whitening.corrected(vectors)


def _scaling(features: Features, image: np.ndarray, images: pl.DataFrame, column: str, where: str) -> Correct:
    if images[column].has_nulls():
        raise EvaluationError(
            where,
            found=f"images without `{column}`",
            required=f"a {column.replace('_', ' ')} for every image",
            remedy="Give it in `images` of the spec (docs/reference/spec.md), or leave this correction out.",
        )
    group = images[column].rank("dense").cast(pl.Int64)
    scales = GroupScales.of(features, group.to_numpy()[image])
    return lambda vectors, ids: scales.corrected(
        vectors, ids.replace_strict(images["image_id"], group).to_numpy()
    )
