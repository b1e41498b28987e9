"""OME-Zarr images (NGFF 0.1 to 0.5), read by zarr: level 0, one time point, one focal plane.

`group_metadata` reads the metadata of any group: a plate, a well or an image.
"""

from __future__ import annotations

import json
import reprlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pcip_core.errors import ImageFileError
from pcip_core.images.formats.chunks import check_chunks
from pcip_core.images.formats.stack import Extent, channel_number, require_channel, selected_plane
from pcip_core.images.inside import is_plain, opened, require_inside
from pcip_core.images.reference import Select
from pcip_core.words import many

METADATA_FILES = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
MAX_METADATA_BYTES = 1 << 25  # of one group; that of 1,536 wells has 0.2 MB
_AXES = ("t", "c", "z", "y", "x")  # axes of NGFF 0.1 and 0.2, whose metadata does not name them


def group_metadata(path: Path) -> dict[str, Any]:
    """Read the OME metadata of a group; NGFF 0.5 stores it under `ome`.

    Raises:
        ImageFileError: there is none, or it cannot be read.
    """
    file = path / "zarr.json"
    newer = file.is_file()
    if not newer:
        file = path / ".zattrs"
    attributes = _json(file).get("attributes") if newer else _json(file)
    metadata = attributes.get("ome", attributes) if isinstance(attributes, dict) else None
    if not isinstance(metadata, dict):
        raise _no_metadata(file, f"{reprlib.repr(metadata)} in place of the metadata")
    return metadata


def is_array(path: Path) -> bool:
    """Whether a folder is an array rather than a group."""
    if (path / ".zarray").is_file():
        return True
    try:
        return _json(path / "zarr.json").get("node_type") == "array"
    except ImageFileError:
        return False


def _json(file: Path) -> dict[str, Any]:
    try:
        with opened(file) as stream:
            text = stream.read(MAX_METADATA_BYTES + 1)
        if len(text) > MAX_METADATA_BYTES:
            raise _no_metadata(file, f"more than {MAX_METADATA_BYTES >> 20} MiB of metadata")
        metadata = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        missing = isinstance(error, FileNotFoundError)
        raise _no_metadata(file, "no such file" if missing else f"no readable metadata ({error})") from error
    if not isinstance(metadata, dict):
        raise _no_metadata(file, f"{reprlib.repr(metadata)} in place of the metadata")
    return metadata


def _no_metadata(file: Path, found: str) -> ImageFileError:
    return ImageFileError(
        file, found=found, required="the metadata of an OME-Zarr group", remedy="Copy the plate again."
    )


def planes(path: Path, selects: Sequence[Select]) -> list[np.ndarray]:
    """Read channels `c` or `channel`, focal planes and times of the full-size array, plane by plane."""
    import zarr

    metadata = group_metadata(path)
    level, axes = _level_0(path, metadata)
    array = zarr.open_array(level, mode="r")
    missing = check_chunks(level, array)
    if missing and "labels" not in path.parts:  # programs leave out the empty chunks of label images
        warnings.warn(
            f"no file for {many(missing, 'chunk')}, whose pixels are {array.fill_value}: is the copy complete?",
            stacklevel=2,
        )
    axes = axes[-array.ndim :]
    sizes = dict(zip(axes, array.shape, strict=True))
    if axes[-2:] != ("y", "x") or any(sizes[axis] > 1 for axis in axes if axis not in "tczyx"):
        raise ImageFileError(
            path,
            found=f"an array of shape {array.shape}, axes {''.join(axes)}",
            required="the axes t, c and z, with y and x as the last ones",
            remedy="Export the image again.",
        )
    names = [str(channel.get("label", "")) for channel in metadata.get("omero", {}).get("channels", [])]
    count = sizes.get("c", 1)
    extent = Extent(path, sizes.get("t", 1), sizes.get("z", 1), count, array.shape, "".join(axes))

    def plane(select: Select) -> np.ndarray:
        require_channel(extent, select)
        channel = channel_number(path, select, names, count)

        def read(time: int, z: int) -> np.ndarray:
            at = {"t": time, "c": channel, "z": z}
            return np.asarray(array[tuple(at.get(axis, slice(None)) for axis in axes)])

        return selected_plane(extent, select, read)

    with zarr.config.set({"async.concurrency": 1}):  # chunks in memory at once
        return [plane(select) for select in selects]


def times_and_depth(path: Path) -> tuple[int, int]:
    """The number of time points and of focal planes of an image, from its metadata.

    Raises:
        ImageFileError: the metadata cannot be read.
    """
    level, axes = _level_0(path, group_metadata(path))
    require_inside(path, level)
    metadata = _json(level / ("zarr.json" if (level / "zarr.json").is_file() else ".zarray"))
    shape = metadata.get("shape")
    if not isinstance(shape, list) or not all(isinstance(side, int) for side in shape):
        raise _no_metadata(level, f"the shape {reprlib.repr(shape)}")
    sizes = dict(zip(reversed(axes), reversed(shape), strict=False))
    return sizes.get("t", 1), sizes.get("z", 1)


def files_of(path: Path) -> Iterator[Path]:
    """Yield the files of the metadata and of level 0 of an image, each sorted."""
    try:
        level, _ = _level_0(path, group_metadata(path))
        chunks = sorted(file for file in level.rglob("*") if file.is_file())
    except Exception:  # damaged metadata; reading the pixels reports it
        chunks = []
    yield from (path / name for name in METADATA_FILES if (path / name).is_file())
    yield from chunks


def links_of(path: Path) -> Iterator[Path]:
    """Yield the full-size array of an image, and the links among the files that reading the image opens."""
    level, _ = _level_0(path, group_metadata(path))
    yield level
    for folder in (path, level):
        entries = folder.iterdir() if folder == path else folder.rglob("*")
        yield from (entry for entry in entries if entry.is_symlink())


def _level_0(path: Path, metadata: dict[str, Any]) -> tuple[Path, tuple[str, ...]]:
    """Return the folder of the full-size array, which lies in that of the image, and the names of its axes."""
    if not metadata.get("multiscales"):
        raise _no_metadata(path, "no multiscales")
    multiscale = metadata["multiscales"][0]
    axes = multiscale.get("axes") or _AXES
    names = tuple(axis["name"] if isinstance(axis, dict) else str(axis) for axis in axes)
    level = multiscale["datasets"][0]["path"]
    if not is_plain(level):
        raise ImageFileError(
            path,
            found=f"the full-size array at {reprlib.repr(level)}",
            required="a relative path within the image",
            remedy="Copy or export the image again.",
        )
    return path / level, names
