"""Chunks of every common kind are read back as they were written; those that unpack to more are refused first."""

from __future__ import annotations

import bz2
import gzip
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numcodecs
import numpy as np
import pytest
import zarr
from numcodecs import BZ2, LZ4, LZMA, Blosc, Delta, GZip, Shuffle, Zlib, Zstd
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, ShardingCodec, ZstdCodec

from pcip_core.errors import ImageFileError
from pcip_core.images.formats import chunks, limits
from pcip_core.images.formats.chunks import check_chunks
from tests.core.images.writers import noise

READ: dict[str, dict[str, Any]] = {
    "raw": {"zarr_format": 2, "compressors": None},
    "blosc": {"zarr_format": 2, "compressors": Blosc()},
    "zlib": {"zarr_format": 2, "compressors": Zlib()},
    "gzip": {"zarr_format": 2, "compressors": GZip()},
    "bz2": {"zarr_format": 2, "compressors": BZ2()},
    "lz4": {"zarr_format": 2, "compressors": LZ4()},
    "zstd": {"zarr_format": 2, "compressors": Zstd()},
    "filters": {"zarr_format": 2, "compressors": Zstd(), "filters": [Delta("u2"), Shuffle(2)]},
    "raw 3": {"zarr_format": 3, "compressors": None},
    "gzip 3": {"zarr_format": 3, "compressors": GzipCodec()},
    "zstd 3": {"zarr_format": 3, "compressors": ZstdCodec()},
    "blosc 3": {"zarr_format": 3, "compressors": BloscCodec()},
    "checksum 3": {"zarr_format": 3, "compressors": [GzipCodec(), Crc32cCodec()]},
    "shards": {"zarr_format": 3, "shards": (1, 32, 32), "compressors": GzipCodec()},
    "shards, raw": {"zarr_format": 3, "shards": (1, 32, 32), "compressors": None},
    "shards, index first": {
        "zarr_format": 3,
        "chunks": (1, 32, 32),
        "compressors": None,
        "serializer": ShardingCodec(
            chunk_shape=(1, 16, 16), codecs=[BytesCodec(), ZstdCodec()], index_location="start"
        ),
    },
}
PIXELS = noise(3, (2, 40, 24))


def written(folder: Path, pixels: np.ndarray = PIXELS, **how: Any) -> Any:
    """An array in chunks of 16 x 16 px."""
    array = zarr.create_array(folder, data=pixels, **{"chunks": (1, 16, 16)} | how)
    return zarr.open_array(array.store_path.store.root, mode="r")


@pytest.mark.parametrize("kind", READ)
def test_chunks_of_every_kind_are_accepted(tmp_path, kind):
    for name, pixels in (
        ("noise", PIXELS),
        ("zeros", np.zeros_like(PIXELS)),
        ("even", np.full_like(PIXELS, 7)),
    ):
        array = written(tmp_path / name, pixels, **READ[kind])
        check_chunks(tmp_path / name, array)
        assert np.array_equal(array[:], pixels)


PACKED = {
    "zlib": lambda data: zlib.compress(data),
    "gzip": lambda data: gzip.compress(data),
    "bz2": lambda data: bz2.compress(data),
    "lz4": lambda data: bytes(numcodecs.LZ4().encode(data)),
    "zstd": lambda data: bytes(numcodecs.Zstd().encode(data)),
    "blosc": lambda data: bytes(numcodecs.Blosc().encode(data)),
    "two gzips": lambda data: gzip.compress(data[:100]) + gzip.compress(data[100:]),
    "zstd without a size": lambda data: without_size(bytes(numcodecs.Zstd().encode(data))),
}


def without_size(frame: bytes) -> bytes:
    """The same frame of Zstandard, whose header has a window in place of the size (as Java's streams write it)."""
    single, width = frame[4] >> 5 & 1, (frame[4] >> 5 & 1, 2, 4, 8)[frame[4] >> 6]
    window = b"\x60" if single else frame[5:6]
    return frame[:4] + bytes([frame[4] & 0x04]) + window + frame[5 + (not single) + width :]


