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

    Raises:
        ShapeError: the shapes or types do not match, or there is no cell.

    >>> CellSet(np.zeros((2, 1, 8, 8), np.uint8), np.array([0, 0]), ("protein",)).pixels.shape
    (2, 1, 8, 8)
    """

    pixels: Pixels
    image: np.ndarray
    channels: tuple[str, ...]

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        fits = len(shape) == 4 and shape[1] == len(self.channels) and shape[2] == shape[3]
        if self.pixels.dtype != np.uint8 or not fits or self.image.shape != shape[:1] or not len(self.image):
            raise ShapeError(
                "CellSet",
                found=f"pixels {self.pixels.dtype} {shape}, image {self.image.shape}",
                required=f"pixels uint8 (n, {len(self.channels)}, S, S), image (n,), n at least 1",
                remedy="Pass crops as stored.",
            )
