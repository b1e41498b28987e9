"""PNG and JPEG. Pillow reads headers and PNG pixels; imagecodecs reads JPEG pixels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from imagecodecs import jpeg8_decode
from PIL import Image

from pcip_core.errors import ImageFileError
from pcip_core.images.formats.limits import check_rgb, check_size, colour_of
from pcip_core.images.formats.stack import require_no_stack
from pcip_core.images.reference import Select

_GREY = {"L": np.uint8, "I;16": np.uint16, "I;16B": np.uint16, "I": np.int32, "F": np.float32}
_ENDS = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9"}
_END_BYTES = 1 << 16


def planes(path: Path, selects: Sequence[Select]) -> list[np.ndarray]:
    """Read grey planes, or the colours `rgb` of an RGB image.

    Pillow refuses images of more than 179 million pixels with an exception of its own.
    """
    require_no_stack(path, selects)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        picture = Image.open(path, formats=tuple(_ENDS))
    with picture:
        width, height = picture.size
        colours = len(picture.getbands())
        check_size(path, (height, width, colours), _GREY.get(picture.mode, np.uint8))
        for select in selects:
            if int(select.get("c", 0)):
                raise ImageFileError(
                    path,
                    found=f"a {picture.format}, which holds one image",
                    required=f"plane {select['c']}",
                    remedy="Correct channels.*.plane in the spec, or the column Frame of the table.",
                )
            if picture.mode not in _GREY:
                three = 3 if picture.mode == "RGB" else 0
                check_rgb(path, f"mode {picture.mode}", three, select.get("rgb"))
        _check_end(path, str(picture.format))
        if picture.format == "JPEG":
            pixels = jpeg8_decode(path.read_bytes())  # Pillow would copy the pixels twice
        else:
            picture.load()
            pixels = np.asarray(picture)
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    return [colour_of(pixels, select["rgb"]) if pixels.ndim == 3 else pixels for select in selects]


def _check_end(path: Path, form: str) -> None:
    """Raise if the end marker is missing: decoders accept files without it, even if rows are missing too."""
    with path.open("rb") as stream:
        stream.seek(-min(_END_BYTES, path.stat().st_size), 2)
        if _ENDS[form] not in stream.read():
            raise ImageFileError(
                path,
                found=f"a truncated {form} (no end marker)",
                required="a complete file",
                remedy="Copy the file again from its source.",
            )
