"""Shapes of cells by a few numbers, to find pairs of cells that differ in shape (`encoder.hardest_of`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pcip_core.crops.pixels import Pixels
from pcip_core.errors import TrainingError

_PIECE = 2**20  # pixels that are described at a time
_LEVEL = 1e-3  # of 255: what rounding may add to a mean, so that no pixel of a constant channel is bright
_SPREAD = 6  # standard deviations of the weights along the side of a crop
_ROUNDING = 1e-6  # a spread of this part of the mean, or a width of this part of the crop, is rounding


def comparable_shapes(pixels: Pixels, channels: Sequence[int], names: Sequence[str]) -> np.ndarray:
    """Describe the shapes of cells by numbers that can be compared: those of `shapes`, with a standard deviation of 1.

    Args:
        pixels: (n, C, S, S) uint8.
        channels: positions of the structural channels.
        names: their names.

    Returns:
        (n, 3 * channels) float32. A number that is the same for all cells is 0.

    Raises:
        TrainingError: all cells have the same shape.
    """
    values = shapes(pixels, channels)
    spread = values.std(0, dtype=np.float64)
    differ = spread > _ROUNDING * values.mean(0, dtype=np.float64)
    if not differ.any():
        raise TrainingError(
            "encoder.hardest_of",
            found=f"the same shape in all {len(values):,} cells (structural channels: {', '.join(names) or 'none'})",
            required="structural channels in which the shapes of cells differ",
            remedy="Set encoder.hardest_of to 1, or add a structural channel to the spec.",
        )
    values[:, ~differ] = 0
    values[:, differ] /= spread[differ]
    return values


def shapes(pixels: Pixels, channels: Sequence[int]) -> np.ndarray:
    """Describe the shape of what is bright in each channel of each cell by its area, length and width.

    Pixels count by a Gaussian about the centre of the crop, with a standard deviation of a sixth of its side, so that
    other cells in the crop count less. Bright is what exceeds the mean of the channel, so that neither a constant
    background nor the brightness matters. Flips and turns by 90 degrees do not matter either.

    Args:
        pixels: (n, C, S, S) uint8.
        channels: positions of the channels.

    Returns:
        (n, 3 * channels) float32. For each channel: the share of bright pixels, and the standard deviations of the
        brightness above the mean along its major and its minor axis, in px; all 0 for a constant channel.

    >>> pixels = np.zeros((1, 1, 8, 8), np.uint8)
    >>> pixels[0, 0, 2:6, 3:5] = 200
    >>> [round(value, 3) for value in shapes(pixels, [0])[0].tolist()]
    [0.49, 0.988, 0.5]
    """
    n, _, size, _ = pixels.shape
    values = np.empty((n, 3 * len(channels)), np.float32)
    piece = max(1, _PIECE // (size * size * pixels.shape[1]))
    for first in range(0, n, piece):
        part = slice(first, first + piece)
        crops = np.asarray(pixels[part])[:, list(channels)].astype(np.float32)
        values[part] = _shapes(crops).reshape(len(crops), -1)
    return values


def _shapes(crops: np.ndarray) -> np.ndarray:
    """(n, C, S, S) float32 -> (n, C, 3) area, length and width."""
    weight = _weight(crops.shape[-1])
    mean = crops.reshape(*crops.shape[:2], weight.size) @ weight.ravel()
    bright = (crops - (mean + _LEVEL)[..., None, None]).clip(min=0)
    area = (bright > 0).reshape(*crops.shape[:2], weight.size) @ weight.ravel()
    bright *= weight
    line = np.arange(crops.shape[-1], dtype=np.float64)
    total = np.maximum(bright.sum((2, 3), dtype=np.float64), np.finfo(np.float32).tiny)
    rows, columns = bright.sum(3, dtype=np.float64), bright.sum(2, dtype=np.float64)  # (n, C, S)
    y, x = rows @ line / total, columns @ line / total
    down = rows @ line**2 / total - y**2
    across = columns @ line**2 / total - x**2
    both = (bright @ line * line).sum(2) / total - y * x
    middle, half = (down + across) / 2, np.hypot((down - across) / 2, both)
    variances = np.stack([middle + half, middle - half])
    variances[variances < (_ROUNDING * len(line)) ** 2] = 0  # of a line or a point, which has no width
    axes = np.sqrt(variances)
    return np.stack([area, *axes], axis=2)


def _weight(size: int) -> np.ndarray:
    """(S, S) float32 weight of each pixel of a crop, with a sum of 1."""
    line = np.exp(-(((np.arange(size) - (size - 1) / 2) * _SPREAD / size) ** 2) / 2)
    weight = line[:, None] * line
    return (weight / weight.sum()).astype(np.float32)
