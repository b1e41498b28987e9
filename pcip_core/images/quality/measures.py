"""Measures of the quality of a plane, and the flags and limits that they are held to.

A plane is sampled, so that measuring costs little beside reading: every eighth row for saturation, a grid of pixels
for grey levels, and the two tiles of 128 px with the most contrast for focus and noise.

Source: CellProfiler, MeasureImageQuality (PercentMaximal, PowerLogLogSlope); Bray et al. 2012,
doi 10.1177/1087057111420292.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
import polars as pl
from scipy import fft

from pcip_core.spec.sections import Limits

MEASURES = ("saturated", "focus_slope", "focus_laplacian", "background", "signal_to_noise")
MOST_SATURATED = 0.01
"""Share of pixels at the maximum above which a channel is flagged."""
LEAST_SIGNAL_TO_NOISE = 8.0
"""Twice that of noise alone, about 4.2."""
_TILE, _TILES, _STEPS, _ROWS = 128, 2, (8, 4, 2, 1), 8
_FIRST_RING, _PERIOD = 2, 8  # the least frequency per tile; the least period, px
_BACKGROUND, _SIGNAL = 0.05, 0.995  # quantiles of grey levels
_NORMAL_QUARTILE = 0.6745  # of a normal distribution, in standard deviations
_ROUNDING = 1 / math.sqrt(12)  # standard deviation of rounding to integers
_STRUCTURE, _LEAST_BELOW, _MADS, _LEAST_FIELDS = -0.5, 1.0, 5 * 1.4826, 3


@dataclass(frozen=True)
class Measures:
    """Measures of one plane.

    Attributes:
        saturated: share of pixels at the greatest grey level of the plane.
        focus_slope: slope of log power over log frequency, from 64 to 8 px per period; more negative in a blurred
            plane, 1 in noise. NaN without contrast.
        focus_laplacian: variance of the Laplacian relative to that of the pixels; small in a blurred plane, 20 in
            noise.
        background: 5th percentile of the grey levels.
        signal_to_noise: 99.5th percentile less background, divided by the noise; about 4 in noise alone.
    """

    saturated: float
    focus_slope: float
    focus_laplacian: float
    background: float
    signal_to_noise: float


def measured(plane: np.ndarray) -> Measures:
    """Measure a plane as its file holds it, before any correction.

    Args:
        plane: (H, W) of any real type.

    >>> noise = np.random.default_rng(0).normal(1000, 10, (256, 256)).astype(np.float32)
    >>> found = measured(noise)
    >>> round(found.focus_slope), round(found.focus_laplacian, -1), 3.5 < found.signal_to_noise < 5
    (1, 20.0, True)
    """
    rows = plane[::_ROWS] if plane.shape[0] > _TILE else plane
    saturated = np.count_nonzero(rows == rows.max()) / rows.size
    step = next(step for step in _STEPS if min(plane.shape) >= 16 * step or step == 1)
    thin = plane[::step, ::step].copy()
    levels = (thin[::2] if step == _STEPS[0] else thin).ravel()
    low, high = int(levels.size * _BACKGROUND), min(int(levels.size * _SIGNAL), levels.size - 1)
    ranked = np.partition(levels, (low, high))
    background, signal = float(ranked[low]), float(ranked[high])
    tiles = _tiles(plane, thin, step)
    noise = _noise(tiles)
    slope, laplacian = _spectral(tiles)
    noise = max(noise, _ROUNDING if plane.dtype.kind in "ui" else float(np.finfo(np.float32).tiny))
    return Measures(saturated, slope, laplacian, background, (signal - background) / noise)


def _tiles(plane: np.ndarray, thin: np.ndarray, step: int) -> list[np.ndarray]:
    """The tiles with the most contrast in `thin`, every `step`th pixel: (side, side) float32.

    They are separate arrays, because large ones are taken from the system anew each time.
    """
    side = min(_TILE, min(plane.shape) // _STEPS[0] * _STEPS[0]) or min(plane.shape)
    down, across = plane.shape[0] // side, plane.shape[1] // side
    if down * across <= _TILES or side % step:
        chosen = np.arange(down * across)
    else:
        part = side // step
        blocks = thin[: down * part, : across * part].astype(np.float32).reshape(down, part, across, part)
        blocks -= blocks.mean()
        contrast = np.square(blocks).mean((1, 3)) - np.square(blocks.mean((1, 3)))
        chosen = np.argsort(-contrast.ravel(), kind="stable")[:_TILES]
    places = [divmod(int(each), across) for each in chosen]
    tiles = [plane[y * side : (y + 1) * side, x * side : (x + 1) * side] for y, x in places]
    return [tile.astype(np.float32) for tile in tiles]


def _noise(tiles: Sequence[np.ndarray]) -> float:
    """Standard deviation of the noise, from second differences within rows; few bright pixels do not change it."""
    if tiles[0].shape[-1] < 3:
        return 0.0
    rows = np.concatenate([tile[::_ROWS] for tile in tiles])
    differences = np.abs(2 * rows[:, 1:-1] - rows[:, :-2] - rows[:, 2:]).ravel()
    middle = differences.size // 2
    return float(np.partition(differences, middle)[middle]) / (_NORMAL_QUARTILE * math.sqrt(6))


def _spectral(tiles: Sequence[np.ndarray]) -> tuple[float, float]:
    """Slope of log power, and relative variance of the Laplacian. The tiles are overwritten."""
    spectrum = _spectrum(tiles[0].shape[-1])
    power = np.zeros(spectrum.weight.size)
    for tile in tiles:
        tile -= tile.mean()
        tile *= spectrum.window
        waves = fft.rfft2(tile).ravel()
        power += np.square(waves.real)
        power += np.square(waves.imag)
    power *= spectrum.weight
    total = power.sum()
    if not total > 0:
        return math.nan, math.nan
    laplacian = float(power @ spectrum.laplacian / total)
    rings = np.bincount(spectrum.ring, power[spectrum.inner])[_FIRST_RING:]
    if len(rings) < 2 or not rings.min() > 0:
        return math.nan, laplacian
    return float(spectrum.fit @ np.log(rings)), laplacian


@dataclass(frozen=True)
class _Spectrum:
    """What the spectrum of a tile of one size needs.

    Attributes:
        window: (side, side), falls to 0 at the border, so that the border is no edge.
        weight: multiplicity of each of the side x (side // 2 + 1) waves of a real transform.
        laplacian: the Laplacian's squared response to each wave.
        inner, ring: the waves of the slope, and the ring of each.
        fit: weights that give the slope from the logarithms of the rings' powers.
    """

    window: np.ndarray
    weight: np.ndarray
    laplacian: np.ndarray
    inner: np.ndarray
    ring: np.ndarray
    fit: np.ndarray


@cache
def _spectrum(side: int) -> _Spectrum:
    fall = np.hanning(side + 2)[1:-1]
    window = (fall[:, None] * fall).astype(np.float32)
    y, x = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)
    radius = np.floor(np.hypot(y, x) * side).astype(np.intp).ravel()
    weight = np.full((side, side // 2 + 1), 2.0)
    weight[:, 0] = 1
    if side % 2 == 0:
        weight[:, -1] = 1
    last = max(side // _PERIOD, _FIRST_RING + 1)
    inner = np.flatnonzero((radius >= _FIRST_RING) & (radius < last))
    log = np.log(np.arange(_FIRST_RING, last))
    centred = log - log.mean()
    fit = centred / max(centred @ centred, np.finfo(float).tiny)
    response = np.square(4 - 2 * np.cos(2 * np.pi * y) - 2 * np.cos(2 * np.pi * x)).ravel()
    return _Spectrum(window, weight.ravel(), response, inner, radius[inner], fit)


def rows_of(field_id: str, planes: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """The measures of each channel of a field, as rows of `flagged`."""
    return [
        {"field_id": field_id, "channel": name, **asdict(measured(plane))} for name, plane in planes.items()
    ]


def flagged(rows: Iterable[Mapping[str, Any]], structural: Iterable[str]) -> pl.DataFrame:
    """Add the column `flags` to the measures of the fields of one shard.

    `saturated`: more than 1 % of the pixels are at the maximum. `no_signal`: signal to noise below 8. `blurred`, for
    structural channels, which look alike in all fields: the slope lies further below the median of the channel's fields
    with structure than 5 standard deviations (from the median absolute deviation), and than 1.

    Args:
        rows: `field_id`, `channel` and the measures.
        structural: names of the structural channels.
    """
    types = {"field_id": pl.String, "channel": pl.String, **dict.fromkeys(MEASURES, pl.Float64)}
    table = pl.DataFrame(list(rows), schema=types, orient="row").with_columns(
        pl.col("focus_slope", "focus_laplacian").fill_nan(None)
    )
    slope = pl.col("focus_slope")
    reference = pl.when(slope < _STRUCTURE).then(slope)  # noise and empty fields have no focus
    middle = reference.median().over("channel")
    deviation = (reference - middle).abs().median().over("channel")
    limit = middle - pl.max_horizontal(deviation * _MADS, pl.lit(_LEAST_BELOW))
    enough = reference.count().over("channel") >= _LEAST_FIELDS
    conditions = {
        "saturated": pl.col("saturated") > MOST_SATURATED,
        "blurred": pl.col("channel").is_in(list(structural)) & enough & (slope < limit),
        "no_signal": pl.col("signal_to_noise") < LEAST_SIGNAL_TO_NOISE,
    }
    names = [pl.when(condition).then(pl.lit(name)) for name, condition in conditions.items()]
    return table.with_columns(flags=pl.concat_list(names).list.drop_nulls())


def outside(
    rows: Iterable[Mapping[str, Any]], limits: Mapping[str, Limits], channels: Iterable[str]
) -> str | None:
    """Why a field is not used: the measures of its channels that are outside of the limits; None if none is.

    >>> outside([{"channel": "dna", "saturated": 0.2}], {"saturated": Limits(at_most=0.01)}, ["dna"])
    'dna: saturated 0.2 (quality.saturated.at_most 0.01)'
    """
    chosen, reasons = set(channels), []
    for row in rows:
        for name, limit in limits.items():
            value = row[name]
            if row["channel"] not in chosen or value is None or math.isnan(value):
                continue
            if limit.at_least is not None and value < limit.at_least:
                reasons.append(
                    f"{row['channel']}: {name} {value:.4g} (quality.{name}.at_least {limit.at_least:g})"
                )
            if limit.at_most is not None and value > limit.at_most:
                reasons.append(
                    f"{row['channel']}: {name} {value:.4g} (quality.{name}.at_most {limit.at_most:g})"
                )
    return "; ".join(reasons) or None
