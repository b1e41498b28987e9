"""Textures of simulated structures: smooth noise, ridges, spots and filaments."""

from __future__ import annotations

import functools

import numpy as np
from scipy import ndimage

_TILE = 768


@functools.cache
def _tile(sigma: float) -> np.ndarray:
    """A periodic tile of Gaussian noise, smoothed with a sigma in px, with mean 0 and standard deviation 1."""
    rng = np.random.default_rng(int(sigma * 1000))
    smooth = ndimage.gaussian_filter(rng.standard_normal((_TILE, _TILE)), sigma, mode="wrap")
    return ((smooth - smooth.mean()) / smooth.std()).astype(np.float32)


def noise(rng: np.random.Generator, shape: tuple[int, int], sigma: float) -> np.ndarray:
    """Smooth noise (h, w) with mean 0, standard deviation 1 and a correlation length of sigma px."""
    tile = _tile(sigma)
    if rng.random() < 0.5:
        tile = tile.T
    y, x = rng.integers(_TILE - shape[0]), rng.integers(_TILE - shape[1])
    return tile[y : y + shape[0], x : x + shape[1]]


def ridges(rng: np.random.Generator, shape: tuple[int, int], sigma: float, sharpness: float) -> np.ndarray:
    """Winding lines (h, w) in [0, 1], along the zeros of smooth noise."""
    return np.exp(-((noise(rng, shape, sigma) * sharpness) ** 2))


def soft(distance: np.ndarray, width: float = 0.8) -> np.ndarray:
    """A smooth step from 0 (outside, negative distance in px) to 1 (inside) over `width` px."""
    return 1 / (1 + np.exp(-np.clip(distance / width, -30, 30)))


def dots(
    rng: np.random.Generator, where: np.ndarray, count: int, sigma: float, spread: float = 0.4
) -> np.ndarray:
    """`count` round spots (h, w) at random positions with density `where` and log-normal brightness."""
    flat = np.cumsum(where.ravel(), dtype=np.float64)
    canvas = np.zeros(where.shape, np.float32)
    if flat[-1] > 0:
        places = np.searchsorted(flat, rng.random(count) * flat[-1]).clip(0, canvas.size - 1)
        np.add.at(canvas.ravel(), places, rng.lognormal(0, spread, count).astype(np.float32))
    return ndimage.gaussian_filter(canvas, sigma)


def filaments(
    rng: np.random.Generator,
    inside: np.ndarray,
    origin: tuple[float, float],
    *,
    count: int,
    steps: int,
    bend: float,
) -> np.ndarray:
    """Curved fibres (h, w) that start near one point and end at the border of `inside`.

    Args:
        rng: random generator for directions and bends.
        inside: (h, w) bool, the region of the fibres.
        origin: (y, x), the common start.
        count: number of fibres.
        steps: largest length of a fibre, px.
        bend: standard deviation of the change of direction per px, radians.
    """
    canvas = np.zeros(inside.shape, np.float32)
    start = np.array(origin)[:, None] + rng.normal(0, 4.0, (2, count))
    angle = rng.uniform(0, 2 * np.pi, count)
    drift = rng.normal(0, 0.012, count)
    turns = np.cumsum(rng.normal(0, bend, (steps, count)) + drift, axis=0) + angle
    turns = ndimage.uniform_filter1d(turns, 9, axis=0)
    path_y = start[0] + np.cumsum(np.sin(turns), axis=0)
    path_x = start[1] + np.cumsum(np.cos(turns), axis=0)
    y = np.clip(np.rint(path_y).astype(int), 0, inside.shape[0] - 1)
    x = np.clip(np.rint(path_x).astype(int), 0, inside.shape[1] - 1)
    within = (abs(path_y - y) <= 0.5) & (abs(path_x - x) <= 0.5)  # not moved by the clipping
    alive = np.logical_and.accumulate(inside[y, x] & within, axis=0)
    np.add.at(canvas, (y[alive], x[alive]), 1.0)
    return ndimage.gaussian_filter(canvas, 0.8)
