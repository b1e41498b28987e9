"""Arrays of HDF5 files, read only if their values lie in the file itself and need no more memory than they promise.

HDF5 can link to other files, take values from them, and unpack a chunk to any size. `array_of` refuses the first two,
and `values_of` the third.
"""

from __future__ import annotations

import itertools
import zlib
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import h5py

MAX_CHUNK_BYTES = 1 << 28
_DEFLATE, _SHUFFLE, _FLETCHER32 = 1, 2, 3  # filters of HDF5; the others may unpack to any size
_PIECE = 1 << 20
_MAX_TEXT = 1 << 20  # characters of all texts of an array together


class RefusedArrayError(ValueError):
    """An array lies in another file or would need too much memory. The message states what was found."""


def array_of(group: h5py.Group, name: str) -> h5py.Dataset | None:
    """Return an array of a group; None if the group has no array of this name.

    Raises:
        RefusedArrayError: the array is behind a link, or its values lie in other files.
    """
    import h5py

    link = group.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        raise RefusedArrayError(f"{name}, a link to the file {link.filename}")
    if isinstance(link, h5py.SoftLink):
        raise RefusedArrayError(f"{name}, a link to {link.path}")
    array = group[name] if link is not None else None
    if not isinstance(array, h5py.Dataset):
        return None
    if array.is_virtual or array.external:
        raise RefusedArrayError(f"{name}, an array whose values lie in other files")
    return array


def values_of(array: h5py.Dataset, first: int = 0, last: int | None = None, *, most_bytes: int) -> np.ndarray:
    """Read numbers, or some rows of them.

    Args:
        array: from `array_of`.
        first, last: the rows; by default all.
        most_bytes: limit on the size of the result.

    Raises:
        RefusedArrayError: the array does not hold numbers, the rows exceed `most_bytes`, or a chunk is too large or has
            a filter other than gzip, shuffle and Fletcher32.
    """
    if array.dtype.kind not in "uif":
        raise RefusedArrayError(f"{array.name} of type {array.dtype}")
    if array.shape is None:
        raise RefusedArrayError(f"{array.name} without a shape")
    if not array.shape:
        return np.asarray(array[()])
    rows = slice(*slice(first, last).indices(array.shape[0]))
    count = max(0, rows.stop - rows.start)
    if count * prod(array.shape[1:]) * array.dtype.itemsize > most_bytes:
        raise RefusedArrayError(f"{array.name} of shape {array.shape}, more than {most_bytes:,} bytes")
    if array.chunks is not None and count and min(array.shape) > 0:
        _check_chunks(array, rows)
    return np.asarray(array[rows])


def texts_of(array: h5py.Dataset, *, most: int) -> list[str]:
    """Read texts one by one.

    Raises:
        RefusedArrayError: the array is not a row of texts, or there are more texts or characters than the limits.
    """
    if (
        array.dtype.kind not in "SO"
        or array.ndim != 1
        or len(array) > most
        or array.dtype.itemsize > _MAX_TEXT
    ):
        raise RefusedArrayError(f"{array.name} of type {array.dtype} and shape {array.shape}")
    texts: list[str] = []
    left = _MAX_TEXT
    for row in range(len(array)):
        value: Any = array[row]
        texts.append(value.decode() if isinstance(value, bytes) else str(value))
        left -= len(texts[-1])
        if left < 0:
            raise RefusedArrayError(f"{array.name}, more than {_MAX_TEXT:,} characters")
    return texts


def _check_chunks(array: h5py.Dataset, rows: slice) -> None:
    """Check the filters of an array, and the size of each of its chunks that these rows touch."""
    promised = prod(array.chunks) * array.dtype.itemsize
    settings = array.id.get_create_plist()
    filters = [settings.get_filter(number)[0] for number in range(settings.get_nfilters())]
    if set(filters) - {_DEFLATE, _SHUFFLE, _FLETCHER32} or filters.count(_DEFLATE) > 1:
        raise RefusedArrayError(f"{array.name} with the filters {filters}")
    if promised > MAX_CHUNK_BYTES:
        raise RefusedArrayError(f"{array.name} in chunks of {promised:,} bytes")
    if not filters:
        return
    starts = [range(0, side, step) for side, step in zip(array.shape, array.chunks, strict=True)]
    starts[0] = range(rows.start // array.chunks[0] * array.chunks[0], rows.stop, array.chunks[0])
    for place in itertools.product(*starts):
        stored = array.id.get_chunk_info_by_coord(place).size
        if stored > promised + promised // 16 + _PIECE:
            raise RefusedArrayError(f"{array.name} with a chunk of {stored:,} bytes")
        if stored and _DEFLATE in filters:
            mask, packed = array.id.read_direct_chunk(place)
            if not mask and _unpacks_to_more(packed, promised):
                raise RefusedArrayError(
                    f"{array.name} with a chunk that unpacks to more than {promised:,} bytes"
                )


def _unpacks_to_more(packed: bytes, promised: int) -> bool:
    """Whether deflated data unpack to more than a size (with the checksum of Fletcher32); damaged data do not."""
    unpacker, size = zlib.decompressobj(), 0
    try:
        while packed and not unpacker.eof:
            size += len(unpacker.decompress(packed, _PIECE))
            if size > promised + 4:
                return True
            packed = unpacker.unconsumed_tail
    except zlib.error:
        pass
    return False
