"""Take out what plates, lines or days do to features: by group, or by what varies among control cells.

The paper corrects nothing, so that its comparisons are of features as they come. These are for screens of many
plates, where the plate can outweigh the biology.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pcip_core.errors import EvaluationError
from pcip_core.evaluation.usable import require_finite, require_rows


@dataclass(frozen=True)
class Corrected:
    """Features after a correction.

    Attributes:
        features: (n, d) float32.
        notes: what -> count: what the correction met that carries no information any more.
    """

    features: np.ndarray
    notes: dict[str, int]


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
    require_rows("correction by group", features, groups)
    require_finite("correction by group", features)
    names, member, size = np.unique(groups, return_inverse=True, return_counts=True)
    order = member.argsort(kind="stable")
    out = np.zeros(features.shape, np.float32)
    constant = np.zeros(features.shape[1], bool)
    for rows in np.split(order, size.cumsum()[:-1]):
        if len(rows) < 2:
            continue
        values = features[rows].astype(np.float64)  # (cells of the group, d)
        varied = values.min(0) < values.max(0)  # exact, where a standard deviation is subject to rounding
        centred = values - values.mean(0)
        out[rows] = np.where(varied, centred / np.where(varied, centred.std(0), 1), 0)
        constant |= ~varied
    return Corrected(
        out,
        {
            "groups": len(names),
            "groups_of_one_cell": int((size == 1).sum()),
            "columns_constant_in_a_group": int(constant.sum()),
        },
    )


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
    require_rows("whitening", features, controls)
    require_finite("whitening", features)
    if not regularization > 0:
        raise EvaluationError(
            "whitening",
            found=f"regularization {regularization}",
            required="more than 0, as directions without variation would become infinite",
            remedy="Choose 0.01, or less where controls are many.",
        )
    count = int(controls.sum())
    chosen = features[controls.astype(bool)].astype(np.float64)
    varied = chosen.min(0) < chosen.max(0) if count > 1 else np.zeros(features.shape[1], bool)
    if not varied.any():
        raise EvaluationError(
            "whitening",
            found=f"{count} control cells, among which {varied.sum()} of {len(varied)} columns vary",
            required="two control cells that differ, better many more than columns",
            remedy="Name controls that the screen has, or correct by group instead.",
        )
    chosen = chosen[:, varied]
    centre, scale = chosen.mean(0), chosen.std(0, ddof=1)
    chosen = (chosen - centre) / scale
    values, vectors = np.linalg.eigh(chosen.T @ chosen / (count - 1))  # of R
    values = np.maximum(values, 0)  # rounding can leave them a little below
    turn = (vectors / np.sqrt(values + regularization)) @ vectors.T  # (varied columns, varied columns)
    out = np.zeros(features.shape, np.float32)
    out[:, varied] = ((features[:, varied] - centre) / scale) @ turn
    return Corrected(
        out,
        {
            "controls": count,
            "columns_constant_in_controls": int((~varied).sum()),
            "directions_below_regularization": int((values < regularization).sum()),
        },
    )
