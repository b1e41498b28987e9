"""Figures as pictures: PNG files sharp enough to be printed, and WebP small enough to be kept in a database row."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from pcip_core.files import replacing

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_BYTES = 200_000
PRINT_DPI = 200
_RESOLUTIONS = (110, 80, 60, 40, 25)
_WEBP_PX = 16_383  # a side at most


def save_png(figure: Figure, path: Path) -> Path:
    """Write a figure for print: the old file or the new one is there, never a part."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=PRINT_DPI)
    return path


def preview(figure: Figure | Path, *, max_bytes: int = MAX_BYTES) -> bytes:
    """A figure, or its file for print, as WebP; at a lower resolution each time it comes out over so many bytes.

    It is drawn once, and scaled down: drawing takes longer than all else.
    """
    from PIL import Image

    drawn: Path | io.BytesIO
    if isinstance(figure, Path):
        drawn, dpi = figure, PRINT_DPI
    else:
        drawn, dpi = io.BytesIO(), _RESOLUTIONS[0]
        figure.savefig(drawn, format="png", dpi=dpi, pil_kwargs={"compress_level": 1})
    with Image.open(drawn) as read:
        whole = read.convert("RGB")
    for lower in (one for one in _RESOLUTIONS if max(whole.size) * one / dpi <= _WEBP_PX):
        found = webp(scaled(whole, lower / dpi))
        if len(found) <= max_bytes:
            break
    return found


def scaled(picture: Image, factor: float) -> Image:
    """A picture with so many times its pixels on each side."""
    from PIL.Image import Resampling

    if factor == 1:
        return picture
    size = (max(round(picture.width * factor), 1), max(round(picture.height * factor), 1))
    return picture.resize(size, Resampling.LANCZOS)


def webp(picture: Image) -> bytes:
    """A picture of a figure; thin lines keep their colours."""
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=85, method=2, use_sharp_yuv=True)
    return file.getvalue()
