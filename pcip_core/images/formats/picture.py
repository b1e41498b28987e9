"""PNG and JPEG. Pillow reads headers and most PNG pixels; imagecodecs reads JPEG and PNG of several 16-bit values."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from imagecodecs import jpeg8_decode, png_decode
from PIL import Image

from pcip_core.errors import ImageFileError
from pcip_core.images.formats.limits import check_rgb, check_size, colour_of
from pcip_core.images.formats.stack import require_no_stack
from pcip_core.images.reference import Select

_GREY = {"L": np.uint8, "I;16": np.uint16, "I;16B": np.uint16, "I": np.int32, "F": np.float32}
_ENDS = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9"}
_END_BYTES = 1 << 16
_WITH_ALPHA = "LA"
_NUMBERS = {"P": "a palette", "1": "1 bit per pixel"}  # modes of label images


def planes(path: Path, selects: Sequence[Select]) -> list[np.ndarray]:
    """Read grey planes, numbers of a palette or single bits of label images, or some values of each pixel.

    These are the colours `rgb` of an RGB image, or grey levels and alpha, the numbers 0 and 1 of `c`.

    Pillow refuses images of more than 179 million pixels with an exception of its own.
    """
    require_no_stack(path, selects)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        picture = Image.open(path, formats=tuple(_ENDS))
    with picture:
        mode, dtype = _mode(path, picture)
        width, height = picture.size
        check_size(path, (height, width, len(picture.getbands())), dtype)
        _check_end(path, str(picture.format))
        for select in selects:
            _check_select(path, f"a {picture.format}", mode, select)
        if picture.format == "JPEG":
            pixels = jpeg8_decode(path.read_bytes())  # Pillow would copy the pixels twice
        elif mode in _GREY or dtype == np.uint8:
            picture.load()
            pixels = np.asarray(picture)
        else:
            pixels = png_decode(path.read_bytes())  # Pillow would keep only 8 bits of several values
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if mode == _WITH_ALPHA:
        return [_grey_or_alpha(path, pixels, select) for select in selects]
    return [colour_of(pixels, select["rgb"]) if pixels.ndim == 3 else pixels for select in selects]


def _mode(path: Path, picture: Image.Image) -> tuple[str, type]:
    """Pillow's mode and the type of the values. Pillow shows a PNG of 16-bit grey levels and alpha as 8-bit RGBA."""
    if picture.format != "PNG":
        return picture.mode, _GREY.get(picture.mode, np.uint8)
    with path.open("rb") as stream:
        bits, colour_type = stream.read(26)[-2:]
    mode = "LA" if colour_type == 4 else picture.mode
    return mode, _GREY.get(mode, np.uint16 if bits == 16 else np.uint8)


def _check_select(path: Path, form: str, mode: str, select: Select) -> None:
    """Raise if an image of this mode does not have the plane that is selected."""
    if mode in _NUMBERS and "rgb" not in select:
        if select.get("role") == "labels" and not int(select.get("c", 0)):
            return
        raise ImageFileError(
            path,
            found=f"{form} with {_NUMBERS[mode]}",
            required="grey levels",
            remedy="Export the grey levels; of a label image, give its channel `role: labels` and no `plane`.",
        )
    if mode not in _GREY and mode != _WITH_ALPHA:
        check_rgb(path, f"mode {mode}", 3 if mode == "RGB" else 0, select.get("rgb"))
        return
    count = 1 if mode in _GREY else 2
    if int(select.get("c", 0)) >= count:
        raise ImageFileError(
            path,
            found=f"{form}, which holds {'one image' if count == 1 else 'grey levels (0) and alpha (1)'}",
            required=f"plane {select['c']}",
            remedy="Correct channels.*.plane in the spec, or the column Frame of the table.",
        )


def _grey_or_alpha(path: Path, pixels: np.ndarray, select: Select) -> np.ndarray:
    """One plane of (H, W, 2). Without a number, the grey levels if the alpha says nothing."""
    alpha = pixels[:, :, 1]
    if "c" not in select and alpha.min() < alpha.max():
        raise ImageFileError(
            path,
            found=f"grey levels and an alpha channel that varies, from {alpha.min()} to {alpha.max()}",
            required="one plane",
            remedy="Set channels.*.plane in the spec: 0 for the grey levels, 1 for alpha.",
        )
    return np.ascontiguousarray(pixels[:, :, int(select.get("c", 0))])


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
