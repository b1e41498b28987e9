"""What the units of a feature set respond to: the units that separate groups of cells, and the cells at their ends.

A unit is one column of the features. A direction is a weighted sum of units, such as the difference of the means of two
groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pcip_core.errors import EvaluationError
from pcip_core.features.blocks import Features, Moments, columns_of, places_of, sums_of_groups
from pcip_core.features.checks import require_rows


@dataclass(frozen=True)
class Unit:
    """A unit that separates groups.

    Attributes:
        number: its column, from 0.
        share: share of its variance between the groups, from 0 to 1.
        group: the group with its highest mean.
    """

    number: int
    share: float
    group: str


def separating_units(
    features: Features, group: np.ndarray, names: Sequence[str], *, most: int = 6
) -> list[Unit]:
    """The units that separate groups of cells best: the best one for each group, then the best of the others.

    Args:
        features: (n, d).
        group: (n,) number of each cell's group, an index into `names`; -1 for cells of no group.
        names: the groups.
        most: largest number of units.

    Returns:
        At most so many units, in descending order of their shares. Each group that is highest in some unit has one
        before a group has two.

    Raises:
        ShapeError: features and group differ in length.

    >>> features = np.array([[0.0, 5.0, 1.0], [0.1, 5.0, 2.0], [1.0, 5.0, 1.0], [1.1, 5.0, 3.0]])
    >>> [(unit.number, unit.group) for unit in separating_units(features, np.array([0, 0, 1, 1]), ["a", "b"])]
    [(0, 'b'), (2, 'b')]
    """
    require_rows("separating units", features, groups=group)
    moments = Moments(features.shape[1])
    for place, block in places_of(features):
        moments.add(block[group[place] >= 0])
    sums, counts = sums_of_groups(features, group, len(names))
    present = np.flatnonzero(counts)
    if len(present) < 2:
        return []
    means = sums[present] / counts[present, None]
    between = (counts[present, None] * np.square(means - moments.mean)).sum(0)
    varied = np.isfinite(moments.squares) & (moments.squares > 0)
    share = np.divide(between, moments.squares, out=np.full(len(varied), -1.0), where=varied)
    order = [int(unit) for unit in np.argsort(-share, kind="stable") if varied[unit]]
    units = [
        Unit(unit, float(min(share[unit], 1.0)), names[present[means[:, unit].argmax()]]) for unit in order
    ]
    first: dict[str, Unit] = {}
    for unit in units:
        first.setdefault(unit.group, unit)
    chosen = list(first.values())[:most]
    chosen += [unit for unit in units if unit not in chosen][: most - len(chosen)]
    return sorted(chosen, key=lambda unit: -unit.share)


def unit_direction(unit: int, units: int, where: str) -> np.ndarray:
    """The direction of one unit, (units,).

    Raises:
        EvaluationError: there is no such unit.
    """
    if not 0 <= unit < units:
        raise EvaluationError(
            where,
            found=f"unit {unit}",
            required=f"a unit from 0 to {units - 1}",
            remedy="Name a unit of this feature set.",
        )
    return np.eye(1, units, unit)[0]


def direction_between(features: Features, group: np.ndarray) -> np.ndarray:
    """The direction from the mean of group 0 to the mean of group 1, (d,).

    The difference of the means of the standardized features is divided by the standard deviation of each column, so
    that the direction applies to the features as they are. Its scale is such that the two means are 1 apart.

    Args:
        features: (n, d).
        group: (n,) 0, 1, or -1 for other cells; each group has a cell.

    >>> direction_between(np.array([[0.0, 1.0], [2.0, 1.0]]), np.array([0, 1])).tolist()
    [0.5, 0.0]
    """
    columns = columns_of(features, "a direction between groups")
    sums, counts = sums_of_groups(features, group, 2)
    first, second = sums / counts[:, None]
    varied = columns.deviation > 0
    weights = np.divide(second - first, columns.deviation**2, out=np.zeros(len(varied)), where=varied)
    apart = float(weights @ (second - first))
    return weights / apart if apart > 0 else weights


def responses(features: Features, direction: np.ndarray) -> np.ndarray:
    """The value of each cell along a direction, (n,) float64, or along each of k directions, (n, k).

    Args:
        features: (n, d).
        direction: (d,) or (d, k).
    """
    values = np.empty((len(features), *direction.shape[1:]))
    for place, block in places_of(features):
        values[place] = block @ direction
    return values


def ends(values: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the highest values, the highest first, and of the lowest values, the lowest first.

    At most n each, and no row twice. Rows that are not finite are left out. Of equal values, the first rows count as
    highest and the last as lowest.

    >>> highest, lowest = ends(np.array([3.0, 1.0, np.nan, 2.0]), 1)
    >>> highest.tolist(), lowest.tolist()
    ([0], [1])
    """
    finite = np.flatnonzero(np.isfinite(values))
    n = min(n, len(finite) // 2)
    order = finite[np.argsort(-values[finite], kind="stable")]
    return order[:n], order[::-1][:n]
