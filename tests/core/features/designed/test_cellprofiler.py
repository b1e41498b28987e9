"""CellProfiler's measurements by cp_measure, against closed forms, numpy and cp_measure itself."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from pcip_core.errors import MissingPackageError, ShapeError
from pcip_core.features.designed.cellprofiler import measure

CHANNELS = ("cytosol", "protein")
Y, X = np.indices((48, 48))
DISC = np.hypot(Y - 23.5, X - 23.5) <= 14
LOW, HIGH = np.array([[100.0, 10.0]]), np.array([[1100.0, 60.0]])


def crop(seed=0):
    return np.random.default_rng(seed).integers(1, 256, (1, 2, 48, 48)).astype(np.uint8)


def described(pixels, mask=DISC):
    values, names, not_finite = measure(pixels, LOW, HIGH, mask[None], CHANNELS, grey_levels=16)
    assert values.dtype == np.float32
    assert values.shape == (1, len(names))
    assert len(set(names)) == len(names)
    assert np.isfinite(values).all()
    return dict(zip(names, values[0].tolist(), strict=True)), not_finite


def test_measurements_are_those_of_the_pixels_in_the_mask():
    pixels = crop()
    column, not_finite = described(pixels)
    own = LOW[0, 1] + pixels[0, 1][DISC] / 255 * 50
    assert column["AreaShape_Area"] == DISC.sum()
    assert column["AreaShape_Eccentricity"] == pytest.approx(0, abs=1e-3)
    assert column["Intensity_MeanIntensity_protein"] == pytest.approx(own.mean(), rel=1e-5)
    assert column["Intensity_StdIntensity_protein"] == pytest.approx(own.std(), rel=1e-5)
    expected = np.corrcoef(pixels[0, 0][DISC], pixels[0, 1][DISC])[0, 1]
    assert column["Correlation_Pearson_cytosol_protein"] == pytest.approx(expected, abs=1e-5)
    assert sum(column[f"RadialDistribution_FracAtD_{n}of4_protein"] for n in (1, 2, 3, 4)) == pytest.approx(1)
    for name in ("AreaShape_Zernike_0_0", "Granularity_1_protein", "Texture_Contrast_3_00_16_protein"):
        assert name in column
    assert not any("Location" in name or "Center_" in name for name in column)
    assert not not_finite


def test_pixels_outside_the_mask_affect_only_granularity():
    pixels = crop()
    other = np.where(DISC, pixels, crop(1))
    one, two = described(pixels)[0], described(other)[0]
    assert {n: v for n, v in one.items() if "Granularity" not in n} == pytest.approx(
        {n: v for n, v in two.items() if "Granularity" not in n}
    )


def test_undefined_measurements_are_0_and_counted_under_the_same_names():
    pixels = crop()
    speck = np.zeros_like(DISC)
    speck[20, 20] = True
    usual = described(pixels)[0]
    column, not_finite = described(pixels, speck)
    assert list(column) == list(usual)
    assert not_finite
    assert all(column[name] == 0 and count == 1 for name, count in not_finite.items())
    pixels[:] = 0
    assert list(described(pixels)[0]) == list(usual)
    none = measure(pixels[:0], LOW[:0], HIGH[:0], DISC[None][:0], CHANNELS, grey_levels=16)
    assert none.values.shape == (0, len(usual))
    assert none.names == list(usual)


def test_a_missing_package_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cp_measure", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'pcip\[cellprofiler\]'"):
        measure(crop(), LOW, HIGH, DISC[None], CHANNELS)


def test_progress_and_wrong_arrays():
    done: list[int] = []
    measure(crop(), LOW, HIGH, DISC[None], CHANNELS, grey_levels=4, progress=done.append)
    assert done == [1]
    with pytest.raises(ShapeError, match="without a pixel"):
        measure(crop(), LOW, HIGH, DISC[None] & False, CHANNELS)
    with pytest.raises(ShapeError, match="2 to 256"):
        measure(crop(), LOW, HIGH, DISC[None], CHANNELS, grey_levels=300)
