"""Limits on the chunks of a Zarr array, so that none unpacks to more than its metadata promises.

zarr unpacks a chunk before it compares the size. A few kilobytes of gzip, Blosc, LZ4 or Zstandard can unpack to
gigabytes, so the unpacked size of each chunk is read from its header, or counted piece by piece, before zarr opens it.
"""

from __future__ import annotations

import bz2
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pcip_core.errors import ImageFileError
from pcip_core.images.formats.limits import MAX_BYTES, MAX_SIDE_PX, check_size

MAX_CHUNKS = 1 << 17  # 20,000 x 20,000 px in chunks of 64 x 64 px have 98,000
_KEY = re.compile(
    r"(?:c[/.])?[0-9]+(?:[/.][0-9]+)*"
)  # names of the files of chunks, in either version of Zarr
_PIECE = 1 << 20
_NO_CHUNK = 2**64 - 1  # offset of a chunk that a shard does not hold
_SAME_SIZE = {  # codecs whose result has the size of what they are given
    *("bytes", "endian", "transpose", "shuffle", "delta", "bitround", "fixedscaleoffset", "quantize"),
    *("crc32", "crc32c", "adler32", "fletcher32"),
}


def check_chunks(folder: Path, array: Any) -> int:
    """Check an array before any chunk is read.

    Args:
        folder: the folder of the array.
        array: the zarr.Array.

    Returns:
        The number of files of chunks that do not exist; their pixels have the fill value.

    Raises:
        ImageFileError: the array, padded to whole chunks, exceeds the limits of `limits`; its pixels are not numbers;
            it has too many chunks, or a codec that is not supported; or a chunk unpacks to more than one chunk.
    """
    if array.dtype.kind not in "uif":
        raise _refused(folder, f"pixels of type {array.dtype}", "integers or floats")
    plane = (*(1 for _ in array.shape[:-2]), *array.shape[-2:])  # planes are read one by one
    check_size(folder, plane if max(array.shape, default=0) <= MAX_SIDE_PX else array.shape, array.dtype)
    files = array.shards or array.chunks
    if not array.ndim or min(*array.shape, *files, *array.chunks, 1) < 1:
        raise _refused(folder, f"shape {array.shape} in chunks of {files}", "at least one pixel")
    grid = [-(-side // step) for side, step in zip(array.shape, files, strict=True)]
    padded = [*files[:-2], *(count * step for count, step in zip(grid[-2:], files[-2:], strict=True))]
    if prod(padded) * array.dtype.itemsize > MAX_BYTES:
        check_size(folder, padded, array.dtype, what="whole chunks")
    check_size(folder, plane, array.dtype, beside=prod(files) * array.dtype.itemsize)
    within = prod(files) // prod(array.chunks)  # chunks per file
    if prod(grid) * within > MAX_CHUNKS:
        raise _refused(folder, f"{prod(grid) * within:,} chunks", f"at most {MAX_CHUNKS:,}")
    packing = _Packing(folder, array.metadata.to_dict())
    promised = prod(array.chunks) * array.dtype.itemsize
    present = 0
    for file in folder.rglob("*"):
        if _KEY.fullmatch(file.relative_to(folder).as_posix()) and file.is_file():
            present += 1
            _check_file(file, packing, promised, within)
    return prod(grid) - present


def _check_file(file: Path, packing: _Packing, promised: int, within: int) -> None:
    """Check that the chunks of one file have at most the promised size, packed and unpacked."""
    packed, size = promised + promised // 16 + (1 << 16), file.stat().st_size
    if size > within * packed:
        raise _refused(file, f"a file of {size:,} bytes", f"at most {within * packed:,} bytes")
    if packing.codec is None:
        return
    with file.open("rb") as stream:
        for start, length in packing.parts(stream, size, within):
            if length > packed:
                raise _refused(file, f"a chunk of {length:,} bytes", f"at most {packed:,} bytes")
            stream.seek(start)
            if _unpacked_size(packing.codec, stream, length, promised) > promised:
                raise _refused(
                    file, "a chunk that unpacks to more than the metadata say", f"{promised:,} bytes"
                )


class _Packing:
    """How the chunks of an array are packed: `codec`, None if they are not, and the chunks of a shard."""

    def __init__(self, folder: Path, metadata: Mapping[str, Any]) -> None:
        self._folder = folder
        self._index: Mapping[str, Any] | None = None
        if "codecs" in metadata:
            codecs = list(metadata["codecs"])
            if len(codecs) == 1 and codecs[0]["name"] == "sharding_indexed":
                self._index = codecs[0]["configuration"]
                codecs = list(codecs[0]["configuration"]["codecs"])
                self._check_index(self._index)
            names = [codec["name"].removeprefix("numcodecs.") for codec in codecs]
        else:
            codecs = [*(metadata["filters"] or ()), metadata["compressor"]]
            names = [codec["id"] for codec in codecs if codec is not None]
        packers = [name for name in names if name in _PACKERS]
        others = [name for name in names if name not in _PACKERS and name not in _SAME_SIZE]
        if others or len(packers) > 1:
            required = f"at most one of {', '.join(_PACKERS)}"
            raise _refused(folder, f"chunks packed by {', '.join(others or packers)}", required)
        self.codec = packers[0] if packers else None

    def _check_index(self, shard: Mapping[str, Any]) -> None:
        names = [codec["name"] for codec in shard["index_codecs"]]
        endian = (shard["index_codecs"][0].get("configuration") or {}).get("endian", "little")
        if names not in (["bytes"], ["bytes", "crc32c"]) or endian != "little":
            raise _refused(
                self._folder, f"an index of chunks packed by {', '.join(names)}", "bytes and crc32c"
            )

    def parts(self, stream: BinaryIO, size: int, within: int) -> list[tuple[int, int]]:
        """Start and length of each chunk of a file."""
        if self._index is None:
            return [(0, size)]
        length = 16 * within + 4 * (len(self._index["index_codecs"]) - 1)
        stream.seek(0 if self._index["index_location"] == "start" else max(0, size - length))
        index = np.frombuffer(stream.read(length)[: 16 * within], "<u8")
        parts = [(at, count) for at, count in index.reshape(-1, 2).tolist() if at != _NO_CHUNK]
        if len(index) != 2 * within or sum(count for _, count in parts) > size:
            raise _refused(self._folder, "a shard whose index does not fit its size", "a complete shard")
        return parts


def _unpacked_size(codec: str, stream: BinaryIO, length: int, promised: int) -> int:
    """Size of an unpacked chunk: from its header, otherwise counted until it exceeds the promised size.

    A damaged chunk counts as far as it can be unpacked; zarr will report the damage.
    """
    if codec in ("blosc", "lz4"):
        start = 4 if codec == "blosc" else 0
        return int.from_bytes(stream.read(8)[start : start + 4], "little")
    size = 0
    try:
        for piece in _COUNTED[codec](io.BytesIO(stream.read(length)), promised):
            size += piece
            if size > promised:
                break
    except (OSError, EOFError, ValueError, zlib.error):
        pass
    return size


def _of_file(opener: Callable[[BinaryIO], Any]) -> Callable[[BinaryIO, int], Iterator[int]]:
    def pieces(packed: BinaryIO, promised: int) -> Iterator[int]:
        with opener(packed) as stream:
            while piece := stream.read(_PIECE):
                yield len(piece)

    return pieces


def _of_zlib(packed: BinaryIO, promised: int) -> Iterator[int]:
    unpacker, rest = zlib.decompressobj(), packed.read()
    while rest and not unpacker.eof:
        yield len(unpacker.decompress(rest, _PIECE))
        rest = unpacker.unconsumed_tail


def _of_zstd(packed: BinaryIO, promised: int) -> Iterator[int]:
    """The size in the header of the first frame (RFC 8878, 3.1.1.1), which numcodecs allocates; otherwise counted."""
    data = packed.read()
    if len(data) < 5 or data[:4] != b"\x28\xb5\x2f\xfd":
        return
    flag, single, dictionary = data[4] >> 6, data[4] >> 5 & 1, (0, 1, 2, 4)[data[4] & 3]
    width = (single, 2, 4, 8)[flag]
    start = 5 + (not single) + dictionary
    if width:
        yield int.from_bytes(data[start : start + width], "little") + 256 * (width == 2)
        return
    from imagecodecs import zstd_decode  # the standard library of Python 3.11 has no Zstandard

    try:
        yield len(zstd_decode(data, out=promised))
    except RuntimeError:  # does not fit, or is damaged
        yield promised + 1


_COUNTED: Mapping[str, Callable[[BinaryIO, int], Iterator[int]]] = {
    "zstd": _of_zstd,
    "gzip": _of_file(lambda packed: gzip.GzipFile(fileobj=packed)),
    "zlib": _of_zlib,
    "bz2": _of_file(lambda packed: bz2.BZ2File(packed)),
}
_PACKERS = ("blosc", "lz4", *_COUNTED)


def _refused(path: Path, found: str, required: str) -> ImageFileError:
    return ImageFileError(path, found=found, required=required, remedy="Copy or export the image again.")
