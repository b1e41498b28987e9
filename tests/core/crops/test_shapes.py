"""The shapes of cells, against closed forms and a naive computation."""

from __future__ import annotations

import numpy as np
import pytest

from pcip_core.crops import shapes as module
from pcip_core.crops.shapes import comparable_shapes, shapes
from pcip_core.errors import TrainingError


def test_a_rectangle_has_its_area_length_and_width() -> None:
    """The variance of n equally bright lines is (n ** 2 - 1) / 12; background and brightness do not matter."""
    pixels = np.full((3, 2, 32, 32), 30, np.uint8)
    pixels[0, 1, 4:24, 10:16] = 90  # 20 x 6 px
    pixels[1, 1, 10:16, 4:24] = 250  # lying, and brighter
    pixels[2, 1] = 0
    pixels[2, 1, 8:28, 3:9] = 200
    expected = [120 / 1024, np.sqrt((400 - 1) / 12), np.sqrt((36 - 1) / 12)]
    np.testing.assert_allclose(shapes(pixels, [1]), [expected] * 3, rtol=1e-5)


def test_other_cells_in_the_crop_count() -> None:
    """Two equal squares of 6 x 6 px, 16 px apart: half of the distance adds to the variance along their line."""
    pixels = np.zeros((1, 1, 32, 32), np.uint8)
    pixels[0, 0, 12:18, 4:10] = pixels[0, 0, 12:18, 20:26] = 100
    side = (36 - 1) / 12
    expected = [72 / 1024, np.sqrt(side + 8**2), np.sqrt(side)]
    np.testing.assert_allclose(shapes(pixels, [0]), [expected], rtol=1e-5)


def test_shapes_are_those_of_weighted_covariances(monkeypatch: pytest.MonkeyPatch) -> None:
    """Naively, cell by cell; in one piece or in many, and for flipped and turned cells."""
    pixels = np.random.default_rng(0).integers(0, 256, (7, 3, 12, 12), np.uint8)
    places = np.stack(np.mgrid[:12, :12]).reshape(2, -1)
    expected = []
    for cell in pixels:
        numbers: list[float] = []
        for channel in (2, 0):
            bright = np.maximum(cell[channel].astype(float) - cell[channel].mean(), 0).ravel()
            width, length = np.sqrt(np.linalg.eigvalsh(np.cov(places, aweights=bright, bias=True)))
            numbers += [float((bright > 0).mean()), length, width]
        expected.append(numbers)
    for piece in (2**24, 2 * 3 * 144):
        monkeypatch.setattr(module, "_PIECE", piece)
        np.testing.assert_allclose(shapes(pixels, [2, 0]), expected, rtol=1e-4)
    for same in (pixels[..., ::-1], pixels[:, :, ::-1], pixels.transpose(0, 1, 3, 2)):
        np.testing.assert_allclose(shapes(same, [2, 0]), expected, rtol=1e-4)


@pytest.mark.parametrize("steps", [(0, 1), (1, 1), (1, 2), (3, 2)])
def test_lines_have_no_width_in_any_direction(steps: tuple[int, int]) -> None:
    """What rounding leaves of their width must not count as much as their length."""
    rng = np.random.default_rng(0)
    pixels = np.zeros((20, 1, 128, 128), np.uint8)
    for cell in pixels:
        places = rng.integers(0, 80, 2)[:, None] + np.outer(steps, np.arange(15))
        cell[0, places[0], places[1]] = rng.integers(100, 256, 15)
    found = shapes(pixels, [0])
    assert not found[:, 2].any()
    assert found[:, 1].min() > 3
    assert comparable_shapes(pixels, [0], ("line",)).std(0) == pytest.approx([0, 1, 0], abs=1e-5)


def test_numbers_that_do_not_differ_do_not_count() -> None:
    pixels = np.zeros((4, 2, 16, 16), np.uint8)
    for cell, length in enumerate((4, 6, 8, 10)):
        pixels[cell, 0, 2 : 2 + length, 2 + cell : 5 + cell] = 100  # always 3 px wide
        pixels[cell, 1, 3:9, cell : 6 + cell] = 100  # always the same
    found = comparable_shapes(pixels, [0, 1], ("nucleus", "er"))
    plain = shapes(pixels, [0, 1])
    np.testing.assert_allclose(found[:, :2].std(0), 1, rtol=1e-5)
    np.testing.assert_allclose(found[:, :2], plain[:, :2] / plain[:, :2].std(0), rtol=1e-5)
    assert not found[:, 2:].any()


def test_cells_of_one_shape_are_refused() -> None:
    pixels = np.zeros((5, 1, 8, 8), np.uint8)
    with pytest.raises(TrainingError, match=r"all 5 cells \(structural channels: blank\).*hardest_of to 1"):
        comparable_shapes(pixels, [0], ("blank",))
    with pytest.raises(TrainingError, match="structural channels: none"):
        comparable_shapes(pixels, [], ())
