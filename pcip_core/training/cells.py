"""The input of a training: crops, and the image of each crop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pcip_core.crops.pixels import Pixels
from pcip_core.errors import ShapeError
from pcip_core.spec.training import EncoderConfig
from pcip_core.words import many

_FEW = 20  # images: the fewest from which a training was better than its start (docs/decisions/0045)


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


def too_few_images(cells: CellSet, config: EncoderConfig) -> str:
    """Why an encoder cannot learn localization from these cells; empty if there are enough images.

    Pairs of one image differ from pairs of others in their protein. With pairs of one protein, proteins count instead.

    >>> cells = CellSet(np.zeros((4, 1, 8, 8), np.uint8), np.array([0, 0, 1, 1]), ("gfp",))
    >>> too_few_images(cells, EncoderConfig())[:44]
    'trained on 4 cells of 2 images (20 or more a'
    >>> too_few_images(cells, EncoderConfig(start="simulated_yeast", epochs=0, width=0.25, block="norm_first"))
    ''
    """
    if config.epochs == 0:
        return ""
    groups, noun = len(np.unique(cells.image)), "image"
    if config.pairs != "same_image" and cells.protein is not None:
        groups, noun = len(np.unique(cells.protein)), "protein"
    if groups >= _FEW:
        return ""
    follows = (
        f"all pairs are of the same {noun}, so that nothing shows where another protein is: the features say what "
        "cells have in common, not how proteins differ"
        if groups == 1
        else f"the encoder may tell {groups} {noun}s apart by their plate, cell line or focus, and not by their protein"
    )
    cells_and_groups = f"{many(len(cells.image), 'cell')} of {many(groups, noun)}"
    return (
        f"trained on {cells_and_groups} ({_FEW} or more are needed): {follows}. Add images, take the encoder of a "
        "larger screen (encoder_from), or the start as it is (encoder: {recipe: small_screen, start: simulated_human, "
        "epochs: 0}; docs/explanation/encoders.md)"
    )
