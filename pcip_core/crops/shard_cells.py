"""What cutting a shard comes to: its cells, and what is left out. Needs no library of images."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Rejected:
    """Something that was found and is not used: a `file`, a `cell` or an `image`, and why.

    Of a field that cannot be read, `field_id` and `content_hash` tell later whether it was mended.
    """

    file: str
    what: str
    image_id: str | None
    reason: str
    field_id: str | None = None
    content_hash: str | None = None


@dataclass(frozen=True)
class ShardCells:
    """The cells of a shard, those of an image together.

    Attributes:
        pixels: (n, C, size, size) uint8.
        columns: name -> n values. Lists of text: cell_id, image_id, field, pixel_hash. Arrays: y_px, x_px,
            area_px, crop_row (n,); intensity_min, intensity_max (n, C).
        rejected: one row for each object, file or image that is left out.
        found: objects found by the segmenter; equals the cells plus the rejected objects.
        hash_of_pixels: equal for equal pixels.
    """

    pixels: np.ndarray
    columns: dict[str, list[str] | np.ndarray]
    rejected: list[Rejected] = field(default_factory=list)
    found: int = 0
    hash_of_pixels: str = ""
