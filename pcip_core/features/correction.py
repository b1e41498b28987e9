"""Take out what plates, lines or days do to features: by group, or by what varies among control cells.

The paper corrects nothing, so that its comparisons are of features as they come. These are for screens of many
plates, where the plate can outweigh the biology.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pcip_core.errors import EvaluationError
from pcip_core.features.blocks import Features, Moments, places_of
from pcip_core.features.checks import require_finite, require_rows


@dataclass(frozen=True)
class Corrected:
    """Features after a correction.

    Attributes:
        features: (n, d) float32.
        notes: what -> count: what the correction met that carries no information any more.
    """

    features: np.ndarray
    notes: dict[str, int]


@dataclass(frozen=True)
class GroupScales:
    """What `by_group` takes out: centre and scale of each column in each group.

    Attributes:
        groups: (g,) the groups, sorted.
        centre: (g, d) float64.
        scale: (g, d) float64; 0: the column is the same in all cells of the group, or the group is of one cell.
        notes: as of `by_group`.
    """

    groups: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    notes: dict[str, int]

    @classmethod
    def of(cls, features: Features, groups: np.ndarray) -> GroupScales:
        """Those of all cells, which may stream: one pass. Arguments and errors are those of `by_group`."""
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
        varied = least < most  # exact, where a standard deviation is subject to rounding
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
        """Some of the cells, (m, d), of these groups, (m,): (m, d) float32."""
        out = np.zeros(features.shape, np.float32)
        member = np.searchsorted(self.groups, groups)
        for group in np.unique(member).tolist():
            scale = self.scale[group]
            centred = features[member == group] - self.centre[group]
            out[member == group] = np.where(scale > 0, centred / np.where(scale > 0, scale, 1), 0)
        return out


def by_group(features: np.ndarray, groups: np.ndarray) -> Corrected:
    """Each group (plate, cell line) centred and scaled on its own, by its mean and standard deviation.

    What differs between groups is gone, also where it is biology: only for groups that hold about the same
    proteins in the same shares.

    Args:
        features: (n, d).
        groups: (n,) the group of each cell, of any sortable type.

    Returns:
        Columns of mean 0 and standard deviation 1 in each group. A column that is the same in all cells of a group
        becomes 0 there, and so does all of a group of one cell. Notes: `groups`, `groups_of_one_cell` and
        `columns_constant_in_a_group` (those that are in one or more of the groups of two cells or more).

    Raises:
        ShapeError: features and groups differ in length.
        EvaluationError: a feature is not finite.
    """
    scales = GroupScales.of(features, groups)
    return Corrected(scales.corrected(features, groups), scales.notes)


@dataclass(frozen=True)
class Whitening:
    """What `whitened` does: columns that vary among controls, their centre and scale, and the turn after that.

    Attributes:
        varied: (d,) bool.
        centre, scale: of the v columns that vary, float64.
        turn: (v, v) float64.
        notes: as of `whitened`.
    """

    varied: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    turn: np.ndarray
    notes: dict[str, int]

    @classmethod
    def of(cls, features: Features, controls: np.ndarray, *, regularization: float = 0.01) -> Whitening:
        """That of all cells, which may stream: two passes. Arguments and errors are those of `whitened`."""
        require_rows("whitening", features, controls)
        if not regularization > 0:
            raise EvaluationError(
                "whitening",
                found=f"regularization {regularization}",
                required="more than 0, as directions without variation would become infinite",
                remedy="Choose 0.01, or less where controls are many.",
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
                found=f"{count} control cells, among which {varied.sum()} of {len(varied)} columns vary",
                required="two control cells that differ, better many more than columns",
                remedy="Name controls that the screen has, or correct by group instead.",
            )
        centre, scale = moments.mean[varied], np.sqrt(moments.squares[varied] / (count - 1))
        correlation = np.zeros((len(centre), len(centre)))  # R
        for place, block in places_of(features):
            rows = (block[chosen[place]][:, varied] - centre) / scale
            correlation += rows.T @ rows
        values, vectors = np.linalg.eigh(correlation / (count - 1))
        values = np.maximum(values, 0)  # rounding can leave them a little below
        notes = {
            "controls": count,
            "columns_constant_in_controls": int((~varied).sum()),
            "directions_below_regularization": int((values < regularization).sum()),
        }
        return cls(varied, centre, scale, (vectors / np.sqrt(values + regularization)) @ vectors.T, notes)

    def corrected(self, features: np.ndarray) -> np.ndarray:
        """Some of the cells, (m, d): (m, d) float32."""
        out = np.zeros(features.shape, np.float32)
        for place, block in places_of(features):
            out[place, self.varied] = ((block[:, self.varied] - self.centre) / self.scale) @ self.turn
        return out


def whitened(features: np.ndarray, controls: np.ndarray, *, regularization: float = 0.01) -> Corrected:
    """Centre on the control cells and make what varies among them vary alike in all directions.

    Controls have one biology, so their variation is nuisance: directions in which they vary much count less
    afterwards. Columns are first divided by the controls' standard deviations, so that no unit of a column decides.
    With R the controls' correlation matrix and e the regularization, the rest is R's inverse square root,
    V diag((l + e)^(-1/2)) V', of its eigenvectors V and eigenvalues l, which keeps columns as near to
    themselves as can be ("ZCA-cor", as pycytominer's `Spherize` has it). The mean of l is 1, so e is a share of the
    mean variance: a direction in which controls do not vary at all (there are many when controls are fewer than
    columns) is stretched by 1 / sqrt(e), 10 by default, and no more.

    Args:
        features: (n, d).
        controls: (n,) bool, the control cells.
        regularization: e above, more than 0.

    Returns:
        All n cells. The controls have mean 0 and covariance V diag(l / (l + e)) V', the identity but for e. A
        column that is the same in all controls has no scale, and becomes 0. Notes: `controls`,
        `columns_constant_in_controls` and `directions_below_regularization` (eigenvalues below e, of the
        columns that vary).

    Raises:
        ShapeError: features and controls differ in length.
        EvaluationError: fewer than two controls, controls that are all alike, a feature that is not finite, or a
            regularization that is not above 0.

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
