"""Arrays of HDF5 are read back in every common kind of storage; what costs more than it promises is refused first."""

from __future__ import annotations

import tracemalloc
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from pcip_core.hdf5 import RefusedArrayError, array_of, texts_of, values_of

VALUES = np.random.default_rng(0).integers(0, 9, (50, 30)).astype(np.uint16)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"chunks": (7, 30)},
        {"chunks": (7, 11), "compression": "gzip"},
        {"chunks": (50, 30), "compression": "gzip", "shuffle": True, "fletcher32": True},
        {"chunks": (7, 11), "shuffle": True},
    ],
    ids=str,
)
def test_numbers_are_read_whole_and_by_rows(tmp_path: Path, how: dict) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=VALUES, **how)
        array = array_of(file, "x")
        assert np.array_equal(values_of(array, most_bytes=VALUES.nbytes), VALUES)
        for first, last in ((0, 0), (0, 1), (6, 8), (40, 99), (50, 60)):
            assert np.array_equal(values_of(array, first, last, most_bytes=VALUES.nbytes), VALUES[first:last])
        with pytest.raises(RefusedArrayError, match="more than 2,999 bytes"):
            values_of(array, most_bytes=VALUES.nbytes - 1)


@pytest.mark.parametrize("size", [1 << 24, 3 * 1000 * 2 + 5])
def test_a_chunk_that_unpacks_to_more_is_refused(tmp_path: Path, size: int) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        array = file.create_dataset("x", (3, 1000), "u2", chunks=(3, 1000), compression="gzip")
        array.id.write_direct_chunk((0, 0), zlib.compress(bytes(3 * 1000 * 2)))
        assert not values_of(array_of(file, "x"), most_bytes=10_000).any()
        array.id.write_direct_chunk((0, 0), zlib.compress(bytes(size)))
        tracemalloc.start()
        with pytest.raises(RefusedArrayError, match="unpacks to more than 6,000 bytes"):
            values_of(array_of(file, "x"), most_bytes=10_000)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
        tracemalloc.stop()


def test_other_filters_types_and_huge_chunks_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("lzf", data=VALUES, chunks=(7, 11), compression="lzf")
        file.create_dataset("text", data=np.array([b"a"]))
        file.create_dataset("huge", (10, 10), "u1", chunks=(1 << 15, 1 << 14), maxshape=(None, None))
        file.create_dataset("empty", dtype="u1", shape=None, data=h5py.Empty("u1"))
        for name in ("lzf", "text", "huge", "empty"):
            with pytest.raises(RefusedArrayError):
                values_of(array_of(file, name), most_bytes=1 << 30)
        assert array_of(file, "none") is None
        assert array_of(file.create_group("group"), "x") is None
        assert array_of(file, "group") is None


def test_texts_are_read_until_they_are_too_many(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["fixed"] = np.array([b"a", b"bc"])
        file.create_dataset("varying", data=["ä", "b"], dtype=h5py.string_dtype())
        file.create_dataset("long", data=["x" * 600_000] * 2, dtype=h5py.string_dtype())
        assert texts_of(array_of(file, "fixed"), most=2) == ["a", "bc"]
        assert texts_of(array_of(file, "varying"), most=2) == ["ä", "b"]
        for name, most in (("fixed", 1), ("long", 2)):
            with pytest.raises(RefusedArrayError):
                texts_of(array_of(file, name), most=most)
