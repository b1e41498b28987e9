"""The shapes of cells, against closed forms and a naive computation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from pcip_core.crops import shapes as module
from pcip_core.crops.shapes import comparable_shapes, shapes
from pcip_core.errors import TrainingError


def test_a_small_rectangle_in_the_centre_has_its_area_length_and_width() -> None:
    """The variance of n equal lines is (n ** 2 - 1) / 12, and the area an integral of the normal density."""
    pixels = np.full((3, 2, 192, 192), 30, np.uint8)
    pixels[0, 1, 86:106, 93:99] = 90  # 20 x 6 px
    pixels[1, 1, 93:99, 86:106] = 250  # lying, and brighter
    pixels[2, 1] = 0
    pixels[2, 1, 86:106, 93:99] = 200
    area = np.prod([1 - 2 * norm.sf(half, scale=192 / 6) for half in (10, 3)])
    expected = [area, np.sqrt((400 - 1) / 12), np.sqrt((36 - 1) / 12)]
    found = shapes(pixels, [1])
    np.testing.assert_allclose(found, [expected] * 3, rtol=0.03)
    np.testing.assert_allclose(found, found[[0, 0, 0]], rtol=1e-5)


def test_other_cells_in_the_crop_count_less() -> None:
    """A disc beside the cell, as large as it: with equal weights, it would double the area and add to the variance."""
    y, x = np.mgrid[:64, :64] - 31.5
    cell, other = y**2 + x**2 < 9**2, y**2 + (x - 22) ** 2 < 9**2
    alone, beside = shapes(np.stack([cell, cell | other])[:, None] * np.uint8(200), [0])
    assert (cell | other).sum() > 1.95 * cell.sum()
    assert 1 < beside[0] / alone[0] < 1.2
    assert alone[1] < beside[1] < 0.7 * np.sqrt(9**2 / 4 + 11**2)
    assert beside[2] == pytest.approx(alone[2], rel=0.01)


def test_shapes_are_those_of_weighted_covariances(monkeypatch: pytest.MonkeyPatch) -> None:
    """Naively, cell by cell; in one piece or in many, and for flipped and turned cells."""
    pixels = np.random.default_rng(0).integers(0, 256, (7, 3, 12, 12), np.uint8)
    places = np.stack(np.mgrid[:12, :12]).reshape(2, -1)
    weight = norm.pdf(places, 5.5, 2).prod(0)  # standard deviation: a sixth of 12 px
    expected = []
    for cell in pixels:
        numbers: list[float] = []
        for channel in (2, 0):
            values = cell[channel].astype(float).ravel()
            bright = np.maximum(values - np.average(values, weights=weight), 0)
            covariances = np.cov(places, aweights=bright * weight, bias=True)
            width, length = np.sqrt(np.linalg.eigvalsh(covariances))
            numbers += [np.average(bright > 0, weights=weight), length, width]
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
    assert comparable_shapes(pixels, [0], ("line",)).std(0) == pytest.approx([1, 1, 0], abs=1e-5)


def test_numbers_that_do_not_differ_do_not_count() -> None:
    pixels = np.zeros((4, 2, 16, 16), np.uint8)
    for cell, length in enumerate((4, 6, 8, 10)):
        pixels[cell, 0, 2 : 2 + length, 6:9] = 100  # always 3 px wide
        pixels[cell, 1, 3:9, 4:10] = 50 + 10 * cell  # always the same
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
