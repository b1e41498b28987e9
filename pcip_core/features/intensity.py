"""Intensity statistics of each channel: the simplest baseline, which learned features should exceed."""

from __future__ import annotations

import numpy as np

from pcip_core.errors import ShapeError

_PERCENTILES = (5, 25, 50, 75, 95)


def intensity_features(
    pixels: np.ndarray, low: np.ndarray, high: np.ndarray, channels: tuple[str, ...]
) -> tuple[np.ndarray, list[str]]:
    """Compute statistics of the pixels of each channel, without spatial information.

    Args:
        pixels: (n, C, S, S) uint8, each channel rescaled from the minimum and maximum of the crop.
        low, high: (n, C) these minima and maxima, in the units of the image.
        channels: names of the C channels.

    Returns:
        (n, 9 C) float32, and its column names. For each channel: the mean, minimum and maximum in the units of the
        image; the standard deviation and five percentiles (5, 25, 50, 75, 95) of the rescaled crop in [0, 1].

    Raises:
        ShapeError: the shapes of the arrays do not match.

    >>> pixels = np.array([[[[0, 255], [0, 255]]]], np.uint8)
    >>> values, names = intensity_features(pixels, np.array([[100.0]]), np.array([[300.0]]), ("protein",))
    >>> names[:4], values[0, :4].tolist()
    (['protein_mean', 'protein_minimum', 'protein_maximum', 'protein_sd'], [200.0, 100.0, 300.0, 0.5])
    """
    n, count = len(pixels), len(channels)
    if pixels.shape[1:2] != (count,) or low.shape != (n, count) or high.shape != (n, count):
        raise ShapeError(
            "intensities",
            found=f"pixels {pixels.shape}, low {low.shape}, high {high.shape}",
            required=f"(n, {count}, S, S), (n, {count}), (n, {count})",
            remedy="Pass the crops together with their rows of the table of cells.",
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
