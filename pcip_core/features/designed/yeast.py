"""Interpretable measures of where in a yeast cell a protein lies, after Handfield et al. 2013.

Handfield L-F, Chong YT, Simmons J, Andrews BJ, Moses AM: Unsupervised clustering of subcellular protein
expression patterns in high-throughput microscopy images reveals protein complexes and functional
relationships between proteins. PLoS Comput Biol 9(6): e1003085. The paper's "yeast-specific, interpretable
features". This is the part of that idea that one cell's crop and mask allow, written anew; it is no
re-implementation of their software, so its scores are not theirs.

Left out, because one crop does not hold it:
- averages of a protein over the cells of one stage (binned by the size of the bud): each cell is described
  by itself;
- mother and bud as two cells, each followed over the stages: the bud's share and the distance to its neck
  stand for them;
- anything that needs other cells, fields or strains (variability, autofluorescence of untagged strains): the
  crop's own background is taken off instead.
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
_SPOT_SD = 2.0  # a spot is this many standard deviations over the cell's mean
_SPOT_PX = 4  # the least area of a spot


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
    """Shape of each cell; amount, place, spread and concentration of each protein in it.

    A pixel's protein is what exceeds the background (10th percentile outside the mask). Distances are shares
    of the cell's greatest: `edge` 0 at the edge and 1 at the innermost pixel; `centre`, `brightest` (the
    brightest point, smoothed) and `neck` (of the bud) 0 there and 1 at the farthest pixel. `neck` and
    `cell_bud_share` are 0 in cells without a bud, which `cell_has_bud` tells from cells with one.

    Args:
        pixels: (n, C, S, S) uint8, rescaled by each crop's own minimum and maximum.
        low, high: (n, C) that minimum and maximum, in the image's own units.
        masks: (n, S, S) bool, each cell's own pixels (`pcip_core.features.designed.masks.centre_masks`).
        channels: names of the C channels.
        structural, protein: which of them mark the same in all images, and which are described.
        progress: called with the number of cells done.

    Returns:
        (n, 4 + proteins x (25 + structural)) float32, and its column names. Nothing changes when a crop is
        turned by 90 degrees or mirrored. A cell without protein has 0 in the protein's columns.

    Raises:
        ShapeError: the arrays do not fit together, or a mask is empty.
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
            row += _described(crop[c], mask, cell, span[i, c])
            row += [_correlation(crop[c][mask], crop[channels.index(other)][mask]) for other in structural]
        rows[i] = row
        if progress is not None:
            progress(i + 1)
    names = list(SHAPE)
    for name in protein:
        names += [f"{name}_{what}" for what in _NAMES]
        names += [f"{name}_{other}_correlation" for other in structural]
    return rows.astype(np.float32), names


def check_masks(pixels: np.ndarray, masks: np.ndarray) -> None:
    """Raise a ShapeError unless there is one mask a crop, with a pixel or more."""
    fits = masks.shape == (len(pixels), *pixels.shape[2:]) and masks.dtype == bool
    if not fits or not masks.any((1, 2)).all():
        raise ShapeError(
            "masks",
            found=f"{masks.dtype} {masks.shape}" if not fits else "a mask without a pixel",
            required=f"bool ({len(pixels)}, S, S), none empty, for pixels {pixels.shape}",
            remedy="Make them by pcip_core.features.designed.masks.centre_masks.",
        )


_NAMES = (
    "total", "mean", "sd", "outside_share",
    "edge_mean", "edge_sd", "centre_mean", "centre_sd", "neck_mean", "neck_sd", "brightest_mean", "brightest_sd",
    "bud_share", "offset", "spread_long", "spread_across", "anisotropy",
    *(f"brightest_{percent}_share" for percent in _BRIGHTEST), "entropy", "gini",
    "spots", "spot_area_share", "spot_protein_share",
)  # fmt: skip


def _described(plane: np.ndarray, mask: np.ndarray, cell: CellGeometry, span: float) -> list[float]:
    """The values of `_NAMES` of one protein in one cell; see `yeast_features`."""
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
    """Share in the bud, offset of the protein's centre, its standard deviations in the cell's, anisotropy."""
    y, x = share @ cell.y, share @ cell.x
    offset = np.hypot(y - cell.y.mean(), x - cell.x.mean()) / max(np.hypot(cell.long, cell.across).max(), 1.0)
    long, across = (
        np.sqrt((share @ (axis - share @ axis) ** 2 + 1 / 12) / (axis.var() + 1 / 12))
        for axis in (cell.long, cell.across)
    )
    own = np.cov(np.stack([cell.y, cell.x]), aweights=share, bias=True) + np.eye(2) / 12
    small, large = np.linalg.eigvalsh(own)
    return [float(v) for v in (share @ cell.bud, offset, long, across, (large - small) / (large + small))]


def _concentration(share: np.ndarray) -> list[float]:
    """Shares in the brightest pixels, entropy (1 when even), Gini's coefficient (0 when even)."""
    ranked = np.sort(share)[::-1]
    count = len(share)
    running = np.cumsum(ranked)
    brightest = [running[max(1, round(count * percent / 100)) - 1] for percent in _BRIGHTEST]
    positive = share[share > 0]
    entropy = -(positive * np.log(positive)).sum() / np.log(count) if count > 1 else 0.0
    gini = (2 * running.sum() - 1) / count - 1  # ranked from the brightest
    return [*map(float, brightest), float(entropy), float(gini)]


def _spots(excess: np.ndarray, mask: np.ndarray) -> list[float]:
    """Number of spots, their share of the cell's area and of its protein."""
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


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's correlation over the cell's pixels; 0 where one of them is constant."""
    a, b = one - one.mean(), other - other.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else 0.0
