"""The result of cutting a shard: its cells and the rejected objects. Imports no image library."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Rejected:
    """A `file`, a `cell` or an `image` that is not used, and the reason.

    If a field cannot be read, `field_id` and `content_hash` show later whether its files were replaced.
    """

    file: str
    what: str
    image_id: str | None
    reason: str
    field_id: str | None = None
    content_hash: str | None = None


@dataclass(frozen=True)
class ShardCells:
    """The cells of a shard, grouped by image.

    Attributes:
        pixels: (n, C, size, size) uint8.
        columns: name -> n values. Lists of text: cell_id, image_id, field, pixel_hash. Arrays: y_px, x_px (px),
            area_px (px), crop_row (n,); intensity_min, intensity_max (n, C).
        rejected: one row per object, file or image that is not used.
        found: number of objects that the segmenter found: the cells plus the rejected objects.
        hash_of_pixels: a hash of `pixels`.
        warnings: what is unusual about label images of other programs, with the file.
    """

    pixels: np.ndarray
    columns: dict[str, list[str] | np.ndarray]
    rejected: list[Rejected] = field(default_factory=list)
    found: int = 0
    hash_of_pixels: str = ""
    warnings: list[str] = field(default_factory=list)
