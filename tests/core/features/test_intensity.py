"""Features of intensity against a naive loop."""

from __future__ import annotations

import numpy as np
import pytest

from pcip_core.errors import ShapeError
from pcip_core.features.intensity import intensity_features
from tests.core.models.small import crops


def test_a_shard_without_cells_keeps_the_column_names() -> None:
    none = np.zeros((0, 2), np.float32)
    features, names = intensity_features(crops(0), none, none, ("cytosol", "protein"))
    assert features.shape == (0, len(names))


def test_intensity_features_equal_a_naive_loop() -> None:
    pixels = crops(3)
    low = np.array([[1.0, 2], [3, 4], [5, 6]], np.float32)
    high = low + np.array([[10.0, 20], [30, 40], [50, 60]], np.float32)
    features, names = intensity_features(pixels, low, high, ("cytosol", "protein"))
    assert features.shape == (3, len(names))
    column = dict(zip(names, features.T, strict=True))
    for n in range(3):
        unit = pixels[n, 1].astype(float) / 255
        original = low[n, 1] + unit * (high[n, 1] - low[n, 1])
        assert column["protein_mean"][n] == pytest.approx(original.mean(), rel=1e-5)
        assert column["protein_maximum"][n] == high[n, 1]
        assert column["protein_sd"][n] == pytest.approx(unit.std(), rel=1e-5)
        assert column["protein_p75"][n] == pytest.approx(np.percentile(unit, 75), rel=1e-5)
    with pytest.raises(ShapeError):
        intensity_features(pixels, low[:2], high, ("cytosol", "protein"))
