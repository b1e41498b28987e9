"""OME-Zarr images (NGFF 0.1 to 0.5), read by zarr: level 0, one time point, one focal plane.

`group_metadata` reads the metadata of any group: a plate, a well or an image.
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
_AXES = ("t", "c", "z", "y", "x")  # axes of NGFF 0.1 and 0.2, whose metadata does not name them


def group_metadata(path: Path) -> dict[str, Any]:
    """Read the OME metadata of a group; NGFF 0.5 stores it under `ome`."""
    import zarr

    attributes: dict[str, Any] = dict(zarr.open_group(path, mode="r").attrs)
    return attributes.get("ome", attributes)


def planes(path: Path, selects: Sequence[Select]) -> list[np.ndarray]:
    """Read the channels `c` or `channel` of the full-size array."""
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
            required="one time point and one focal plane, with y and x as the last axes",
            remedy="Export one focal plane or a projection.",
        )
    names = [str(channel.get("label", "")) for channel in metadata.get("omero", {}).get("channels", [])]
    count = array.shape[axes.index("c")] if "c" in axes else 1
    numbers = [channel_number(path, select, names, count) for select in selects]
    return [np.asarray(array[tuple(_at(axis, number) for axis in axes)]) for number in numbers]


def files_of(path: Path) -> Iterator[Path]:
    """Yield the files of the metadata and of level 0 of an image, each sorted."""
    try:
        level, _ = _level_0(group_metadata(path))
        chunks = sorted(file for file in (path / level).rglob("*") if file.is_file())
    except Exception:  # damaged metadata; reading the pixels reports it
        chunks = []
    yield from (path / name for name in METADATA_FILES if (path / name).is_file())
    yield from chunks


def _level_0(metadata: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Return the path of the full-size array and the names of its axes."""
    multiscale = metadata["multiscales"][0]
    axes = multiscale.get("axes") or _AXES
    names = tuple(axis["name"] if isinstance(axis, dict) else str(axis) for axis in axes)
    return multiscale["datasets"][0]["path"], names


def _at(axis: str, channel: int) -> slice | int:
    if axis in ("y", "x"):
        return slice(None)
    return channel if axis == "c" else 0
