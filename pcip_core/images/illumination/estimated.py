"""Illumination profiles estimated from the fields of a shard.

Each field is reduced to the means of its blocks and divided by its mean. The median over fields, which cells move
about, is what the fields have in common; a polynomial of degree 4 smooths it. Two halves of the fields, each estimated
alone, show the error of the estimate. A profile that does not exceed twice its error, or whose error is above 0.1, is
not used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pcip_core.images.field import Field
from pcip_core.images.illumination.profile import LEAST_GAIN, Polynomial, Profile
from pcip_core.words import many

BLOCKS = 32
"""Blocks per side of a field."""
LEAST_FIELDS = 16
MOST_ERROR = 0.1
_DEGREE = 4
_TIMES_ERROR = 2.0


@dataclass(frozen=True)
class Estimate:
    """The estimated gain of a channel.

    Attributes:
        gain: the polynomial, with mean 1; constant if nothing is corrected.
        error: standard error of the gain, root mean square over the field; NaN with few fields.
        n_fields: number of fields that it is estimated from.
        note: why nothing is corrected; empty if it is.
    """

    gain: Polynomial
    error: float
    n_fields: int
    note: str = ""

    def profile(self, offset: float) -> Profile:
        """The profile of a camera with this grey level without light."""
        return Profile(self.gain, level=offset, source="estimated")


def sampled(fields: Iterable[Field], most: int) -> set[str]:
    """Ids of at most this many fields. The choice depends on the ids only."""
    ids = [field.field_id for field in fields if field.problem is None]
    return set(sorted(ids, key=_key)[:most])


def _key(field_id: str) -> bytes:
    return hashlib.blake2b(field_id.encode(), digest_size=8).digest()


def block_means(plane: np.ndarray, blocks: int = BLOCKS) -> np.ndarray:
    """The means of blocks of pixels: (blocks, blocks) float32, or fewer if the plane has fewer pixels.

    >>> block_means(np.arange(16.0).reshape(4, 4), 2).tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """
    sums, count = plane, np.ones((1, 1))
    for axis, size in enumerate(plane.shape):
        starts = np.linspace(0, size, min(blocks, size), endpoint=False).astype(np.intp)
        sums = np.add.reduceat(sums, starts, axis=axis, dtype=np.float64)
        lengths = np.diff(starts, append=size)
        count = count * (lengths[:, None] if axis == 0 else lengths)
    return (sums / count).astype(np.float32)


def estimate(blocks: np.ndarray, offset: float) -> Estimate:
    """Estimate the gain of a channel.

    Args:
        blocks: (n, BLOCKS, BLOCKS) means of the blocks of fields, in any order that does not depend on their content.
        offset: grey level of the camera without light.

    >>> rng = np.random.default_rng(0)
    >>> shading = Polynomial(((1.0,), (0.4, 0.0))).over((32, 32))
    >>> found = estimate(100 + 50 * shading * rng.gamma(20, 1 / 20, (40, 32, 32)), 100)
    >>> bool(np.abs(found.gain.over((32, 32)) - shading).max() < 0.05)
    True
    """
    flat = Polynomial(((1.0,),))
    signal = blocks.astype(np.float64) - offset
    level = signal.mean((1, 2))
    signal = signal[level > 0] / level[level > 0, None, None]
    n = len(signal)
    if n < LEAST_FIELDS:
        return Estimate(flat, float("nan"), n, f"{many(n, 'field')} (required: {LEAST_FIELDS} or more)")
    gain = _fitted(signal)
    surface, shape = gain.over((BLOCKS, BLOCKS)), (BLOCKS, BLOCKS)
    halves = [_fitted(signal[start::2]).over(shape) for start in (0, 1)]
    error = _root_mean_square(halves[0] - halves[1]) / 2
    uneven = _root_mean_square(surface - 1)
    if uneven < _TIMES_ERROR * error:
        return Estimate(flat, error, n, f"even within the error ({uneven:.3f}, error {error:.3f})")
    if error > MOST_ERROR:
        return Estimate(flat, error, n, f"an error of {error:.3f} (required: {MOST_ERROR} or less)")
    if surface.min() < LEAST_GAIN:
        return Estimate(flat, error, n, f"a gain of {surface.min():.3f} (required: {LEAST_GAIN} or more)")
    return Estimate(gain, error, n)


def _fitted(signal: np.ndarray) -> Polynomial:
    """The polynomial through the median over fields, with mean 1."""
    common = np.median(signal, axis=0)
    place = (np.arange(BLOCKS) + 0.5) / BLOCKS - 0.5
    x, y = np.meshgrid(place, place)
    terms = [(n, k) for n in range(_DEGREE + 1) for k in range(n + 1)]
    design = np.stack([(x ** (n - k) * y**k).ravel() for n, k in terms], axis=1)
    solved = np.linalg.lstsq(design, common.ravel(), rcond=None)[0]
    solved /= (design @ solved).mean()
    rows: list[list[float]] = [[] for _ in range(_DEGREE + 1)]
    for (n, _), value in zip(terms, solved.astype(np.float32).tolist(), strict=True):  # as the store keeps it
        rows[n].append(value)
    return Polynomial(tuple(map(tuple, rows)))


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
