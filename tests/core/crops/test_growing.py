"""An array that grows is the array of its parts, in memory and in a file."""

from __future__ import annotations

import numpy as np
import pytest

from pcip_core.crops.growing import GrowingArray


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_an_array_that_grows(tmp_path, rows):
    values = np.random.default_rng(0).integers(0, 99, (rows, 2, 3)).astype(np.int32)
    hashes = set()
    for path in (None, tmp_path / "values.npy"):
        growing = GrowingArray(path, (2, 3), np.int32)
        for part in np.array_split(values, 3):
            growing.append(part)
        array, digest = growing.finish()
        assert array.dtype == values.dtype
        assert np.array_equal(array, values)
        hashes.add(digest)
    assert len(hashes) == 1
    assert np.array_equal(np.load(tmp_path / "values.npy"), values)
