"""CellProfiler's measurements of the centre cell, computed here by cp_measure (an optional package)."""

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

_EMPTY = (  # where the cell lies in its crop, and moments that are 0 or undefined whatever the shape
    "Center_", "BoundingBoxM", "SpatialMoment_", "Location_",
    *(f"{kind}Moment_{order}" for kind in ("Central", "Normalized") for order in ("0_0", "0_1", "1_0")),
)  # fmt: skip
_GRANULARITY = {"subsample_size": 0.5, "granular_spectrum_length": 8}  # grains of up to 16 px


class Measured(NamedTuple):
    """Measurements of n cells.

    Attributes:
        values: (n, d) float32, finite.
        names: of the d columns.
        not_finite: column -> in how many cells it was not a finite number; 0 stands there in `values`.
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
    """Shape of the cell; intensity, radial distribution, granularity and texture of each channel; correlations.

    Intensities are measured in the image's own units, all else on the rescaled crop in [0, 1]. What tells only
    where in the crop the cell lies is left out, and so are moments that are the same for all cells.

    Args:
        pixels: (n, C, S, S) uint8, rescaled by each crop's own minimum and maximum.
        low, high: (n, C) that minimum and maximum, in the image's own units.
        masks: (n, S, S) bool, each cell's own pixels (`pcip_core.features.designed.masks.centre_masks`).
        channels: names of the C channels.
        grey_levels: of the texture, 2 to 256; most of the time goes there, fewer are faster.
        progress: called with the number of cells done.

    Returns:
        The measurements. Columns depend on the channels alone and have CellProfiler's names:
        `AreaShape_Area`, `Intensity_MeanIntensity_<channel>`, `Correlation_Pearson_<channel>_<channel>`.

    Raises:
        MissingPackageError: cp_measure is not installed.
        ShapeError: the arrays do not fit together, or a mask is empty.

    Source: the paper's CellProfiler baseline was computed by CellProfiler itself (Chong et al. 2015).
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
        names = list(_made_up(core, channels, grey_levels))
        values = np.empty((len(pixels), len(names)))
        for i, (crop, mask) in enumerate(zip(pixels, masks, strict=True)):
            unit = crop / 255.0  # (C, S, S)
            own = low[i, :, None, None] + unit * span[i, :, None, None]
            found = dict(_of_cell(core, unit, own, mask, channels, grey_levels))
            values[i] = [found.get(name, np.nan) for name in names]
            if progress is not None:
                progress(i + 1)
    return finite(values, names)


def finite(values: np.ndarray, names: list[str]) -> Measured:
    """Put 0 where values (n, d) are not finite as float32, and count them."""
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    bad = ~np.isfinite(values)
    counts = {name: int(count) for name, count in zip(names, bad.sum(0), strict=True) if count}
    return Measured(np.where(bad, np.float32(0), values), names, counts)


def _cp_measure() -> ModuleType:
    try:
        from cp_measure import core
        from cp_measure.core import (  # noqa: F401  (as attributes of `core`)
            measurecolocalization,
            measuregranularity,
            measureobjectintensity,
            measureobjectintensitydistribution,
            measureobjectsizeshape,
            measuretexture,
        )
    except ImportError as error:
        raise MissingPackageError(
            "features by CellProfiler",
            found=f"no package cp_measure ({error})",
            required="cp_measure, which computes CellProfiler's measurements",
            remedy="Install it: pip install 'pcip[cellprofiler]'",
        ) from error
    return core


def _made_up(core: ModuleType, channels: tuple[str, ...], grey_levels: int) -> dict[str, float]:
    """The measurements of a made-up cell: their names do not depend on what cells there are."""
    y, x = np.indices((32, 32))
    unit = np.stack([(7 * y + 3 * x * (c + 1)) % 11 / 10 for c in range(len(channels))])
    return dict(_of_cell(core, unit, unit, np.hypot(y - 16, x - 15) < 9, channels, grey_levels))


def _of_cell(
    core: ModuleType,
    unit: np.ndarray,
    own: np.ndarray,
    mask: np.ndarray,
    channels: tuple[str, ...],
    grey_levels: int,
) -> Iterator[tuple[str, float]]:
    """Name and value of every measurement of one cell.

    Args:
        core: the package cp_measure.core.
        unit, own: (C, S, S) pixels in [0, 1] and in the image's own units.
        mask: (S, S) bool.
        channels: C names.
        grey_levels: of the texture.
    """
    label = mask.astype(np.int32)
    shape = core.measureobjectsizeshape
    for get in (shape.get_sizeshape, shape.get_zernike, shape.get_feret):
        yield from (("AreaShape_" + name, value) for name, value in _scalars(get, label, None))
    for c, channel in enumerate(channels):
        for found in (
            _scalars(core.measureobjectintensity.get_intensity, label, own[c]),
            _scalars(core.measureobjectintensitydistribution.get_radial_distribution, label, unit[c]),
            _scalars(core.measuregranularity.get_granularity, label, unit[c], **_GRANULARITY),
            (
                ("Texture_" + name, value)
                for name, value in _scalars(
                    core.measuretexture.get_texture, label, unit[c], gray_levels=grey_levels
                )
            ),
        ):
            yield from ((f"{name}_{channel}", value) for name, value in found)
    pairs = core.measurecolocalization
    for a, b in combinations(range(len(channels)), 2):
        for method in ("pearson", "manders_fold", "rwc", "overlap"):
            get = getattr(pairs, f"get_correlation_{method}")
            for name, value in _scalars(get, unit[a], unit[b], label):
                yield f"{name}_{channels[a]}_{channels[b]}", value


def _scalars(get: Callable[..., dict[str, Any]], *args: Any, **options: Any) -> Iterator[tuple[str, float]]:
    """The only object's values, less the empty ones; nothing where the cell has too little to measure."""
    try:
        measured = get(*args, **options)
    except (ZeroDivisionError, IndexError, ValueError):
        return
    for name, values in measured.items():
        if not name.startswith(_EMPTY):
            yield name, float(values[0]) if len(values) else np.nan
