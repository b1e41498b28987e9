"""Interpretable measures of the localization of a protein in a yeast cell, after Handfield et al. 2013.

Handfield L-F, Chong YT, Simmons J, Andrews BJ, Moses AM: Unsupervised clustering of subcellular protein
expression patterns in high-throughput microscopy images reveals protein complexes and functional
relationships between proteins. PLoS Comput Biol 9(6): e1003085. The paper's "yeast-specific, interpretable
features". This module implements the part of the method that can be computed from the crop and mask of one cell. It
does not reproduce their software, so its scores differ from theirs.

Differences, because one crop does not contain the information:
- The method averages a protein over the cells of one stage (binned by bud size). Here each cell is described
  separately.
- The method follows mother and bud as two cells over the stages. Here the share of the protein in the bud and the
  distance to the neck replace them.
- The method uses other cells, fields or strains (variability, autofluorescence of untagged strains). Here the
  background of the crop is subtracted instead.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from pcip_core.errors import ShapeError
from pcip_core.features.designed.classic import check_extremes
from pcip_core.features.designed.geometry import CellGeometry, cell_geometry
from pcip_core.features.designed.masks import check_crops

SHAPE = ("cell_area_share", "cell_elongation", "cell_has_bud", "cell_bud_share")
_BRIGHTEST = (5, 10, 25)  # per cent of the pixels
_BACKGROUND = 10  # percentile of the pixels outside the cell
_SPOT_SD = 2.0  # threshold of a spot: this many standard deviations above the mean of the cell
_SPOT_PX = 4  # the smallest area of a spot


def yeast_features(
    pixels: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    masks: np.ndarray,
    channels: tuple[str, ...],
    structural: tuple[str, ...],
    protein: tuple[str, ...],
    *,
    progress: Callable[[int], None] | None = None,
) -> tuple[np.ndarray, list[str]]:
    """Compute the shape of each cell, and the amount, position, spread and concentration of each protein in it.

    The amount of protein in a pixel is its intensity above the background (the 10th percentile outside the mask).
    Distances are fractions of the largest distance in the cell: `edge` is 0 at the edge and 1 at the innermost pixel;
    `centre`, `brightest` (the brightest point after smoothing) and `neck` (of the bud) are 0 at that point and 1 at
    the farthest pixel. In cells without a bud, `cell_has_bud`, `neck` and `cell_bud_share` are 0.

    Args:
        pixels: (n, C, S, S) uint8, each channel rescaled from the minimum and maximum of the crop.
        low, high: (n, C) these minima and maxima, in the units of the image.
        masks: (n, S, S) bool, the pixels of each cell (`pcip_core.features.designed.masks.centre_masks`).
        channels: names of the C channels.
        structural, protein: names of the channels that mark the same structures in all images, and of the channels
            to describe.
        progress: called with the number of cells done.

    Returns:
        (n, 4 + proteins x (25 + structural)) float32, and its column names. The values are invariant to rotations of
        the crop by 90 degrees and to reflections. A cell without protein has 0 in the columns of the protein.

    Raises:
        ShapeError: the shapes of the arrays do not match, or a mask is empty.

    >>> pixels = np.zeros((1, 1, 8, 8), np.uint8)
    >>> pixels[0, 0, 3:5, 3:5] = 255
    >>> mask = np.zeros((1, 8, 8), bool)
    >>> mask[0, 2:6, 2:6] = True
    >>> low, high = np.zeros((1, 1)), np.full((1, 1), 100.0)
    >>> values, names = yeast_features(pixels, low, high, mask, ("protein",), (), ("protein",))
    >>> [(name, float(value)) for name, value in zip(names, values[0]) if name in ("cell_area_share", "protein_total")]
    [('cell_area_share', 0.25), ('protein_total', 400.0)]
    """
    check_crops(pixels, channels, (*structural, *protein))
    check_extremes(pixels, low, high)
    check_masks(pixels, masks)
    span = high.astype(np.float64) - low
    rows = np.zeros((len(pixels), len(SHAPE) + len(protein) * (len(_NAMES) + len(structural))))
    for i, (crop, mask) in enumerate(zip(pixels, masks, strict=True)):
        cell = cell_geometry(mask)
        row = [mask.mean(), cell.elongation, float(cell.bud.any()), cell.bud.mean()]
        for name in protein:
            c = channels.index(name)
            row += _protein_values(crop[c], mask, cell, span[i, c])
            row += [_correlation(crop[c][mask], crop[channels.index(other)][mask]) for other in structural]
        rows[i] = row
        if progress is not None:
            progress(i + 1)
    names = list(SHAPE)
    for name in protein:
        names += [f"{name}_{measure}" for measure in _NAMES]
        names += [f"{name}_{other}_correlation" for other in structural]
    return rows.astype(np.float32), names


def check_masks(pixels: np.ndarray, masks: np.ndarray) -> None:
    """Raise a ShapeError unless there is one mask per crop, with at least one pixel."""
    fits = masks.shape == (len(pixels), *pixels.shape[2:]) and masks.dtype == bool
    if not fits or not masks.any((1, 2)).all():
        raise ShapeError(
            "masks",
            found=f"{masks.dtype} {masks.shape}" if not fits else "a mask without a pixel",
            required=f"bool ({len(pixels)}, S, S), none empty, for pixels {pixels.shape}",
            remedy="Compute the masks with pcip_core.features.designed.masks.centre_masks.",
        )


_NAMES = (
    "total", "mean", "sd", "outside_share",
    "edge_mean", "edge_sd", "centre_mean", "centre_sd", "neck_mean", "neck_sd", "brightest_mean", "brightest_sd",
    "bud_share", "offset", "spread_long", "spread_across", "anisotropy",
    *(f"brightest_{percent}_share" for percent in _BRIGHTEST), "entropy", "gini",
    "spots", "spot_area_share", "spot_protein_share",
)  # fmt: skip


def _protein_values(plane: np.ndarray, mask: np.ndarray, cell: CellGeometry, span: float) -> list[float]:
    """Compute the values of `_NAMES` for one protein in one cell; see `yeast_features`."""
    outside = plane[~mask]
    background = float(np.percentile(outside, _BACKGROUND)) if outside.size else 0.0
    excess = np.clip(plane.astype(np.float64) - background, 0, None)  # (S, S)
    amount = excess[mask]  # (N,)
    if not amount.any():
        return [0.0] * len(_NAMES)
    share = amount / amount.sum()
    smooth = ndimage.gaussian_filter(excess, 1.0)[mask]
    top = smooth >= smooth.max() * (1 - 1e-9)
    brightest = cell.distance_to(cell.y[top].mean(), cell.x[top].mean())
    unit = span / 255
    values = [amount.sum() * unit, amount.mean() * unit, amount.std() * unit]
    values.append(1 - amount.sum() / excess.sum())
    for distance in (cell.edge, cell.centre, cell.neck, brightest):
        mean = share @ distance
        values += [mean, np.sqrt(share @ (distance - mean) ** 2)]
    return [*map(float, values), *_spread(share, cell), *_concentration(share), *_spots(excess, mask)]


def _spread(share: np.ndarray, cell: CellGeometry) -> list[float]:
    """Compute the share of protein in the bud, the offset of its centre, its standard deviations relative to those
    of the cell, and its anisotropy.
    """
    y, x = share @ cell.y, share @ cell.x
    offset = np.hypot(y - cell.y.mean(), x - cell.x.mean()) / max(np.hypot(cell.long, cell.across).max(), 1.0)
    long, across = (
        np.sqrt((share @ (axis - share @ axis) ** 2 + 1 / 12) / (axis.var() + 1 / 12))
        for axis in (cell.long, cell.across)
    )
    covariance = np.cov(np.stack([cell.y, cell.x]), aweights=share, bias=True) + np.eye(2) / 12
    small, large = np.linalg.eigvalsh(covariance)
    return [float(v) for v in (share @ cell.bud, offset, long, across, (large - small) / (large + small))]


def _concentration(share: np.ndarray) -> list[float]:
    """Compute the shares of the brightest pixels, the entropy and the Gini coefficient (1 and 0 if uniform)."""
    ranked = np.sort(share)[::-1]
    count = len(share)
    running = np.cumsum(ranked)
    brightest = [running[max(1, round(count * percent / 100)) - 1] for percent in _BRIGHTEST]
    positive = share[share > 0]
    entropy = -(positive * np.log(positive)).sum() / np.log(count) if count > 1 else 0.0
    gini = (2 * running.sum() - 1) / count - 1  # ranked from the brightest
    return [*map(float, brightest), float(entropy), float(gini)]


def _spots(excess: np.ndarray, mask: np.ndarray) -> list[float]:
    """Compute the number of spots, and their shares of the area of the cell and of its protein."""
    amount = excess[mask]
    bright = mask & (excess > amount.mean() + _SPOT_SD * amount.std() + 1e-9)
    objects, _ = ndimage.label(bright, np.ones((3, 3)))
    areas = np.bincount(objects.ravel())
    areas[0] = 0
    spot = (areas >= _SPOT_PX)[objects]
    return [
        float((areas >= _SPOT_PX).sum()),
        float(spot.sum() / mask.sum()),
        float(excess[spot].sum() / amount.sum()),
    ]


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Compute Pearson's correlation over the pixels of the cell; 0 where a channel is constant."""
    a, b = first - first.mean(), second - second.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else 0.0
