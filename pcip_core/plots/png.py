"""Figures as PNG bytes small enough to be kept in a database row."""

from __future__ import annotations

import io

from matplotlib.figure import Figure

MAX_BYTES = 200_000


def to_png(figure: Figure, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Render a figure, at a lower resolution each time it comes out over so many bytes."""
    for dpi in (110, 80, 60, 40, 25):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi)
        if buffer.tell() <= max_bytes:
            break
    return buffer.getvalue()
