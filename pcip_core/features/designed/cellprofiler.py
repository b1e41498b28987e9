"""CellProfiler measurements of the centre cell, computed with cp_measure (an optional package)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from itertools import combinations
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from pcip_core.errors import MissingPackageError, ShapeError
from pcip_core.features.designed.classic import check_extremes
from pcip_core.features.designed.masks import check_crops
from pcip_core.features.designed.yeast import check_masks

_EMPTY = (  # the position of the cell in its crop, and moments that are 0 or undefined for any shape
    "Center_", "BoundingBoxM", "SpatialMoment_", "Location_",
    *(f"{kind}Moment_{order}" for kind in ("Central", "Normalized") for order in ("0_0", "0_1", "1_0")),
)  # fmt: skip
_GRANULARITY = {"subsample_size": 0.5, "granular_spectrum_length": 8}  # grains of up to 16 px


class Measured(NamedTuple):
    """Measurements of n cells.

    Attributes:
        values: (n, d) float32, finite.
        names: names of the d columns.
        not_finite: column -> number of cells in which it was not finite; `values` has 0 there.
    """

    values: np.ndarray
    names: list[str]
    not_finite: dict[str, int]


def measure(
    pixels: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    masks: np.ndarray,
    channels: tuple[str, ...],
    *,
    grey_levels: int = 256,
    progress: Callable[[int], None] | None = None,
) -> Measured:
    """Measure the shape of each cell, the intensity, radial distribution, granularity and texture of each channel,
    and the correlations between channels.

    Intensities are measured in the units of the image, all other features on the rescaled crop in [0, 1]. The
    position of the cell in the crop and moments that are equal for all cells are excluded.

    Args:
        pixels: (n, C, S, S) uint8, each channel rescaled from the minimum and maximum of the crop.
        low, high: (n, C) these minima and maxima, in the units of the image.
        masks: (n, S, S) bool, the pixels of each cell (`pcip_core.features.designed.masks.centre_masks`).
        channels: names of the C channels.
        grey_levels: number of grey levels of the texture, 2 to 256. The texture takes most of the time; fewer
            levels are faster.
        progress: called with the number of cells done.

    Returns:
        The measurements. The columns depend only on the channels and have CellProfiler's names:
        `AreaShape_Area`, `Intensity_MeanIntensity_<channel>`, `Correlation_Pearson_<channel>_<channel>`.

    Raises:
        MissingPackageError: cp_measure is not installed.
        ShapeError: the shapes of the arrays do not match, or a mask is empty.

    Source: the paper's CellProfiler baseline was computed with CellProfiler itself (Chong et al. 2015).
    """
    core = _cp_measure()
    check_crops(pixels, channels, ())
    check_extremes(pixels, low, high)
    check_masks(pixels, masks)
    if not 2 <= grey_levels <= 256:
        raise ShapeError("grey_levels", found=str(grey_levels), required="2 to 256", remedy="Pass 256.")
    span = high.astype(np.float64) - low
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # undefined measurements are counted below
        names = list(_synthetic_cell(core, channels, grey_levels))
        values = np.empty((len(pixels), len(names)))
        for i, (crop, mask) in enumerate(zip(pixels, masks, strict=True)):
            unit = crop / 255.0  # (C, S, S)
            original = low[i, :, None, None] + unit * span[i, :, None, None]
            measured = dict(_measure_cell(core, unit, original, mask, channels, grey_levels))
            values[i] = [measured.get(name, np.nan) for name in names]
            if progress is not None:
                progress(i + 1)
    return finite(values, names)


def finite(values: np.ndarray, names: list[str]) -> Measured:
    """Replace values, (n, d), that are not finite as float32 by 0, and count them per column.

    >>> measured = finite(np.array([[1.0, np.nan], [2.0, 3.0]]), ["area", "ratio"])
    >>> measured.values.tolist(), measured.not_finite
    ([[1.0, 0.0], [2.0, 3.0]], {'ratio': 1})
    """
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    bad = ~np.isfinite(values)
    counts = {name: int(count) for name, count in zip(names, bad.sum(0), strict=True) if count}
    return Measured(np.where(bad, np.float32(0), values), names, counts)


def _cp_measure() -> ModuleType:
    try:
        from cp_measure import core
        from cp_measure.core import (  # noqa: F401  (used as attributes of `core`)
            measurecolocalization,
            measuregranularity,
            measureobjectintensity,
            measureobjectintensitydistribution,
            measureobjectsizeshape,
            measuretexture,
        )
    except ImportError as error:
        raise MissingPackageError(
            "CellProfiler features",
            found=f"no package cp_measure ({error})",
            required="cp_measure, which computes the CellProfiler measurements",
            remedy="Install it: pip install 'pcip[cellprofiler]'",
        ) from error
    return core


def _synthetic_cell(core: ModuleType, channels: tuple[str, ...], grey_levels: int) -> dict[str, float]:
    """Measure a synthetic cell, so that the names of the measurements do not depend on the cells of a screen."""
    y, x = np.indices((32, 32))
    unit = np.stack([(7 * y + 3 * x * (c + 1)) % 11 / 10 for c in range(len(channels))])
    return dict(_measure_cell(core, unit, unit, np.hypot(y - 16, x - 15) < 9, channels, grey_levels))


def _measure_cell(
    core: ModuleType,
    unit: np.ndarray,
    original: np.ndarray,
    mask: np.ndarray,
    channels: tuple[str, ...],
    grey_levels: int,
) -> Iterator[tuple[str, float]]:
    """Yield the name and value of every measurement of one cell.

    Args:
        core: the package cp_measure.core.
        unit, original: (C, S, S) pixels in [0, 1], and in the units of the image.
        mask: (S, S) bool.
        channels: C names.
        grey_levels: number of grey levels of the texture.
    """
    label = mask.astype(np.int32)
    shape = core.measureobjectsizeshape
    for get in (shape.get_sizeshape, shape.get_zernike, shape.get_feret):
        yield from (("AreaShape_" + name, value) for name, value in _scalars(get, label, None))
    for c, channel in enumerate(channels):
        for measurements in (
            _scalars(core.measureobjectintensity.get_intensity, label, original[c]),
            _scalars(core.measureobjectintensitydistribution.get_radial_distribution, label, unit[c]),
            _scalars(core.measuregranularity.get_granularity, label, unit[c], **_GRANULARITY),
            (
                ("Texture_" + name, value)
                for name, value in _scalars(
                    core.measuretexture.get_texture, label, unit[c], gray_levels=grey_levels
                )
            ),
        ):
            yield from ((f"{name}_{channel}", value) for name, value in measurements)
    pairs = core.measurecolocalization
    for a, b in combinations(range(len(channels)), 2):
        for method in ("pearson", "manders_fold", "rwc", "overlap"):
            get = getattr(pairs, f"get_correlation_{method}")
            for name, value in _scalars(get, unit[a], unit[b], label):
                yield f"{name}_{channels[a]}_{channels[b]}", value


def _scalars(get: Callable[..., dict[str, Any]], *args: Any, **options: Any) -> Iterator[tuple[str, float]]:
    """Yield the values of the single object, without `_EMPTY`; nothing where the cell is too small to measure."""
    try:
        measured = get(*args, **options)
    except (ZeroDivisionError, IndexError, ValueError):
        return
    for name, values in measured.items():
        if not name.startswith(_EMPTY):
            yield name, float(values[0]) if len(values) else np.nan
