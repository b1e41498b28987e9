"""Figures as PNG bytes small enough to be kept in a database row."""

from __future__ import annotations

import io

from matplotlib.figure import Figure

MAX_BYTES = 200_000


def to_png(figure: Figure) -> bytes:
    """Render a figure, at a lower resolution each time it comes out over 200 KB."""
    for dpi in (110, 80, 60, 40, 25):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi)
        if buffer.tell() <= MAX_BYTES:
            break
    return buffer.getvalue()
