"""Windows of another size around cells that were cut before, from the planes of their fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np

from pcip_core.crops.cut import window_of
from pcip_core.errors import CropError
from pcip_core.images.field import Field
from pcip_core.images.illumination.correction import read_corrected
from pcip_core.spec.screen import Screen

_CELLS = 64  # windows in memory at a time


def windows_of(planes: Sequence[np.ndarray], y_px: np.ndarray, x_px: np.ndarray, window: int) -> np.ndarray:
    """Cut a square around each position. Pixels beyond the field have the least value of their plane in the window.

    Args:
        planes: C planes, (H, W).
        y_px, x_px: (n,) centres.
        window: side of the square.

    Returns:
        (n, C, window, window) float32.

    >>> plane = np.arange(1, 17).reshape(4, 4)
    >>> windows_of([plane], np.array([0.0]), np.array([1.0]), 2).tolist()
    [[[[1.0, 1.0], [1.0, 2.0]]]]
    """
    out = np.empty((len(y_px), len(planes), window, window), np.float32)
    for number, (y, x) in enumerate(zip(y_px.tolist(), x_px.tolist(), strict=True)):
        for channel, plane in enumerate(planes):
            out[number, channel] = window_of(plane, y, x, window)
    return out


def cut_again(
    screen: Screen,
    fields: Mapping[str, Field],
    cells: Mapping[str, Sequence[str] | np.ndarray],
    channels: Sequence[str],
    window: int,
) -> Iterator[np.ndarray]:
    """Cut windows around the cells of a shard from their fields, in the order of the cells.

    Args:
        screen: the spec.
        fields: id -> field of this shard.
        cells: `cell_id`, which begins with the id of the field, and `y_px` and `x_px`, the centre in the field.
        channels: the planes to cut.
        window: side of the window, in pixels of the field.

    Yields:
        (m, channels, window, window) float32, in the units of the image, for some cells at a time.

    Raises:
        CropError: a field of the cells is not among the fields.
        ImageFileError: its files cannot be read.
    """
    y_px, x_px = np.asarray(cells["y_px"], np.float64), np.asarray(cells["x_px"], np.float64)
    of_field = [str(cell).rpartition("_")[0] for cell in cells["cell_id"]]
    for field_id, members in groupby(range(len(of_field)), key=of_field.__getitem__):
        if field_id not in fields:
            raise CropError(
                f"{screen.name}: field {field_id}",
                found="cells of it, and no such field",
                required="the fields from which the crops were cut",
                remedy=f"Run `pcip run {screen.name}`, which cuts the crops again.",
            )
        planes = read_corrected(screen, fields[field_id])
        chosen = [planes[name] for name in channels]
        rows = list(members)
        for start in range(0, len(rows), _CELLS):
            part = rows[start : start + _CELLS]
            yield windows_of(chosen, y_px[part], x_px[part], window)
