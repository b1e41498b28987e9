"""The input of a training: crops, and the image of each crop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pcip_core.crops.pixels import Pixels
from pcip_core.errors import ShapeError


@dataclass(frozen=True)
class CellSet:
    """Crops of many images.

    Attributes:
        pixels: (n, C, S, S) uint8, each channel of each crop rescaled to 0..255; an array, or read from files.
        image: (n,) integer number of the image of each cell.
        channels: names of the C channels.
        protein: (n,) protein of each cell, equal for all cells of an image; for pairs of different images.

    Raises:
        ShapeError: the shapes or types do not match, or there is no cell.

    >>> CellSet(np.zeros((2, 1, 8, 8), np.uint8), np.array([0, 0]), ("protein",)).pixels.shape
    (2, 1, 8, 8)
    """

    pixels: Pixels
    image: np.ndarray
    channels: tuple[str, ...]
    protein: np.ndarray | None = None

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        fits = len(shape) == 4 and shape[1] == len(self.channels) and shape[2] == shape[3]
        fits = fits and (self.protein is None or self.protein.shape == shape[:1])
        if self.pixels.dtype != np.uint8 or not fits or self.image.shape != shape[:1] or not len(self.image):
            raise ShapeError(
                "CellSet",
                found=f"pixels {self.pixels.dtype} {shape}, image {self.image.shape}"
                + ("" if self.protein is None else f", protein {self.protein.shape}"),
                required=f"pixels uint8 (n, {len(self.channels)}, S, S), image and protein (n,), n at least 1",
                remedy="Pass crops as stored.",
            )
