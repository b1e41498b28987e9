"""How well a mask fits the channels of its field: do pixels inside it differ from those outside?

The fit of a mask and a plane is the area under the ROC curve: the chance that a pixel inside the mask is brighter
than one outside (or darker, if that is more frequent). 0.5 is chance, 1 a perfect fit. The fit of a field is that of
the channel that fits best. In brightfield, where cells differ in texture rather than brightness, the gradient of a
channel may fit instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_gradient_magnitude
from scipy.stats import rankdata

_PIXELS = 40_000  # evenly spaced, that are compared
_LEAST = 20  # pixels of them inside and outside of the mask
_OVERLAP = 0.5  # a turned mask that shares more of its area with the mask says nothing
_SMOOTH_PX = 2.0  # of the gradient
GOOD = 0.65  # a fit that is not questioned
CLEAR = 0.75  # a fit of another mask that proves it the right one
_GAIN = 0.2  # by which it must exceed the fit of the mask
_CHANCE = 0.6  # a fit up to this may be chance
_SIGNAL = 6.0  # of the brightest pixels over the background, in standard deviations: the field has objects

_TURNS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "upside down": lambda mask: mask[::-1],
    "mirrored left to right": lambda mask: mask[:, ::-1],
    "turned by 180 degrees": lambda mask: mask[::-1, ::-1],
    "transposed": lambda mask: mask.T,
    "turned by 90 degrees": lambda mask: np.rot90(mask),
    "turned by 270 degrees": lambda mask: np.rot90(mask, 3),
}


@dataclass(frozen=True)
class Misfit:
    """A mask that does not fit its field.

    Attributes:
        of_mask: fit of the mask as it is.
        chance: whether that is no better than by chance, or than the mask fits when turned.
        turned: how it must be turned to fit; None if it fits in no direction.
        of_turned: fit of the mask when turned so.
    """

    of_mask: float
    chance: bool
    turned: str | None = None
    of_turned: float = 0.5


class Fit:
    """The fit of any mask to the channels of one field; ranks are computed once."""

    def __init__(self, planes: Mapping[str, np.ndarray]) -> None:
        self._planes = planes
        height, width = next(iter(planes.values())).shape
        self.step = max(1, int(np.sqrt(height * width / _PIXELS)))
        self._ranks = [self._ranked(plane) for plane in planes.values()]
        self._with_gradients = False

    def of(self, mask: np.ndarray) -> float | None:
        """The fit of a mask (H, W) bool; None if too few pixels are inside or outside of it."""
        best = self._best(mask)
        if best is not None and best < GOOD and not self._with_gradients:
            self._add_gradients()
            best = self._best(mask)
        return best

    def is_dark(self, mask: np.ndarray) -> bool:
        """Whether a mask (H, W) bool is clearly darker than the rest in one channel, and brighter in none."""
        areas = self._areas(mask)[: len(self._planes)]
        return bool(areas) and min(areas) <= 1 - CLEAR and max(areas) <= _CHANCE

    def _best(self, mask: np.ndarray) -> float | None:
        return max((max(area, 1 - area) for area in self._areas(mask)), default=None)

    def _areas(self, mask: np.ndarray) -> list[float]:
        """The chance that a pixel inside is brighter than one outside, by channel; empty with too few pixels."""
        thinned = mask[:: self.step, :: self.step].ravel()
        inside = int(thinned.sum())
        pairs = inside * (thinned.size - inside)
        if min(inside, thinned.size - inside) < _LEAST:
            return []
        return [float((ranks[thinned].sum() - inside * (inside + 1) / 2) / pairs) for ranks in self._ranks]

    def _add_gradients(self) -> None:
        self._with_gradients = True
        for plane in self._planes.values():
            gradient = gaussian_gradient_magnitude(plane.astype(np.float32), _SMOOTH_PX, mode="nearest")
            self._ranks.append(self._ranked(gradient))

    def _ranked(self, plane: np.ndarray) -> np.ndarray:
        return rankdata(plane[:: self.step, :: self.step].ravel())


def misfit(mask: np.ndarray, planes: Mapping[str, np.ndarray]) -> Misfit | None:
    """Whether a mask does not fit its field. A field without objects, or a mask that covers nearly all, is not judged.

    Args:
        mask: (H, W) bool.
        planes: channel name -> (H, W).

    Returns:
        None if the mask fits or cannot be judged; otherwise its poor fit, and the direction in which it fits, if any.
    """
    fit = Fit(planes)
    own = fit.of(mask)
    if own is None or own >= GOOD or not any(map(_has_objects, planes.values())):
        return None
    turned = [(value, name) for name, other in _turned(mask) if (value := fit.of(other)) is not None]
    best, name = max(turned, default=(0.5, ""))
    if best >= CLEAR and best >= own + _GAIN:
        return Misfit(own, chance=True, turned=name, of_turned=best)
    return Misfit(own, chance=bool(turned) and own <= max(_CHANCE, best))


def fits_better(
    own: float, planes: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray]
) -> tuple[str, float] | None:
    """The mask of another field that clearly fits a field, by far better than its own does.

    Args:
        own: fit of the mask of the field.
        planes: channel name -> (H, W).
        masks: name -> (H, W) bool; those of another shape are left out.

    Returns:
        The name of the best mask and its fit, or None.
    """
    fit, shape = Fit(planes), next(iter(planes.values())).shape
    fits = [(fit.of(mask) or 0.0, name) for name, mask in masks.items() if mask.shape == shape]
    best, name = max(fits, default=(0.0, ""))
    return (name, best) if best >= CLEAR and best >= own + _GAIN else None


def _turned(mask: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The turned masks that keep the shape and differ enough."""
    for name, turn in _TURNS.items():
        other = turn(mask)
        if other.shape == mask.shape and (mask & other).sum() < _OVERLAP * mask.sum():
            yield name, other


def _has_objects(plane: np.ndarray) -> bool:
    """Whether some pixels are far brighter than most, as cells on a background are."""
    step = max(1, int(np.sqrt(plane.size / _PIXELS)))
    values = plane[::step, ::step].astype(np.float32)
    middle, brightest = np.percentile(values, (50, 99))
    deviation = 1.4826 * float(np.median(np.abs(values - middle)))
    return bool(brightest - middle > _SIGNAL * max(deviation, 1e-9))
