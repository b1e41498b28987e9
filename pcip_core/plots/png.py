"""Figures as PNG: bytes small enough to be kept in a database row, and files sharp enough to be printed."""

from __future__ import annotations

import io
import os
from pathlib import Path

from matplotlib.figure import Figure

MAX_BYTES = 200_000
PRINT_DPI = 200
_RESOLUTIONS = (110, 80, 60, 40, 25)


def to_png(figure: Figure, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Render a figure, at a lower resolution each time it comes out over so many bytes.

    Bytes grow about as the pixels do, so resolutions that cannot be low enough are not tried.
    """
    buffer, last = io.BytesIO(), _RESOLUTIONS[0]
    for dpi in _RESOLUTIONS:
        if dpi > _RESOLUTIONS[-1] and buffer.tell() * (dpi / last) ** 2 > 1.5 * max_bytes:
            continue
        buffer, last = io.BytesIO(), dpi
        figure.savefig(buffer, format="png", dpi=dpi)
        if buffer.tell() <= max_bytes:
            break
    return buffer.getvalue()


def save_png(figure: Figure, path: Path) -> Path:
    """Write a figure for print: the old file or the new one is there, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    figure.savefig(beside, format="png", dpi=PRINT_DPI)
    beside.replace(path)
    return path
