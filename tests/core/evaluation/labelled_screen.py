"""Labelled cells of 24 images."""

from __future__ import annotations

import numpy as np
import polars as pl

from pcip_core.evaluation.labelled import LabelledCells


def labelled_screen() -> tuple[np.ndarray, LabelledCells, pl.DataFrame]:
    """Features, 240 cells of 24 images in mixed order, and the table of images, in another order."""
    rng = np.random.default_rng(0)
    image = rng.permutation(np.repeat(np.arange(24), 10))
    names = np.array([f"i{number:02d}" for number in range(24)])
    terms = np.array(["a", "b", "c"])[np.arange(24) % 3]
    cells = LabelledCells(
        pl.Series([f"c{number}" for number in range(240)]), terms[image], names[image], np.full(240, "1")
    )
    table = pl.DataFrame(
        {
            "image_id": [*names[::-1], "unlabelled"],
            "protein": [*(f"p{number // 2}" for number in range(23, -1, -1)), "q"],
            "cell_line": [*("xy"[number % 2] for number in range(23, -1, -1)), ""],
        }
    )
    return rng.normal(size=(240, 6)).astype(np.float32) + (image % 3)[:, None], cells, table
