"""Mean features of proteins against the mean of their cells in a loop."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pcip_core.clustering.proteins import mean_proteins

IMAGES = pl.DataFrame(
    {
        "protein": ["P2", "P1", "P1", None, "P1", "P2"],
        "cell_line": ["U-2 OS", "A-431", "U-2 OS", "A-431", "A-431", None],
    }
)
MEMBERS = {
    False: {"P1": (1, 2, 4), "P2": (0, 5)},
    True: {"P1 (A-431)": (1, 4), "P1 (U-2 OS)": (2,), "P2": (5,), "P2 (U-2 OS)": (0,)},
}


@pytest.mark.parametrize("by_line", [False, True])
def test_means_are_those_of_all_cells_of_the_images(*, by_line: bool) -> None:
    rng = np.random.default_rng(0)
    image = rng.permutation(np.concatenate([np.arange(6), rng.integers(0, 6, 60)]))
    features = rng.normal(size=(66, 4)).astype(np.float32)
    proteins = mean_proteins(features, image, IMAGES, by_line=by_line)
    assert proteins.names == list(MEMBERS[by_line])
    assert proteins.proteins == [name[:2] for name in MEMBERS[by_line]]
    for mean, images in zip(proteins.means, MEMBERS[by_line].values(), strict=True):
        cells = [row for row, own in zip(features.astype(np.float64), image, strict=True) if own in images]
        assert mean == pytest.approx(sum(cells) / len(cells))


def test_no_image_with_a_protein() -> None:
    images = IMAGES.with_columns(protein=pl.lit(None, pl.String))
    proteins = mean_proteins(np.ones((6, 3), np.float32), np.arange(6), images)
    assert (proteins.names, proteins.proteins, proteins.means.shape) == ([], [], (0, 3))
