"""Classic features against numpy, naive loops and hand-made crops."""

from __future__ import annotations

import numpy as np
import pytest

from pcip_core.errors import ShapeError
from pcip_core.features.designed.classic import DISTANCES_PX, HARALICK, classic_features

CHANNELS = ("nucleus", "microtubules", "protein")
ROLES = (("nucleus", "microtubules"), ("protein",))
RNG = np.random.default_rng(0)


def described(pixels, **options):
    n = len(pixels)
    low = np.arange(3.0 * n).reshape(n, 3)
    high = low + np.array([10.0, 20.0, 30.0])
    values, names = classic_features(pixels, low, high, CHANNELS, *ROLES, **options)
    assert values.dtype == np.float32
    assert values.shape == (n, len(names)) == (n, 3 + 2 + 65)
    assert len(set(names)) == len(names)
    return dict(zip(names, values.T, strict=True)), low, high


def noise(n=2, size=20):
    return RNG.integers(0, 256, (n, 3, size, size)).astype(np.uint8)


def test_intensities_and_correlations_equal_those_of_numpy():
    pixels = noise(3)
    column, low, high = described(pixels, levels=8)
    for i in range(3):
        own = low[i, 2] + pixels[i, 2] / 255 * (high[i, 2] - low[i, 2])
        assert column["protein_sum"][i] == pytest.approx(own.sum(), rel=1e-5)
        assert column["protein_mean"][i] == pytest.approx(own.mean(), rel=1e-5)
        assert column["protein_sd"][i] == pytest.approx(own.std(), rel=1e-5)
        for c, name in enumerate(CHANNELS[:2]):
            expected = np.corrcoef(pixels[i, 2].ravel(), pixels[i, c].ravel())[0, 1]
            assert column[f"protein_{name}_correlation"][i] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("levels", [256, 16])
def test_texture_equals_a_naive_count_of_pairs(levels):
    pixels = noise(1)
    column, *_ = described(pixels, levels=levels)
    grey = pixels[0, 2].astype(int) * levels // 256
    for distance in DISTANCES_PX:
        contrast, moment = [], []
        for dy, dx in ((0, 1), (1, 1), (1, 0), (1, -1)):
            pairs = np.zeros((levels, levels))
            for y in range(20):
                for x in range(20):
                    v, u = y + dy * distance, x + dx * distance
                    if 0 <= v < 20 and 0 <= u < 20:
                        pairs[grey[y, x], grey[v, u]] += 1
                        pairs[grey[v, u], grey[y, x]] += 1
            pairs /= pairs.sum()
            i, j = np.indices(pairs.shape)
            contrast.append((pairs * (i - j) ** 2).sum())
            moment.append((pairs**2).sum())
        assert column[f"protein_contrast_{distance}px"][0] == pytest.approx(np.mean(contrast), rel=1e-5)
        found = column[f"protein_angular_second_moment_{distance}px"][0]
        assert found == pytest.approx(np.mean(moment), rel=1e-5)


def test_texture_equals_that_of_mahotas():
    from mahotas.features import haralick

    pixels = noise(1, 40)
    column, *_ = described(pixels)
    for distance in DISTANCES_PX:
        expected = haralick(pixels[0, 2], distance=distance, return_mean=True)
        found = [column[f"protein_{name}_{distance}px"][0] for name in HARALICK]
        assert found == pytest.approx(expected, rel=1e-5)


def test_constant_and_small_crops_give_finite_values():
    pixels = noise(3, 16)
    pixels[0, 2] = 0
    pixels[1, 0] = 77
    column, low, _ = described(pixels, levels=32)
    assert all(np.isfinite(values).all() for values in column.values())
    assert column["protein_mean"][0] == low[0, 2]
    assert all(not values[0] for name, values in column.items() if "px" in name or "correlation" in name)
    assert column["protein_nucleus_correlation"][1] == 0
    assert not column["protein_contrast_16px"].any()


def test_no_cells_progress_and_wrong_arrays():
    described(noise(0))
    done: list[int] = []
    described(noise(2), levels=4, progress=done.append)
    assert done == [1, 2]
    low = np.zeros((2, 3))
    with pytest.raises(ShapeError, match="low"):
        classic_features(noise(), low[:1], low, CHANNELS, *ROLES)
    with pytest.raises(ShapeError, match="'golgi'"):
        classic_features(noise(), low, low, CHANNELS, ("golgi",), ("protein",))
    with pytest.raises(ShapeError, match="2 to 256"):
        classic_features(noise(), low, low, CHANNELS, *ROLES, levels=1)
    with pytest.raises(ShapeError, match="found float64"):
        classic_features(noise() / 255, low, low, CHANNELS, *ROLES)
