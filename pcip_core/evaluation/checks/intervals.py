"""Confidence intervals of recalls, from how much images differ: cells of one image are not independent."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_TAIL = 0.975  # for a 95 % interval


class Interval(NamedTuple):
    """The ends of a 95 % interval; None where a class has one image, so that its spread is unknown."""

    low: float | None
    high: float | None


class Spread(NamedTuple):
    """A score with its standard error, and the degrees of freedom of that error."""

    value: float
    error: float
    freedom: float

    @property
    def interval(self) -> Interval:
        """The 95 % interval by Student's t, within 0 and 1."""
        if self.freedom < 1:
            return Interval(None, None)
        from scipy.stats import t as student

        half = float(student.ppf(_TAIL, self.freedom)) * self.error
        return Interval(max(0.0, self.value - half), min(1.0, self.value + half))


def recall_intervals(
    hit: np.ndarray, labels: np.ndarray, images: np.ndarray
) -> tuple[Interval, Interval, dict[str, Interval]]:
    """Intervals of the balanced accuracy, of the accuracy, and of the recall of each class.

    A recall is the ratio of two sums over images, so that its variance is m / (m - 1) sum (h - r n)^2 / (sum n)^2, with
    n cells and h hits in each of m images, and r the recall. The recalls of different classes are independent, as each
    image has one class. The degrees of freedom of the balanced accuracy are Satterthwaite's. The interval holds for
    other images of the same screen, with the same neighbours or classifier. Where all images agree, it has no width.

    Args:
        hit: (n,) bool, whether the prediction of each cell is correct.
        labels: (n,) class of each cell.
        images: (n,) image of each cell.

    Returns:
        The interval of the balanced accuracy, that of the accuracy, and class -> that of its recall.

    Source: Cochran 1977, Sampling Techniques, equation 6.10 (ratio estimator); Satterthwaite 1946.

    >>> hit, labels = np.array([True, False, True, True]), np.array(["a", "a", "a", "b"])
    >>> _, _, recalls = recall_intervals(hit, labels, np.array(["1", "1", "2", "3"]))
    >>> round(recalls["a"].low, 3), recalls["a"].high, recalls["b"]
    (0.0, 1.0, Interval(low=None, high=None))
    """
    classes, label = np.unique(labels, return_inverse=True)
    image = np.unique(images, return_inverse=True)[1]
    pairs, pair = np.unique(np.stack([label, image]), axis=1, return_inverse=True)
    pair = pair.ravel()
    cells, hits = np.bincount(pair), np.bincount(pair, weights=hit)
    recalls = [_ratio(hits[pairs[0] == number], cells[pairs[0] == number]) for number in range(len(classes))]
    by_image = np.bincount(image), np.bincount(image, weights=hit)
    return (
        _mean(recalls).interval,
        _ratio(by_image[1], by_image[0]).interval,
        {str(name): recall.interval for name, recall in zip(classes, recalls, strict=True)},
    )


def _ratio(hits: np.ndarray, cells: np.ndarray) -> Spread:
    """The ratio of the sums over images."""
    images, total = len(cells), cells.sum()
    ratio = hits.sum() / total
    if images < 2:
        return Spread(float(ratio), np.nan, 0)
    variance = images / (images - 1) * np.square(hits - ratio * cells).sum() / total**2
    return Spread(float(ratio), float(np.sqrt(variance)), images - 1)


def _mean(parts: list[Spread]) -> Spread:
    """The mean of independent scores."""
    value = float(np.mean([part.value for part in parts]))
    if any(part.freedom < 1 for part in parts):
        return Spread(value, np.nan, 0)
    variances = np.square([part.error for part in parts])
    total = variances.sum()
    freedom = np.array([part.freedom for part in parts])
    shared = float(total**2 / (np.square(variances) / freedom).sum()) if total else float(freedom.min())
    return Spread(value, float(np.sqrt(total)) / len(parts), shared)
