"""Crops as small pictures inside a page: data URLs of strips of composites."""

from __future__ import annotations

import base64
import io

import numpy as np

from pcip_core.plots.cells.montage import composite
from pcip_core.plots.pictures import PRINT_DPI, scaled, webp

THUMBNAIL_PX = 64
_PAGE_DPI = 105  # px of a page: what is 8 points in print is 12 px
_QUALITY = 75  # WebP of 64 px crops of simulated human cells: 0.6 to 0.8 kB


def strip(crops: np.ndarray, channels: tuple[str, ...], protein: tuple[str, ...]) -> str:
    """Crops beside each other as one picture: a data URL that an `img` can show.

    Args:
        crops: (n, C, S, S) uint8, or float in [0, 1], n at least 1; made 64 px where they are not.
        channels, protein: names of the C channels, and which of them hold the protein.
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
    """A figure for print as a page shows it: WebP, at most so many px wide; and its width in px of the page."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as read:
        picture = read.convert("RGB")
    width = round(picture.width * _PAGE_DPI / PRINT_DPI)
    return webp(scaled(picture, min(widest / picture.width, 1))), width
