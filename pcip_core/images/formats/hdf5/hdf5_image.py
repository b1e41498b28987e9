"""Images in HDF5: the array `exported_data` that ilastik writes, such as its label images "Object Identities".

A reference with the row of a cell is one to an archive of cells, which `cell_archive` reads.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pcip_core.errors import ImageFileError
from pcip_core.hdf5 import MAX_CHUNK_BYTES, RefusedArrayError, array_of, values_of
from pcip_core.images.formats.chunks import MAX_CHUNKS
from pcip_core.images.formats.hdf5 import cell_archive
from pcip_core.images.formats.limits import MAX_BYTES, check_size
from pcip_core.images.reference import Select

if TYPE_CHECKING:
    import h5py

_EXPORTED = "exported_data"
_MOST_NAMED = 5


def planes(path: Path, selects: Sequence[Select]) -> list[np.ndarray]:
    """Read the one plane of a file, whose other axes have length 1."""
    if any("row" in select for select in selects):
        return cell_archive.planes(path, selects)
    import h5py

    try:
        with h5py.File(path, "r") as file:
            plane = _plane(path, file)
    except RefusedArrayError as error:
        raise _refused(path, str(error)) from error
    for select in selects:
        if int(select.get("c", 0)):
            raise _refused(path, f"one plane, and a reference to plane {select['c']}")
    return [plane] * len(selects)


def _plane(path: Path, file: h5py.File) -> np.ndarray:
    names = list(file)
    name = _EXPORTED if _EXPORTED in file or len(names) != 1 else names[0]
    array = array_of(file, name)
    if array is None:
        listed = ", ".join(names[:_MOST_NAMED]) + ", ..." * (len(names) > _MOST_NAMED)
        archive = "; its array data1 is that of an archive of cells (layout hdf5)" * ("data1" in file)
        raise _refused(path, f"no array {_EXPORTED} (there is {listed or 'nothing'}{archive})")
    shape = array.shape or ()
    long = [axis for axis, side in enumerate(shape) if side > 1]
    if len(long) != 2:
        raise _refused(path, f"{name} of shape {shape}, type {array.dtype}")
    check_size(path, shape, array.dtype)
    chunks = [-(-side // step) for side, step in zip(shape, array.chunks or shape, strict=True)]
    if prod(chunks) > MAX_CHUNKS:
        raise _refused(path, f"{name} in {prod(chunks):,} chunks")
    plane = np.squeeze(values_of(array, most_bytes=MAX_BYTES))
    keys = _axes(array.attrs.get("axistags"))
    transposed = len(keys) == len(shape) and [keys[axis] for axis in long] == ["x", "y"]
    return plane.T if transposed else plane


def _axes(tags: Any) -> list[str]:
    """The keys of ilastik's `axistags`, such as y, x, c; empty if there are none."""
    try:
        return [str(axis["key"]) for axis in json.loads(tags)["axes"]]
    except (TypeError, ValueError, KeyError):
        return []


def _refused(path: Path, found: str) -> ImageFileError:
    return ImageFileError(
        path,
        found=found,
        required=f"an array {_EXPORTED} of one plane (height, width), in the file itself, in chunks of at most "
        f"{MAX_CHUNK_BYTES >> 20} MiB, not compressed or with gzip",
        remedy="In ilastik, export the source `Object Identities` as hdf5 with the dataset name `exported_data`, or as "
        "tiff; probabilities and stacks are no label images.",
    )
