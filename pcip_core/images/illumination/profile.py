"""The profile of the illumination of one channel, and the correction of a plane by it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pcip_core.errors import ImageFileError

LEAST_GAIN = 0.05
_SAMPLED = (64, 64)  # points at which the range of a gain is determined


@dataclass(frozen=True)
class Polynomial:
    """A smooth surface over a field: the sum of `coefficients[n][k] * x^(n-k) * y^k`.

    A pixel has `x = (column - origin[0]) * scale[0]` and `y = (row - origin[1]) * scale[1]` in a field of `dims`. The
    surface spans a field of any other size with the same proportions. This is the convention of Harmony's profiles.

    Attributes:
        coefficients: one row per degree.
        dims: width and height of the field. By default, x and y go from -0.5 to 0.5 over any field.
        origin: column and row of x = y = 0.
        scale: x and y per pixel.
    """

    coefficients: tuple[tuple[float, ...], ...]
    dims: tuple[float, float] = (1.0, 1.0)
    origin: tuple[float, float] = (0.0, 0.0)
    scale: tuple[float, float] = (1.0, 1.0)

    @classmethod
    def of_values(cls, values: Sequence[float]) -> Polynomial:
        """The polynomial over any field with these coefficients, degree after degree.

        >>> Polynomial.of_values([1, 0.5, 0.25]).coefficients
        ((1,), (0.5, 0.25))
        """
        rows: list[tuple[float, ...]] = []
        rest = tuple(values)
        while rest:
            rows.append(rest[: len(rows) + 1])
            rest = rest[len(rows) :]
        return cls(tuple(rows))

    def over(self, shape: tuple[int, int]) -> np.ndarray:
        """The values at the pixels of a field: (H, W) float32.

        >>> Polynomial(((1.0,), (0.5, 0.0))).over((1, 4)).tolist()
        [[0.8125, 0.9375, 1.0625, 1.1875]]
        """
        height, width = shape
        degree = len(self.coefficients)
        matrix = np.zeros((degree, degree))  # power of y, power of x
        for total, row in enumerate(self.coefficients):
            for power, value in enumerate(row):
                matrix[power, total - power] = value
        powers = [
            (((np.arange(size) + 0.5) * dims / size - 0.5 - origin) * scale)[:, None] ** np.arange(degree)
            for size, dims, origin, scale in zip(
                (width, height), self.dims, self.origin, self.scale, strict=True
            )
        ]
        with np.errstate(over="ignore", invalid="ignore"):  # `corrected` refuses values that are not finite
            x, y = (each.astype(np.float32) for each in powers)  # (W, degree), (H, degree)
            return (y @ matrix.astype(np.float32)) @ x.T


Surface = Polynomial | np.ndarray


def over(surface: Surface, shape: tuple[int, int]) -> np.ndarray:
    """The values of a surface at the pixels of a field of this shape, which an array must have."""
    return surface.over(shape) if isinstance(surface, Polynomial) else surface


@dataclass(frozen=True)
class Profile:
    """The illumination of one channel: a plane is background + gain * signal.

    The corrected plane is (plane - level * background) / gain + level: without shading, on the same level. Where
    gain and background are 1, it equals the plane.

    Attributes:
        gain: illumination relative to that of the field, about 1.
        background: the shape of what is not signal, about 1; None where it is the same in all pixels.
        level: grey level of the background.
        source: the file or the method that the profile comes from, for errors and tables.
    """

    gain: Surface
    background: Surface | None = None
    level: float = 0.0
    source: str = ""

    def corrected(self, plane: np.ndarray) -> np.ndarray:
        """The corrected plane: (H, W) float32.

        Raises:
            ImageFileError: the profile has another shape, a gain that is not positive somewhere, or a level above all
                pixels, or a corrected pixel is not finite.

        >>> plane = np.array([[100, 120], [100, 140]], np.uint16)
        >>> Profile(np.array([[1, 0.5], [1, 2.0]], np.float32), level=100).corrected(plane).tolist()
        [[100.0, 140.0], [100.0, 120.0]]
        """
        if plane.ndim != 2:
            raise self._refused(f"a plane of shape {plane.shape}", "a plane (height, width)")
        shape = (plane.shape[0], plane.shape[1])
        gain = self._fitted(self.gain, shape)
        if not gain.min() >= LEAST_GAIN:  # also refuses NaN
            raise self._refused(
                f"a profile with a gain of {gain.min():.3g}", f"a gain of {LEAST_GAIN} or more in all pixels"
            )
        if self.background is None and self.level > plane.max():
            raise ImageFileError(
                "illumination.offset",
                found=f"{self.level:g}, and a plane with no pixel above {plane.max():g}",
                required="the grey level of the camera without light",
                remedy="Correct illumination.offset in the spec.",
            )
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused
            out = plane.astype(np.float32)
            if self.background is None:
                out -= np.float32(self.level)
            else:
                out -= np.float32(self.level) * self._fitted(self.background, shape)
            out /= gain
            out += np.float32(self.level)
        if not (np.isfinite(gain.max()) and np.isfinite([out.min(), out.max()]).all()):
            raise self._refused(
                f"a gain up to {gain.max():.3g}, and corrected pixels from {out.min():.3g} to {out.max():.3g}",
                "a gain of about 1, and finite pixels",
            )
        return out

    def range(self) -> tuple[float, float]:
        """The least and the greatest gain."""
        gain = over(self.gain, _SAMPLED)
        return float(gain.min()), float(gain.max())

    @cached_property
    def digest(self) -> str:
        """A hash of everything that determines the correction."""
        digest = hashlib.blake2b(repr(float(self.level)).encode(), digest_size=12)
        for surface in (self.gain, self.background):
            digest.update(surface.tobytes() if isinstance(surface, np.ndarray) else repr(surface).encode())
        return digest.hexdigest()

    def _fitted(self, surface: Surface, shape: tuple[int, int]) -> np.ndarray:
        """The surface over a field of this shape, if it has its proportions."""
        if isinstance(surface, Polynomial):
            width, height = surface.dims
            fits = width == height == 1 or width * shape[0] == height * shape[1]
        else:
            height, width = surface.shape
            fits = surface.shape == shape
        if not fits:
            raise self._refused(
                f"a profile for fields of {height:.0f} x {width:.0f} px, and a field of {shape[0]} x {shape[1]} px",
                "a profile for fields of this size",
            )
        return over(surface, shape)

    def _refused(self, found: str, required: str) -> ImageFileError:
        return ImageFileError(
            self.source or "illumination",
            found=found,
            required=required,
            remedy="Correct the profile, or choose another illumination.method in the spec.",
        )
