"""Previews against rendering at every resolution in turn."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.figure import Figure

from pcip_core.plots.png import to_png


@pytest.mark.parametrize("max_bytes", [2_000_000, 200_000, 60_000, 20_000, 100])
def test_the_preview_is_that_of_trying_every_resolution(
    max_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = Figure(figsize=(6, 6))
    figure.subplots().imshow(np.random.default_rng(0).normal(size=(600, 600)))
    for dpi in (110, 80, 60, 40, 25):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi)
        if buffer.tell() <= max_bytes:
            break
    tried = []
    render = figure.savefig
    monkeypatch.setattr(
        figure,
        "savefig",
        lambda *args, dpi, **options: (tried.append(dpi), render(*args, dpi=dpi, **options)),
    )

    assert to_png(figure, max_bytes=max_bytes) == buffer.getvalue()
    assert len(tried) <= 3
