"""Random changes of cells in addition to flips: turns by 90 degrees, scale, blur and intensity, on whole batches.

Scaling and blurring are linear, and act on rows and columns alike: each cell has one matrix (S, S) for both.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from pcip_core.spec.training import Augmentation
from pcip_core.training.sampling import keyed_bits, keyed_uniform

_LEAST_SIGMA = 1e-2  # px; the weights of neighbours are then 0


class Changes(NamedTuple):
    """The changes of B cells.

    Attributes:
        transposed: (B,) bool.
        factor: (B,) above 1 enlarges.
        sigma: (B,) standard deviation of the blur in px.
        power: (B, C) power of the intensities of each channel.
    """

    transposed: np.ndarray
    factor: np.ndarray
    sigma: np.ndarray
    power: np.ndarray


def draw_changes(
    augment: Augmentation, cells: np.ndarray, channels: int, *, seed: int, epoch: int
) -> Changes:
    """Draw the changes of (B,) cells, which depend on the seed, the epoch and the number of each cell only.

    >>> changes = draw_changes(Augmentation(scale=0.25), np.arange(1000), 2, seed=0, epoch=1)
    >>> changes.factor.min().round(2), changes.factor.max().round(2), changes.power.shape, changes.sigma.max()
    (np.float64(0.8), np.float64(1.25), (1000, 2), np.float64(0.0))
    """

    def ratio(purpose: str, most: float, numbers: np.ndarray) -> np.ndarray:
        """Numbers from 1 / (1 + most) to 1 + most, uniform in their logarithm."""
        return (1 + most) ** (2 * keyed_uniform(purpose, seed, epoch, numbers) - 1)

    return Changes(
        keyed_bits("transposed", seed, epoch, cells) >> np.uint64(63) == 1,
        ratio("scale", augment.scale, cells),
        augment.blur * keyed_uniform("blur", seed, epoch, cells),
        ratio("intensity", augment.intensity, cells[:, None] * channels + np.arange(channels)),
    )


def changed(x: torch.Tensor, changes: Changes, augment: Augmentation) -> torch.Tensor:
    """Change (B, C, S, S) cells in [0, 1], already flipped: transpose, scale, blur, then raise to a power."""

    def on_device(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values).to(x.device, non_blocking=True)

    if augment.turns:  # with flips, all eight symmetries of a square
        x = torch.where(on_device(changes.transposed)[:, None, None, None], x.transpose(2, 3), x)
    if augment.scale or augment.blur:
        lines = resampled_lines(x.shape[-1], changes.factor, changes.sigma).to(x.device)
        x = _along_rows(_along_rows(x, lines).transpose(2, 3), lines).transpose(2, 3)
    if augment.intensity:
        x = x ** on_device(changes.power.astype(np.float32))[:, :, None, None]
    return x.contiguous(memory_format=torch.channels_last)


def resampled_lines(size: int, factor: np.ndarray, sigma: np.ndarray) -> torch.Tensor:
    """Compute the weights of the lines (rows or columns) of a cell in each line of the changed cell.

    Lines are interpolated linearly about the centre, the border is repeated, and the result is blurred.

    Returns:
        (B, size, size) float32; each row sums to 1.

    >>> resampled_lines(4, np.array([1.0]), np.array([0.0]))[0].tolist() == np.eye(4).tolist()
    True
    """
    line = torch.arange(size, dtype=torch.float32)
    centre = (size - 1) / 2
    width, spread = (torch.from_numpy(values.astype(np.float32))[:, None] for values in (factor, sigma))
    from_line = (centre + (line - centre) / width).clamp(0, size - 1)  # (B, size)
    scaling = (1 - (from_line[:, :, None] - line).abs()).clamp(min=0)
    distance = (line[:, None] - line) / spread.clamp(min=_LEAST_SIGMA)[:, :, None]
    blurring = torch.exp(-distance.square() / 2)
    return blurring / blurring.sum(2, keepdim=True) @ scaling


def _along_rows(x: torch.Tensor, lines: torch.Tensor) -> torch.Tensor:
    """Apply (B, S, S) weights to the columns of each row of (B, C, S, S)."""
    b, c, s, _ = x.shape
    return (x.reshape(b, c * s, s) @ lines.transpose(1, 2)).view(b, c, s, s)
