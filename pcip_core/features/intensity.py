"""The simplest features of a cell: how bright its channels are. Any learned feature must do better."""

from __future__ import annotations

import numpy as np

from pcip_core.errors import ShapeError

_PERCENTILES = (5, 25, 50, 75, 95)


def intensity_features(
    pixels: np.ndarray, low: np.ndarray, high: np.ndarray, channels: tuple[str, ...]
) -> tuple[np.ndarray, list[str]]:
    """Statistics of the pixels of each channel, without their positions in the cell.

    Args:
        pixels: (n, C, S, S) uint8, rescaled by each crop's own minimum and maximum.
        low, high: (n, C) that minimum and maximum, in the image's own units.
        channels: names of the C channels.

    Returns:
        (n, 9 C) float32, and its column names: for each channel the mean in the image's units, its
        minimum and maximum, and of the rescaled crop the standard deviation and five percentiles.

    Raises:
        ShapeError: the arrays do not fit together.
    """
    n, count = len(pixels), len(channels)
    if pixels.shape[1:2] != (count,) or low.shape != (n, count) or high.shape != (n, count):
        raise ShapeError(
            "intensities",
            found=f"pixels {pixels.shape}, low {low.shape}, high {high.shape}",
            required=f"(n, {count}, S, S), (n, {count}), (n, {count})",
            remedy="Pass the crops with their own rows of the cells table.",
        )
    size = pixels.shape[2] * pixels.shape[3]
    columns = []
    for index in range(count):
        flat = pixels[:, index].reshape(n, size).astype(np.float32) / 255  # (n, S * S)
        span = high[:, index] - low[:, index]
        columns += [low[:, index] + span * flat.mean(1), low[:, index], high[:, index], flat.std(1)]
        columns += list(np.percentile(flat, _PERCENTILES, axis=1))
    return np.stack(columns, axis=1).astype(np.float32), intensity_names(channels)


def intensity_names(channels: tuple[str, ...]) -> list[str]:
    """Names of the columns of `intensity_features`.

    >>> intensity_names(("nucleus",))[:4]
    ['nucleus_mean', 'nucleus_minimum', 'nucleus_maximum', 'nucleus_sd']
    """
    statistics = ["mean", "minimum", "maximum", "sd", *(f"p{percentile}" for percentile in _PERCENTILES)]
    return [f"{channel}_{statistic}" for channel in channels for statistic in statistics]
