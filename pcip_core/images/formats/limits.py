"""How large an image may say it is: a damaged or hostile header must not make pcip ask for all memory."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from pcip_core.errors import ImageFileError

MAX_SIDE_PX = 20_000
MAX_BYTES = 1 << 30  # of one file's pixels, decoded


def check_size(path: object, shape: Sequence[int], dtype: np.dtype | type, *, what: str = "pixels") -> None:
    """Hold what a header says against the limits, before anything is allocated.

    Raises:
        ImageFileError: a side over MAX_SIDE_PX, or more than MAX_BYTES.
    """
    size = prod(shape) * np.dtype(dtype).itemsize
    if max(shape, default=0) > MAX_SIDE_PX or size > MAX_BYTES:
        raise ImageFileError(
            path,
            found=f"a header of {' x '.join(f'{side:,}' for side in shape)} {what}, {size / 2**30:,.1f} GiB",
            required=f"at most {MAX_SIDE_PX:,} px a side and {MAX_BYTES >> 30} GiB",
            remedy="Copy the file again if it is damaged; export tiles if the image is that large.",
        )


def check_rgb(path: object, kind: str, colours: int, select: str | None) -> None:
    """Refuse pictures of colours that no plane can be taken from.

    Raises:
        ImageFileError: not three colours, or no word on which to take.
    """
    if colours == 3 and select is not None:
        return
    raise ImageFileError(
        path,
        found=f"pixels of {kind}, {'a colour picture' if colours == 3 else 'neither grey nor RGB'}",
        required="one grey value a pixel, or RGB with `plane: red, green, blue or max` in the spec",
        remedy="Say which colour the channel is, or export one grey-level file a channel.",
    )


COLOURS = {"red": 0, "green": 1, "blue": 2}


def colour_of(picture: np.ndarray, select: str) -> np.ndarray:
    """One colour (H, W) of an RGB picture (H, W, 3), or the greatest of the three for `max`."""
    return picture.max(axis=2) if select == "max" else np.ascontiguousarray(picture[:, :, COLOURS[select]])
