"""Pictures of cells small enough to lie in a page."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from pcip_core.plots.cells.montage import composite
from pcip_core.plots.cells.thumbnails import lighter, strip


def test_a_strip_shows_the_crops() -> None:
    y, x = np.mgrid[:64, :64]
    crops = np.stack([np.stack([y * 3, x * 3]), np.stack([x * 2, 255 - y * 2])]).astype(np.uint8)
    source = strip(crops, ("dna", "tag"), ("tag",))
    kind, data = source.split(",", 1)
    assert kind == "data:image/webp;base64"
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"), float)
    expected = np.concatenate(list(composite(crops, ("dna", "tag"), ("tag",))), axis=1) * 255
    assert shown.shape == (64, 128, 3)
    assert np.abs(shown - expected).mean() < 4
    small = strip(crops[:, :, ::2, ::2], ("dna", "tag"), ("tag",))
    assert Image.open(io.BytesIO(base64.b64decode(small.split(",", 1)[1]))).size == (128, 64)


def test_a_figure_for_print_is_made_as_wide_as_it_is_read() -> None:
    file = io.BytesIO()
    Image.new("RGB", (2000, 500), "white").save(file, "PNG")
    data, width = lighter(file.getvalue())
    assert Image.open(io.BytesIO(data)).size == (1600, 400)
    assert width == 2000 * 105 // 200
