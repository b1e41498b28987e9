"""Windows around known cells are those that cutting gives; beyond the field they have the window's least value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pcip_core.crops.shard import cut_shard
from pcip_core.crops.windows import cut_again, windows_of
from pcip_core.errors import CropError
from pcip_core.images.layout import scan
from pcip_core.images.reading import read_field
from pcip_core.spec.loading import load_screen
from tests.conftest import write_tiny_screen


def test_a_window_is_the_slice_of_the_plane():
    planes = np.random.default_rng(0).integers(0, 4000, (2, 40, 50)).astype(np.uint16)
    y, x = np.array([20.0, 12.6]), np.array([25.0, 30.4])
    found = windows_of(planes, y, x, 10)
    assert found.shape == (2, 2, 10, 10)
    assert np.array_equal(found[0], planes[:, 15:25, 20:30])
    assert np.array_equal(found[1], planes[:, 8:18, 25:35])


def test_beyond_the_field_is_the_least_value_of_the_window():
    plane = np.arange(1, 101, dtype=np.float32).reshape(10, 10)
    found = windows_of([plane], np.array([0.0, 9.0]), np.array([0.0, 9.0]), 20)[:, 0]
    assert np.array_equal(found[0, 10:, 10:], plane)
    assert np.array_equal(found[1, 1:11, 1:11], plane)
    outside = np.ones((20, 20), bool)
    outside[10:, 10:] = False
    assert (found[0][outside] == 1).all()


def test_cells_of_a_screen_have_their_pixels_again(tmp_path: Path):
    screen = load_screen(write_tiny_screen(tmp_path, plates=1, images=2))
    fields = scan(screen).fields
    cells = cut_shard(screen, fields)
    by_id = {field.field_id: field for field in fields}
    parts = list(cut_again(screen, by_id, cells.columns, ("protein", "nucleus"), 32))
    windows = np.concatenate(parts)
    assert windows.shape == (len(cells.pixels), 2, 32, 32)
    halved = windows[:, ::-1].reshape(-1, 2, 16, 2, 16, 2).mean((3, 5))  # the stored crops are 16 px
    assert np.allclose(halved.min((2, 3)), cells.columns["intensity_min"])
    assert np.allclose(halved.max((2, 3)), cells.columns["intensity_max"])
    larger = np.concatenate(list(cut_again(screen, by_id, cells.columns, ("nucleus",), 200)))
    assert np.array_equal(larger[:, 0, 84:116, 84:116], windows[:, 1])
    planes = read_field(screen, fields[0])
    assert larger[0].max() == planes["nucleus"].max()  # the whole field is in the window
    with pytest.raises(CropError, match="cells of it, and no such field"):
        list(cut_again(screen, {}, cells.columns, ("nucleus",), 32))
