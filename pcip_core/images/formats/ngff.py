"""OME-Zarr images (NGFF 0.4 and 0.5; 0.1 to 0.3 are alike), through zarr: level 0, one time, one focal plane.

`group_metadata` reads the metadata of any group: a plate, a well, an image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pcip_core.errors import ImageFileError
from pcip_core.images.formats.limits import check_size
from pcip_core.images.formats.tiff import channel_number
from pcip_core.images.reference import Select

METADATA_FILES = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
_AXES = ("t", "c", "z", "y", "x")  # of NGFF 0.1 and 0.2, which name none


def group_metadata(path: Path) -> dict[str, Any]:
    """The OME metadata of a group; 0.5 keeps it under `ome`."""
    import zarr

    attributes: dict[str, Any] = dict(zarr.open_group(path, mode="r").attrs)
    return attributes.get("ome", attributes)


def planes(path: Path, selects: Sequence[Select]) -> list[np.ndarray]:
    """Channels by `c` or `channel` of the full-size array."""
    import zarr

    metadata = group_metadata(path)
    level, axes = _level_0(metadata)
    array = zarr.open_array(path / level, mode="r")
    check_size(path, array.shape, array.dtype)
    check_size(path, array.chunks, array.dtype, what="a chunk")
    axes = axes[-array.ndim :]
    long = [
        axis for axis, side in zip(axes, array.shape, strict=True) if side > 1 and axis not in ("c", "y", "x")
    ]
    if long or axes[-2:] != ("y", "x"):
        raise ImageFileError(
            path,
            found=f"an array of shape {array.shape}, axes {''.join(axes)}",
            required="one time and one focal plane, axes y and x last",
            remedy="Write a projection, or one plane.",
        )
    names = [str(one.get("label", "")) for one in metadata.get("omero", {}).get("channels", [])]
    count = array.shape[axes.index("c")] if "c" in axes else 1
    numbers = [channel_number(path, select, names, count) for select in selects]
    return [np.asarray(array[tuple(_at(axis, number) for axis in axes)]) for number in numbers]


def files_of(path: Path) -> Iterator[Path]:
    """The files that hold an image's level 0 and its metadata, sorted."""
    try:
        level, _ = _level_0(group_metadata(path))
        chunks = sorted(one for one in (path / level).rglob("*") if one.is_file())
    except Exception:  # damaged metadata; reading the pixels says so
        chunks = []
    yield from (path / name for name in METADATA_FILES if (path / name).is_file())
    yield from chunks


def _level_0(metadata: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Path of the full-size array, and the names of its axes."""
    multiscale = metadata["multiscales"][0]
    axes = multiscale.get("axes") or _AXES
    names = tuple(axis["name"] if isinstance(axis, dict) else str(axis) for axis in axes)
    return multiscale["datasets"][0]["path"], names


def _at(axis: str, channel: int) -> slice | int:
    if axis in ("y", "x"):
        return slice(None)
    return channel if axis == "c" else 0
