"""Limits on image sizes, so that a damaged or malicious header cannot exhaust the memory."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from pcip_core.errors import ImageFileError

MAX_SIDE_PX = 20_000
MAX_BYTES = 1 << 30  # decoded pixels of one file
MAX_MEMORY = 5 << 28  # to decode one file: its pixels, and what is unpacked beside them


def check_size(
    path: object, shape: Sequence[int], dtype: np.dtype | type, *, what: str = "pixels", beside: int = 0
) -> None:
    """Check the size in a header against the limits before any memory is allocated.

    Args:
        path: the file, for the error.
        shape: shape of the array.
        dtype: its pixel type.
        what: what the header describes, for the error.
        beside: bytes of the largest part that is unpacked as a whole, before it is copied into the array.

    Raises:
        ImageFileError: a side exceeds MAX_SIDE_PX, the array exceeds MAX_BYTES, or both parts exceed MAX_MEMORY.
    """
    size = prod(shape) * np.dtype(dtype).itemsize
    if max(shape, default=0) > MAX_SIDE_PX or size > MAX_BYTES:
        raise ImageFileError(
            path,
            found=f"a header of {' x '.join(f'{side:,}' for side in shape)} {what}, {size / 2**30:,.1f} GiB",
            required=f"at most {MAX_SIDE_PX:,} px per side and {MAX_BYTES >> 30} GiB",
            remedy="Copy the file again if it is damaged; export tiles if the image is that large.",
        )
    if size + beside > MAX_MEMORY:
        raise ImageFileError(
            path,
            found=f"pixels of {size / 2**30:,.2f} GiB in parts of {beside / 2**30:,.2f} GiB",
            required=f"at most {MAX_MEMORY / 2**30:g} GiB for both, because a part is unpacked as a whole",
            remedy="Export the image with smaller strips, tiles or chunks, or without compression.",
        )


def check_rgb(path: object, kind: str, colours: int, select: str | None) -> None:
    """Check that one plane can be taken from a colour image.

    Raises:
        ImageFileError: the image does not have three colours, or the spec does not select one of them.
    """
    if colours == 3 and select is not None:
        return
    raise ImageFileError(
        path,
        found=f"pixels of {kind}, {'a colour image' if colours == 3 else 'neither grey nor RGB'}",
        required="one grey level per pixel, or RGB with `plane: red, green, blue or max` in the spec",
        remedy="Set channels.*.plane to the colour of the channel, or export one grey-level file per channel.",
    )


COLOURS = {"red": 0, "green": 1, "blue": 2}


def colour_of(picture: np.ndarray, select: str) -> np.ndarray:
    """One colour (H, W) of an RGB image (H, W, 3), as a view, or the maximum of the three for `max`."""
    return picture.max(axis=2) if select == "max" else picture[:, :, COLOURS[select]]