@pytest.mark.parametrize("kind", PACKED)
def test_a_chunk_has_at_most_the_promised_size(tmp_path, kind):
    codec = {"two gzips": "gzip", "zstd without a size": "zstd"}.get(kind, kind)
    compressor = numcodecs.get_codec({"id": codec})
    promised = 64 * 64 * 2
    for size, accepted in ((promised, True), (promised + 1, False), (1 << 24, False)):
        array = written(
            tmp_path / f"{size}",
            np.zeros((64, 64), np.uint16),
            zarr_format=2,
            chunks=(64, 64),
            compressors=compressor,
        )
        packed = PACKED[kind](bytes(size))
        (tmp_path / f"{size}" / "0.0").write_bytes(packed)
        assert len(packed) < promised + 60_000, "small enough to pass the limit on packed chunks"
        tracemalloc.start()
        if accepted:
            check_chunks(tmp_path / f"{size}", array)
            assert not array[:].any()
        else:
            with pytest.raises(ImageFileError, match=r"0\.0: found a chunk that unpacks to more"):
                check_chunks(tmp_path / f"{size}", array)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
        tracemalloc.stop()


def test_a_size_that_zstd_does_not_state_is_found_by_unpacking():
    frame = without_size(bytes(numcodecs.Zstd().encode(bytes(5000))))
    assert len(imagecodecs.zstd_decode(frame, out=5000)) == 5000


def test_a_chunk_within_a_shard_has_at_most_the_promised_size(tmp_path):
    how = {"shards": (32, 32), "compressors": GzipCodec(), "zarr_format": 3, "chunks": (16, 16)}
    array = written(tmp_path / "a", np.ones((32, 32), np.uint16), **how)
    file = tmp_path / "a" / "c" / "0" / "0"
    whole = file.read_bytes()
    index = np.frombuffer(whole[-68:-4], "<u8").reshape(4, 2).copy()
    bomb = gzip.compress(bytes(1 << 24))
    index[2] = len(whole) - 68, len(bomb)
    assert array[0, 0] == 1
    file.write_bytes(whole[:-68] + bomb + index.tobytes() + whole[-4:])
    with pytest.raises(ImageFileError, match="unpacks to more than"):
        check_chunks(tmp_path / "a", array)
    index[2] = 0, 1 << 40
    file.write_bytes(whole[:-68] + index.tobytes() + whole[-4:])
    with pytest.raises(ImageFileError, match="whose index does not fit its size"):
        check_chunks(tmp_path / "a", array)


def test_files_that_are_no_chunks_do_not_matter(tmp_path):
    array = written(tmp_path / "a", zarr_format=2, compressors=Blosc())
    (tmp_path / "a" / ".DS_Store").write_bytes(b"\xff" * 100)
    (tmp_path / "a" / "notes.txt").write_bytes(b"\xff" * 10_000_000)
    check_chunks(tmp_path / "a", array)


def test_arrays_that_cost_more_than_they_hold_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ImageFileError, match="chunks packed by lzma; required: at most one of blosc"):
        check_chunks(tmp_path / "a", written(tmp_path / "a", zarr_format=2, compressors=LZMA()))
    large = zarr.create_array(
        tmp_path / "b", shape=(1, 9, 9), chunks=(1, 16_000, 67_000), dtype="u2", zarr_format=2
    )
    with pytest.raises(ImageFileError, match=r"whole chunks, 2\.0 GiB"):
        check_chunks(tmp_path / "b", large)
    monkeypatch.setattr(chunks, "MAX_CHUNKS", 11)
    with pytest.raises(ImageFileError, match="12 chunks; required: at most 11"):
        check_chunks(tmp_path / "c", written(tmp_path / "c", zarr_format=2))
    monkeypatch.setattr(limits, "MAX_MEMORY", PIXELS[0].nbytes + 16 * 16)
    with pytest.raises(ImageFileError, match=r"in parts of .* smaller strips, tiles or chunks"):
        check_chunks(tmp_path / "d", written(tmp_path / "d", zarr_format=2, chunks=(1, 40, 24)))
