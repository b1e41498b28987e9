"""What a training is given: crops, and which image each belongs to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pcip_core.crops.pixels import Pixels
from pcip_core.errors import ShapeError


@dataclass(frozen=True)
class CellSet:
    """Crops of many images.

    Attributes:
        pixels: (n, C, S, S) uint8, each channel of each crop rescaled to 0..255; an array, or in files.
        image: (n,) integer number of each cell's image.
        channels: names of the C channels.
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
                remedy="Pass crops as the store keeps them.",
            )
