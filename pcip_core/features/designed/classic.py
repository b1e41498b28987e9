"""Classic features of the paper's human baseline: intensity, correlation and texture of the whole crop."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pcip_core.errors import ShapeError
from pcip_core.features.designed.masks import check_crops

DISTANCES_PX = (1, 2, 4, 8, 16)
HARALICK = (
    "angular_second_moment", "contrast", "correlation", "variance", "inverse_difference_moment", "sum_average",
    "sum_variance", "sum_entropy", "entropy", "difference_variance", "difference_entropy", "information_1",
    "information_2",
)  # fmt: skip


def classic_features(
    pixels: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    channels: tuple[str, ...],
    structural: tuple[str, ...],
    protein: tuple[str, ...],
    *,
    levels: int = 256,
    progress: Callable[[int], None] | None = None,
) -> tuple[np.ndarray, list[str]]:
    """Sum, mean and standard deviation, correlations with the structural channels, Haralick's texture.

    Args:
        pixels: (n, C, S, S) uint8, rescaled by each crop's own minimum and maximum.
        low, high: (n, C) that minimum and maximum, in the image's own units.
        channels: names of the C channels.
        structural, protein: which of them mark the same in all images, and which are described.
        levels: grey levels of the texture, at most 256. The paper names no number; 32 are ten times
            faster.
        progress: called with the number of cells done.

    Returns:
        (n, proteins x (3 + structural + 65)) float32, and its column names. Intensities are in the image's
        own units. A correlation with a constant channel is 0, and so is the texture of a constant crop, or
        at a distance that is no smaller than the crop.

    Raises:
        ShapeError: the arrays do not fit together, or levels is not 2 to 256.

    Source: paper, "Baseline Feature Extraction and Benchmarking": 13 features by Haralick (1973) at 5
    distances, each the mean of four directions.
    """
    check_crops(pixels, channels, (*structural, *protein))
    check_extremes(pixels, low, high)
    if not 2 <= levels <= 256:
        raise ShapeError(
            "levels", found=str(levels), required="2 to 256", remedy="Pass 256, or 32 for speed."
        )
    n = len(pixels)
    columns: list[np.ndarray] = []
    names: list[str] = []
    for name in protein:
        columns += [*_intensities(pixels, low, high, channels.index(name))]
        names += [f"{name}_{what}" for what in ("sum", "mean", "sd")]
        columns += [correlations(pixels, channels.index(name), channels.index(other)) for other in structural]
        names += [f"{name}_{other}_correlation" for other in structural]
    textures = np.zeros((n, len(protein) * len(DISTANCES_PX) * len(HARALICK)))
    for i in range(n):
        textures[i] = np.ravel([_texture(pixels[i, channels.index(name)], levels) for name in protein])
        if progress is not None:
            progress(i + 1)
    names += [
        f"{name}_{feature}_{distance}px"
        for name in protein
        for distance in DISTANCES_PX
        for feature in HARALICK
    ]
    return np.column_stack([*columns, textures]).astype(np.float32), names


def check_extremes(pixels: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """Raise a ShapeError unless there is one minimum and maximum a crop and channel."""
    if low.shape != pixels.shape[:2] or high.shape != pixels.shape[:2]:
        raise ShapeError(
            "intensities",
            found=f"pixels {pixels.shape}, low {low.shape}, high {high.shape}",
            required=f"low and high {pixels.shape[:2]}",
            remedy="Pass the crops with their own rows of the cells table.",
        )


def correlations(pixels: np.ndarray, one: int, other: int) -> np.ndarray:
    """Pearson's correlation of two channels over the whole crop, 0 where one is constant: (n,)."""
    a, b = (pixels[:, c].astype(np.float64) for c in (one, other))
    a -= a.mean((1, 2), keepdims=True)
    b -= b.mean((1, 2), keepdims=True)
    scale = np.sqrt((a**2).sum((1, 2)) * (b**2).sum((1, 2)))
    return (a * b).sum((1, 2)) / np.where(scale > 0, scale, 1.0)


def _intensities(
    pixels: np.ndarray, low: np.ndarray, high: np.ndarray, channel: int
) -> tuple[np.ndarray, ...]:
    """Sum, mean and standard deviation in the image's own units, each (n,)."""
    planes = pixels[:, channel]
    span = (high[:, channel].astype(np.float64) - low[:, channel]) / 255
    mean = low[:, channel] + span * planes.mean((1, 2))
    return mean * planes.shape[1] * planes.shape[2], mean, span * planes.std((1, 2))


def _texture(plane: np.ndarray, levels: int) -> np.ndarray:
    """Haralick's features of one plane: (distances, 13)."""
    from mahotas.features.texture import haralick_features

    grey = plane.astype(np.intp) * levels // 256
    out = np.zeros((len(DISTANCES_PX), len(HARALICK)))
    if grey.min() == grey.max():
        return out
    for i, distance in enumerate(DISTANCES_PX):
        if distance < len(plane):
            out[i] = haralick_features(_pairs(grey, distance, levels), return_mean=True)
    return out


def _pairs(grey: np.ndarray, distance: int, levels: int) -> list[np.ndarray]:
    """How often two greys are neighbours, counted both ways: (levels, levels) for each of four directions.

    Counted here, as mahotas' own count takes most of the time at large distances.
    """
    before, after, whole = slice(None, -distance), slice(distance, None), slice(None)
    counts = []
    for one, other in (
        ((whole, before), (whole, after)),
        ((before, before), (after, after)),
        ((before, whole), (after, whole)),
        ((before, after), (after, before)),
    ):
        pair = grey[one] * levels + grey[other]
        count = np.bincount(pair.ravel(), minlength=levels**2).reshape(levels, levels)
        counts.append(count + count.T)
    return counts
