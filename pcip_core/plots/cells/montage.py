"""Colour composites of crops, and mosaics of them."""

from __future__ import annotations

import numpy as np

_COLOURS = {"protein": (0.1, 1.0, 0.1), 0: (0.25, 0.35, 1.0), 1: (1.0, 0.2, 0.15), 2: (0.9, 0.8, 0.1)}


def composite(pixels: np.ndarray, channels: tuple[str, ...], protein: tuple[str, ...]) -> np.ndarray:
    """Combine channels to a colour image: protein green; structural channels blue, red, yellow in their order.

    Args:
        pixels: (..., C, H, W) uint8, or float in [0, 1].
        channels: names of the C channels.
        protein: names of the protein channels.

    Returns:
        (..., H, W, 3) float32 in [0, 1]. A single structural channel is red, as in the paper's Figure 1B.

    >>> composite(np.array([[[255]], [[0]]], np.uint8), ("protein", "dna"), ("protein",)).round(1).tolist()
    [[[0.10000000149011612, 1.0, 0.10000000149011612]]]
    """
    unit = pixels.astype(np.float32) / 255 if pixels.dtype == np.uint8 else pixels.astype(np.float32)
    structural = [name for name in channels if name not in protein]
    out = np.zeros((*unit.shape[:-3], *unit.shape[-2:], 3), np.float32)
    for index, name in enumerate(channels):
        if name in protein:
            colour = _COLOURS["protein"]
        else:
            colour = _COLOURS[1] if len(structural) == 1 else _COLOURS[structural.index(name) % 3]
        out += unit[..., index, :, :, None] * np.array(colour, np.float32)
    return np.clip(out, 0, 1)


def crop_mosaic(
    pixels: np.ndarray,
    channels: tuple[str, ...],
    protein: tuple[str, ...],
    *,
    rows: int = 4,
    columns: int = 10,
) -> np.ndarray:
    """The picture of evenly spaced crops of a shard as composites, with the protein channel of each below it.

    Args:
        pixels: (n, C, S, S) uint8.
        channels, protein: names of the C channels, and of the protein channels.
        rows, columns: size of the grid.

    Returns:
        (height, columns * S, 3) float32 in [0, 1].
    """
    chosen = np.linspace(0, len(pixels) - 1, min(len(pixels), rows * columns)).astype(int)
    size = pixels.shape[-1]
    grid = np.zeros((rows * 2 * size, columns * size, 3), np.float32)
    for place, index in enumerate(chosen):
        row, column = divmod(place, columns)
        across = slice(column * size, (column + 1) * size)
        grid[2 * row * size : (2 * row + 1) * size, across] = composite(pixels[index], channels, protein)
        alone = pixels[index, channels.index(protein[0]), :, :, None] / np.float32(255)
        grid[(2 * row + 1) * size : (2 * row + 2) * size, across] = alone
    used = -(-max(len(chosen), 1) // columns) * 2 * size
    return grid[:used]
