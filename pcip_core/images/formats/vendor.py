"""Files of microscopes: Zeiss CZI, Nikon ND2 and Leica LIF, each by a reader of the extra `pcip[vendors]`.

A scene of a CZI, a position of an ND2, and an image or a tile of a LIF is an image of the file.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pcip_core.errors import ImageFileError, MissingPackageError
from pcip_core.images.formats.images import FileImage, image_of, planes_of_images
from pcip_core.images.formats.limits import check_size
from pcip_core.images.formats.ome_xml import MAX_PLANES
from pcip_core.images.formats.stack import Extent
from pcip_core.images.reference import Select


def planes(path: Path, selects: Sequence[Select]) -> list[np.ndarray]:
    """Read channels, focal planes and times of the images of a file."""
    with opened_images(path) as images:
        return planes_of_images(path, images, selects)


def extent(path: Path, select: Select) -> Extent:
    """The size of an image in time and depth."""
    with opened_images(path) as images:
        return image_of(path, images, select).extent


def times_of_images(path: Path) -> list[int]:
    """The number of time points of each image of a file. No pixels are read."""
    with opened_images(path) as images:
        return [image.extent.times for image in images]


def opened_images(path: Path) -> AbstractContextManager[list[FileImage]]:
    """The images of a file, while it is open.

    Raises:
        MissingPackageError: the reader of this format is not installed.
    """
    return _READERS[path.suffix.lower()](path)


def _package(path: Path, module: str) -> Any:
    """Import a reader.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackageError(
            path,
            found=f"no package {module.partition('.')[0]} ({error})",
            required="the reader of this format",
            remedy="Install it with `pip install 'pcip[vendors]'`, or export the images as OME-TIFF.",
        ) from error


def _extent(path: Path, sizes: Mapping[str, int], kind: np.dtype | type) -> Extent:
    """The size of an image from those of its axes, checked against the limits."""
    shape = tuple(max(1, sizes.get(axis, 1)) for axis in "TZCYX")
    check_size(path, shape[3:], kind)
    if np.prod(shape[:3]) > MAX_PLANES:
        raise ImageFileError(
            path,
            found=f"{shape[0]} times, {shape[1]} focal planes and {shape[2]} channels",
            required=f"at most {MAX_PLANES:,} planes per image",
            remedy="Export fewer times or planes per file.",
        )
    times, depth, channels = shape[:3]
    return Extent(path, times, depth, channels, shape, "TZCYX")


@contextmanager
def _czi(path: Path) -> Iterator[list[FileImage]]:
    """Zeiss CZI, by pylibCZIrw. Tiles of a scene are joined; pixels without data are 0."""
    package = _package(path, "pylibCZIrw.czi")
    with package.open_czi(str(path)) as file:
        box = file.total_bounding_box_no_pyramid
        sizes = {axis: box[axis][1] - box[axis][0] for axis in "TZC" if axis in box}
        start = {axis: box[axis][0] for axis in sizes}
        types = set(file.pixel_types.values())
        if types - {"Gray8", "Gray16", "Gray32Float"}:
            found = f"pixels of type {', '.join(sorted(types))}"
            remedy = "Export the images with one grey level per pixel and channel."
            raise ImageFileError(path, found=found, required="grey levels", remedy=remedy)
        scenes = file.scenes_bounding_rectangle_no_pyramid or {None: file.total_bounding_rectangle_no_pyramid}
        names = _czi_names(file.metadata)
        images = []
        for scene, rectangle in scenes.items():
            extent = _extent(path, {**sizes, "Y": rectangle.h, "X": rectangle.w}, np.float32)

            def read(
                time: int, z: int, channel: int, scene: int | None = scene, rectangle: Any = rectangle
            ) -> np.ndarray:
                at = {"T": time, "Z": z, "C": channel}
                plane = {axis: number + start.get(axis, 0) for axis, number in at.items()}
                return np.array(file.read(roi=rectangle, plane=plane, scene=scene)[:, :, 0])

            images.append(FileImage(extent, names if len(names) == extent.channels else [], 1, read))
        yield images


def _czi_names(metadata: Any) -> list[str]:
    """The names of the channels in the metadata of a CZI."""
    for key in ("ImageDocument", "Metadata", "Information", "Image", "Dimensions", "Channels", "Channel"):
        metadata = metadata.get(key) if isinstance(metadata, dict) else None
    channels = metadata if isinstance(metadata, list) else [metadata]
    return [str(channel.get("@Name") or channel.get("@Id") or "") for channel in channels if channel]


@contextmanager
def _nd2(path: Path) -> Iterator[list[FileImage]]:
    """Nikon ND2, by nd2. Each frame holds all channels."""
    package = _package(path, "nd2")
    with package.ND2File(path) as file:
        sizes = dict(file.sizes)
        if sizes.pop("S", 1) > 1 or set(sizes) - set("PTZCYX"):
            raise _axes(path, file.sizes)
        extent = _extent(path, sizes, file.dtype)
        frames = {tuple(loop.get(axis, 0) for axis in "PTZ"): n for n, loop in enumerate(file.loop_indices)}
        names = [str(channel.channel.name) for channel in (file.metadata.channels or [])]

        def read(position: int, time: int, z: int, channel: int) -> np.ndarray:
            frame = np.asarray(file.read_frame(frames[position, time, z]))
            plane = frame.reshape(-1, *frame.shape[-2:])[channel]
            return (
                plane.copy()
            )  # the frame is part of the mapped file, which the reader unmaps when it closes it

        names = names if len(names) == extent.channels else []
        yield [FileImage(extent, names, 1, partial(read, number)) for number in range(sizes.get("P", 1))]


@contextmanager
def _lif(path: Path) -> Iterator[list[FileImage]]:
    """Leica LIF, by liffile. Tiles of a tile scan are images of their own."""
    package = _package(path, "liffile")
    with package.LifFile(path) as file:
        if str(file.type).rpartition(".")[2] != "LIF":
            raise ImageFileError(
                path, found=f"a file of type {file.type}", required="a LIF", remedy="Export it as OME-TIFF."
            )
        images = []
        for image in file.images:
            sizes = dict(image.sizes)
            if set(sizes) - set("TZCYXM"):
                raise _axes(path, sizes)
            extent = _extent(path, sizes, image.dtype)
            names = [str(channel.lut_name) for channel in getattr(image, "_channels", ())]
            for tile in range(sizes.get("M", 1)):

                def read(time: int, z: int, channel: int, image: Any = image, tile: int = tile) -> np.ndarray:
                    at = {"T": time, "Z": z, "C": channel, "M": tile}
                    return np.array(image.frame(**{axis: at[axis] for axis in image.sizes if axis in at}))

                images.append(FileImage(extent, names if len(names) == extent.channels else [], 1, read))
        yield images


def _axes(path: Path, sizes: Mapping[str, int]) -> ImageFileError:
    return ImageFileError(
        path,
        found=f"an image with the axes {', '.join(f'{axis} ({side})' for axis, side in sizes.items())}",
        required="grey levels along positions, times, focal planes, channels, y and x",
        remedy="Export it as OME-TIFF.",
    )


_READERS: Mapping[str, Callable[[Path], AbstractContextManager[list[FileImage]]]] = {
    ".czi": _czi,
    ".nd2": _nd2,
    ".lif": _lif,
}
