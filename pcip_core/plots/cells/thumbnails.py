"""Small images of crops within a page: data URLs of strips of composites."""

from __future__ import annotations

import base64
import io

import numpy as np

from pcip_core.plots.cells.montage import composite
from pcip_core.plots.pictures import PRINT_DPI, scaled, webp

THUMBNAIL_PX = 64
_PAGE_DPI = 105  # resolution in a page, at which 8 points in print are 12 px
_QUALITY = 75  # WebP of 64 px crops of simulated human cells: 0.6 to 0.8 kB


def strip(crops: np.ndarray, channels: tuple[str, ...], protein: tuple[str, ...]) -> str:
    """Combine crops side by side to one image, as a data URL for an `img` element.

    Args:
        crops: (n, C, S, S) uint8, or float in [0, 1], n at least 1; resized to 64 px.
        channels, protein: names of the C channels, and of the protein channels.

    >>> strip(np.zeros((2, 1, 64, 64), np.uint8), ("protein",), ("protein",))[:22]
    'data:image/webp;base64'
    """
    from PIL import Image

    shown = np.concatenate(list(composite(crops, channels, protein)), axis=1)
    picture = Image.fromarray(np.round(shown * 255).astype(np.uint8))
    if crops.shape[-1] != THUMBNAIL_PX:
        picture = picture.resize((THUMBNAIL_PX * len(crops), THUMBNAIL_PX), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=_QUALITY, method=4, use_sharp_yuv=True)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def lighter(png: bytes, *, widest: int = 1600) -> tuple[bytes, int]:
    """Convert a figure for print to WebP, at most `widest` px wide, and return it with its width in px of the page."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as image:
        picture = image.convert("RGB")
    width = round(picture.width * _PAGE_DPI / PRINT_DPI)
    return webp(scaled(picture, min(widest / picture.width, 1))), width
