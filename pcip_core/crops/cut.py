"""Cut the cells of one field out of its planes (paper, "Datasets, Preprocessing, and Training")."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from skimage.transform import resize

from pcip_core.errors import ImageFileError
from pcip_core.images.reading import is_constant
from pcip_core.spec.screen import Crops


@dataclass(frozen=True)
class CutCells:
    """The cells of one field, in the order of their labels.

    Attributes:
        pixels: (n, C, size, size) uint8; each channel of each crop is rescaled from its minimum and maximum
            to 0..255.
        label: (n,) label of the object in the field.
        y_px, x_px: (n,) centre of mass in the field, px.
        area_px: (n,) area of the object in the field, px.
        intensity_min, intensity_max: (n, C) float32 extremes before rescaling. The intensity of a pixel is
            min + pixel / 255 * (max - min), unless the floor has set it to 0.
        pixel_hash: n hashes of the crops before resizing and rescaling; equal pixels have equal hashes.
        rejected: (label, reason) of each object that is not used as a cell.
    """

    pixels: np.ndarray
    label: np.ndarray
    y_px: np.ndarray
    x_px: np.ndarray
    area_px: np.ndarray
    intensity_min: np.ndarray
    intensity_max: np.ndarray
    pixel_hash: list[str]
    rejected: list[tuple[int, str]] = field(default_factory=list)


def cut_cells(planes: Mapping[str, np.ndarray], labels: np.ndarray, spec: Crops) -> CutCells:
    """Cut a window around each labelled object, resize it, and rescale each channel to [0, 1].

    Args:
        planes: channel name -> (H, W). The crops have their channels in this order.
        labels: (H, W) int, 0 is background.
        spec: window, size, floors and area limits.

    Returns:
        The crops, their positions and intensities, and the rejected objects with the reason for each.

    Raises:
        ImageFileError: `window_px` is larger than the field, or than twice its longer side if windows are padded.

    >>> labels = np.zeros((20, 20), int)
    >>> labels[8:12, 8:12], labels[0:2, 0:2] = 1, 2
    >>> cells = cut_cells({"protein": np.arange(400).reshape(20, 20)}, labels, Crops(window_px=8, size_px=4))
    >>> cells.pixels.shape, cells.y_px, cells.rejected
    ((1, 1, 4, 4), array([9.5]), [(2, 'window over the edge of the field')])

    Source: Lu et al. 2019, Methods, "Datasets, Preprocessing, and Training".
    """
    height, width = next(iter(planes.values())).shape
    window = spec.window_px
    if window is not None:
        _check_window(window, height, width, spec)
    kept, rejected = [], []
    for label, y, x, area in _objects(labels):
        reason = _misfit(y, x, area, height, width, spec)
        if reason is None:
            crop = np.stack(
                [plane if window is None else window_of(plane, y, x, window) for plane in planes.values()]
            )  # (C, w, w)
            constant = [name for name, plane in zip(planes, crop, strict=True) if is_constant(plane)]
            if constant:
                reason = f"constant channel {', '.join(constant)} in the crop"
        if reason is not None:
            rejected.append((label, reason))
            continue
        kept.append((label, y, x, area, _resized(crop, spec.size_px), _hash(crop)))
    size = spec.size_px
    crops = np.stack([row[4] for row in kept]) if kept else np.zeros((0, len(planes), size, size), np.float32)
    low, high = crops.min((2, 3)), crops.max((2, 3))
    numbers = np.array([row[:4] for row in kept], np.float64).reshape(-1, 4)
    return CutCells(
        _rescaled(crops, low, high, list(planes), spec.floor),
        numbers[:, 0].astype(np.int64),
        numbers[:, 1],
        numbers[:, 2],
        numbers[:, 3],
        low,
        high,
        [row[5] for row in kept],
        rejected,
    )


def _check_window(window: int, height: int, width: int, spec: Crops) -> None:
    """Refuse a window that a field cannot hold; one of twice its longer side reaches over it from any centre."""
    if spec.edge == "pad" and window > 2 * max(height, width):
        raise ImageFileError(
            "field",
            found=f"{height} x {width} px",
            required=f"at least half of the window, {window} px, on its longer side",
            remedy=f"Set crops.window_px to at most {2 * max(height, width)}, or to null for cropped cells.",
        )
    if spec.edge == "reject" and window > min(height, width):
        raise ImageFileError(
            "field",
            found=f"{height} x {width} px",
            required=f"at least the window, {window} x {window} px",
            remedy="Set crops.window_px to fit the images, or crops.window_px: null for cropped cells; or "
            "crops.edge: pad, which fills the part of a window beyond the field.",
        )


def _objects(labels: np.ndarray) -> list[tuple[int, float, float, float]]:
    """Label, centre of mass (y, x) and area of each object, from runs of pixels of one label in a row."""
    begins = np.empty(labels.shape, bool)  # pixels at the start of a run of one label within a row
    begins[:, 0] = True
    np.not_equal(labels[:, 1:], labels[:, :-1], out=begins[:, 1:])
    place = np.flatnonzero(begins)
    length = np.diff(place, append=labels.size)
    number = labels.ravel()[place].astype(np.intp)
    place, length, number = (values[number != 0] for values in (place, length, number))
    y = place // labels.shape[1]  # faster than divmod
    x = place - y * labels.shape[1] + (length - 1) / 2  # the middle of the run
    area = np.bincount(number, length)
    present = np.flatnonzero(area)
    centres = [(np.bincount(number, axis * length)[present] / area[present]).tolist() for axis in (y, x)]
    return list(zip(present.tolist(), *centres, area[present].tolist(), strict=True))


def _misfit(y: float, x: float, area: float, height: int, width: int, spec: Crops) -> str | None:
    """The reason for which an object is not cut, or None."""
    if spec.window_px is None:
        return None
    top, left = corner(y, x, spec.window_px)
    over = top < 0 or left < 0 or top + spec.window_px > height or left + spec.window_px > width
    if over and spec.edge == "reject":
        return "window over the edge of the field"
    if spec.area_fraction is not None:
        share = area / spec.window_px**2
        least, most = spec.area_fraction
        if not least <= share <= most:
            return f"area {share:.1%} of the window (kept: {least:.0%} to {most:.0%})"
    return None


def corner(y: float, x: float, window: int) -> tuple[int, int]:
    """The top and left pixel of the window of this side in px around a centre; may lie outside of the field."""
    return round(y) - window // 2, round(x) - window // 2


def window_of(plane: np.ndarray, y: float, x: float, window: int) -> np.ndarray:
    """Cut a square around a centre. Pixels beyond the plane have its least value in the window (0 if there is none).

    >>> window_of(np.arange(1, 17).reshape(4, 4), 0.0, 1.0, 2).tolist()
    [[1, 1], [1, 2]]
    """
    top, left = corner(y, x, window)
    bottom, right = top + window, left + window
    inside = plane[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if inside.shape == (window, window):
        return inside
    out = np.full((window, window), inside.min() if inside.size else 0, plane.dtype)
    if inside.size:
        y, x = max(-top, 0), max(-left, 0)
        out[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return out


def _resized(crop: np.ndarray, size: int) -> np.ndarray:
    """Resize (C, h, w) to (C, size, size) float32 by block means if the factor is whole, otherwise anti-aliased."""
    channels, height, width = crop.shape
    if height == width == size:
        return crop.astype(np.float32)
    if height == width and height % size == 0:
        factor = height // size
        rows = _sums(crop.reshape(channels, size, factor, width).swapaxes(2, 3))
        return _sums(rows.reshape(channels, size, size, factor)) / np.float32(factor**2)
    out = resize(
        crop.astype(np.float32), (len(crop), size, size), anti_aliasing=max(height, width) > size, order=1
    )
    return out.astype(np.float32)


def _sums(parts: np.ndarray) -> np.ndarray:
    """Sums over the last axis in float32, one part after the other: in half the time of `sum`."""
    total = parts[..., 0].astype(np.float32)
    for number in range(1, parts.shape[-1]):
        total += parts[..., number]
    return total


def _rescaled(
    crops: np.ndarray, low: np.ndarray, high: np.ndarray, channels: list[str], floor: Mapping[str, float]
) -> np.ndarray:
    """Rescale each channel of each crop from its extremes to 0..255, (n, C, s, s) uint8; set values below the
    floor to 0.
    """
    span = np.maximum(high - low, np.finfo(np.float32).tiny)[:, :, None, None]
    unit = (crops - low[:, :, None, None]) / span
    for name, value in floor.items():
        channel = unit[:, channels.index(name)]
        channel[channel < value] = 0
    return np.rint(unit * 255).astype(np.uint8)


def _hash(crop: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(crop).data).hexdigest()[:16]  # SHA-256 runs in hardware
