"""The microscope: uneven illumination, blur, shot noise, read noise, 16-bit camera."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

_OFFSET, _READ_NOISE = 120.0, 6.0  # camera counts


def illumination(rng: np.random.Generator, size: int) -> np.ndarray:
    """An off-centre bright spot that fades towards the corners: (size, size), at most 1."""
    y, x = np.mgrid[:size, :size] / size - 0.5
    cy, cx = rng.uniform(-0.2, 0.2, 2)
    return (1 - rng.uniform(0.25, 0.5) * ((y - cy) ** 2 + (x - cx) ** 2)).astype(np.float32)


def expose(
    rng: np.random.Generator,
    light: np.ndarray,
    lamp: np.ndarray,
    *,
    photons: float,
    background: float,
    blur_px: float,
) -> np.ndarray:
    """Simulate the image of a plane.

    Args:
        rng: random generator for the noise.
        light: (H, W) emitted light.
        lamp: (H, W) illumination, at most 1.
        photons: photons detected where `light` is at its 99.7th percentile, under full illumination.
        background: haze of the medium and out-of-focus light, as a share of `photons`.
        blur_px: sigma of the point spread function, px.

    Returns:
        (H, W) uint16 camera counts.

    >>> light, lamp = np.ones((64, 64), np.float32), np.ones((64, 64), np.float32)
    >>> dark = expose(np.random.default_rng(0), 0 * light, lamp, photons=400, background=0, blur_px=1)
    >>> dark.dtype, bool(abs(dark.mean() - 120) < 1)
    (dtype('uint16'), True)
    """
    sharp = ndimage.gaussian_filter(light.astype(np.float32), blur_px)
    haze = ndimage.zoom(ndimage.gaussian_filter(sharp[::8, ::8], 3.0), 8, order=1)[
        : light.shape[0], : light.shape[1]
    ]
    top = max(float(np.percentile(sharp, 99.7)), 1e-6)
    expected = ((sharp + 0.12 * haze) / top + background) * lamp * photons
    counts = rng.poisson(expected).astype(np.float32)
    gain = 24000 / max(photons, 1.0) ** 0.8 / 3.0
    adu = counts * gain + _OFFSET + rng.normal(0, _READ_NOISE, counts.shape)
    return np.clip(adu, 0, 65535).astype(np.uint16)
