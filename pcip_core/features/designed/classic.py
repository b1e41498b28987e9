"""Classic features, the paper's baseline for human cells: intensity, correlation and texture of the whole crop."""

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
    """Compute the sum, mean and standard deviation of each protein channel, its correlations with the structural
    channels, and its Haralick texture features.

    Args:
        pixels: (n, C, S, S) uint8, each channel rescaled from the minimum and maximum of the crop.
        low, high: (n, C) these minima and maxima, in the units of the image.
        channels: names of the C channels.
        structural, protein: names of the channels that mark the same structures in all images, and of the channels
            to describe.
        levels: number of grey levels of the texture, 2 to 256. The paper does not state it; 32 levels are ten times
            faster than 256.
        progress: called with the number of cells done.

    Returns:
        (n, proteins x (3 + structural + 65)) float32, and its column names. Intensities are in the units of the
        image. A correlation with a constant channel is 0, and so is the texture of a constant crop, or at a distance
        that is not smaller than the crop.

    Raises:
        ShapeError: the shapes of the arrays do not match, or levels is not 2 to 256.

    >>> pixels = np.array([[[[0, 255], [0, 255]], [[255, 0], [255, 0]]]], np.uint8)
    >>> low, high = np.zeros((1, 2)), np.full((1, 2), 100.0)
    >>> values, names = classic_features(pixels, low, high, ("dna", "protein"), ("dna",), ("protein",), levels=8)
    >>> names[:4], values[0, :4].tolist()
    (['protein_sum', 'protein_mean', 'protein_sd', 'protein_dna_correlation'], [200.0, 50.0, 50.0, -1.0])

    Source: paper, "Baseline Feature Extraction and Benchmarking": 13 features of Haralick (1973) at 5 distances,
    each the mean over four directions.
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
        names += [f"{name}_{statistic}" for statistic in ("sum", "mean", "sd")]
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
    """Raise a ShapeError unless there is one minimum and one maximum per crop and channel."""
    if low.shape != pixels.shape[:2] or high.shape != pixels.shape[:2]:
        raise ShapeError(
            "intensities",
            found=f"pixels {pixels.shape}, low {low.shape}, high {high.shape}",
            required=f"low and high {pixels.shape[:2]}",
            remedy="Pass the crops together with their rows of the table of cells.",
        )


def correlations(pixels: np.ndarray, first: int, second: int) -> np.ndarray:
    """Compute Pearson's correlation of two channels over each crop: (n,), 0 where a channel is constant.

    Args:
        pixels: (n, C, S, S).
        first, second: positions of the channels.

    >>> correlations(np.array([[[[0, 2]], [[1, 5]]]]), 0, 1).tolist()
    [1.0]
    """
    a, b = (pixels[:, c].astype(np.float64) for c in (first, second))
    a -= a.mean((1, 2), keepdims=True)
    b -= b.mean((1, 2), keepdims=True)
    scale = np.sqrt((a**2).sum((1, 2)) * (b**2).sum((1, 2)))
    return (a * b).sum((1, 2)) / np.where(scale > 0, scale, 1.0)


def _intensities(
    pixels: np.ndarray, low: np.ndarray, high: np.ndarray, channel: int
) -> tuple[np.ndarray, ...]:
    """Compute the sum, mean and standard deviation in the units of the image, each (n,)."""
    planes = pixels[:, channel]
    span = (high[:, channel].astype(np.float64) - low[:, channel]) / 255
    mean = low[:, channel] + span * planes.mean((1, 2))
    return mean * planes.shape[1] * planes.shape[2], mean, span * planes.std((1, 2))


def _texture(plane: np.ndarray, levels: int) -> np.ndarray:
    """Compute the Haralick features of one plane: (distances, 13)."""
    from mahotas.features.texture import haralick_features

    grey = plane.astype(np.intp) * levels // 256
    out = np.zeros((len(DISTANCES_PX), len(HARALICK)))
    if grey.min() == grey.max():
        return out
    for i, distance in enumerate(DISTANCES_PX):
        if distance < len(plane):
            out[i] = haralick_features(_cooccurrences(grey, distance, levels), return_mean=True)
    return out


def _cooccurrences(grey: np.ndarray, distance: int, levels: int) -> list[np.ndarray]:
    """Count the co-occurrences of grey levels: a symmetric (levels, levels) matrix for each of four directions.

    Counted here because at large distances mahotas spends most of its time on counting.
    """
    before, after, whole = slice(None, -distance), slice(distance, None), slice(None)
    counts = []
    for first, second in (
        ((whole, before), (whole, after)),
        ((before, before), (after, after)),
        ((before, whole), (after, whole)),
        ((before, after), (after, before)),
    ):
        pair = grey[first] * levels + grey[second]
        count = np.bincount(pair.ravel(), minlength=levels**2).reshape(levels, levels)
        counts.append(count + count.T)
    return counts
