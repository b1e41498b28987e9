"""Figures as images: PNG files for print, and WebP images that are small enough for a database row."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from pcip_core.files import replacing

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_BYTES = 200_000
PRINT_DPI = 200
VECTOR = ("svg", "pdf")
"""Kinds of files that journals and editors of drawings take."""
_RESOLUTIONS = (110, 80, 60, 40, 25)
_MOST_POINTS = 2000  # of a scatter that are drawn one by one in a vector file
_WEBP_PX = 16_383  # maximum side


def save_png(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG for print. The file is replaced atomically."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=PRINT_DPI)
    return path


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, and as SVG and PDF beside it unless it shows pictures in colour.

    Equal figures give equal bytes: the files hold no dates, and the names of the parts of an SVG are not random. Text
    stays text, so that it can be edited. Files are replaced atomically.

    Args:
        figure: the figure.
        path: of the PNG; the others have the same name and their own suffix.
    """
    import matplotlib as mpl

    save_png(figure, path)
    for points in (points for axes in figure.axes for points in axes.collections):
        crowded = len(np.asarray(points.get_offsets())) > _MOST_POINTS
        points.set_rasterized(crowded)  # as a picture within the vector file
    style: Any = {"svg.fonttype": "none", "pdf.fonttype": 42, "svg.hashsalt": path.stem}
    for kind in VECTOR:
        beside = path.with_suffix(f".{kind}")
        if not is_vector(figure):
            beside.unlink(missing_ok=True)
            continue
        date = {"svg": "Date", "pdf": "CreationDate"}[kind]
        with replacing(beside) as temporary, mpl.rc_context(style):
            figure.savefig(temporary, format=kind, dpi=PRINT_DPI, metadata={date: None})
    return path


def is_vector(figure: Figure) -> bool:
    """Whether a figure consists of lines, text and heat maps, and not of pictures in colour or grey.

    >>> figure = Figure()
    >>> _ = figure.add_subplot().plot([1, 2])
    >>> is_vector(figure)
    True
    """
    return not any(
        ((array := image.get_array()) is not None and array.ndim == 3) or image.get_cmap().name == "gray"
        for axes in figure.axes
        for image in axes.images
    )


def preview(figure: Figure | Path, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Convert a figure, or its PNG file, to WebP, at the highest resolution with at most `max_bytes`.

    If the lowest resolution exceeds `max_bytes`, it is returned. The figure is drawn once and scaled down, because
    drawing takes the most time.

    >>> preview(Figure(figsize=(1, 1)))[8:12]
    b'WEBP'
    """
    drawn: Path | io.BytesIO
    if isinstance(figure, Path):
        drawn, dpi = figure, PRINT_DPI
    else:
        drawn, dpi = io.BytesIO(), _RESOLUTIONS[0]
        figure.savefig(drawn, format="png", dpi=dpi, pil_kwargs={"compress_level": 1})
    whole = _read(drawn)
    for resolution in (value for value in _RESOLUTIONS if max(whole.size) * value / dpi <= _WEBP_PX):
        data = webp(scaled(whole, resolution / dpi))
        if len(data) <= max_bytes:
            break
    return data


def as_image(figure: Figure) -> Image:
    """Draw a figure as an image in memory, for a screen."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=_RESOLUTIONS[0], pil_kwargs={"compress_level": 1})
    return _read(drawn)


def _read(drawn: Path | io.BytesIO) -> Image:
    """The colours of a PNG file. What is read has four channels, and is freed on return."""
    from PIL import Image

    with Image.open(drawn) as image:
        return image.convert("RGB")


def scaled(picture: Image, factor: float) -> Image:
    """Scale both sides of an image by a factor."""
    from PIL.Image import Resampling

    if factor == 1:
        return picture
    size = (max(round(picture.width * factor), 1), max(round(picture.height * factor), 1))
    return picture.resize(size, Resampling.LANCZOS)


def webp(picture: Image) -> bytes:
    """Encode an image of a figure as WebP; thin lines keep their colours."""
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=85, method=2, use_sharp_yuv=True)
    return file.getvalue()
