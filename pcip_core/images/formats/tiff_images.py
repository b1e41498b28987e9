"""The images of a TIFF: their channels, focal planes and time points, from OME-XML, ImageJ or the pages alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from pcip_core.errors import ImageFileError
from pcip_core.images.formats.images import FileImage
from pcip_core.images.formats.limits import check_size
from pcip_core.images.formats.ome_xml import MAX_PLANES, OmeImage, ome_images
from pcip_core.images.formats.stack import Extent
from pcip_core.words import many

BUFFER = 1 << 24  # bytes that tifffile reads ahead
_WHITE_IS_ZERO, _PALETTE = 0, 3  # TIFF 6.0, PhotometricInterpretation
_MISLABELLED = (
    "If the planes are channels, save the file with the axes CYX: in ImageJ with Image > Properties, or in Python with "
    "tifffile.imwrite(new, tifffile.imread(old), imagej=True, metadata={'axes': 'CYX'})."
)
_NUMBER_THEM = "If the pages are channels, set channels.*.plane to their numbers, from 0."


def images_of(
    path: Path, tiff: tifffile.TiffFile, *, channels: bool, labels: bool = False
) -> list[FileImage]:
    """The images of a file. No pixels are read.

    Args:
        path: the file, for errors.
        tiff: the open file.
        channels: whether an axis without a name is that of the channels; otherwise it is that of the focal planes.
        labels: whether they are label images, which may have a palette.

    Raises:
        ImageFileError: a page is truncated or too large, or the metadata cannot be used (`ome_xml`).
    """
    if tiff.is_ome:
        images = ome_images(path, tiff.pages.first.description, len(tiff.pages))
        if images:
            return [_of_ome(path, tiff, image, labels=labels) for image in images]
    if tiff.is_imagej:
        _check_promise(path, tiff.pages.first.description)
    return [_of_series(path, tiff, channels=channels, labels=labels)]


def _of_ome(path: Path, tiff: tifffile.TiffFile, image: OmeImage, *, labels: bool) -> FileImage:
    times, depth, channels, height, width = image.sizes
    shape = {"T": times, "Z": depth, "C": channels * image.samples, "Y": height, "X": width}
    long = {axis: side for axis, side in shape.items() if side > 1}
    hint = _MISLABELLED if channels * image.samples == 1 else ""
    extent = Extent(path, times, depth, channels * image.samples, tuple(long.values()), "".join(long), hint)

    def read(time: int, z: int, channel: int) -> np.ndarray:
        place = (time * depth + z) * channels + channel // image.samples
        number = image.pages[place]
        if number is None:
            raise ImageFileError(
                path,
                found=f"no page for channel {channel}, focal plane {z + 1}, time point {time + 1}",
                required="all planes that its metadata promise",
                remedy="Copy the file again if it is truncated, or export it again.",
            )
        page = tiff.pages[number]
        check_page(path, page, labels=labels)
        key: Any = page.keyframe
        if (key.imagelength, key.imagewidth) != (height, width):
            found = f"a page of {key.imagelength} x {key.imagewidth} px"
            required = f"{height} x {width} px, as its metadata say"
            raise ImageFileError(path, found=found, required=required, remedy="Export the image again.")
        return page.asarray(maxworkers=1, buffersize=BUFFER)

    def verify() -> None:
        for number in image.pages:
            if number is not None:
                check_page(path, tiff.pages[number], labels=labels)

    return FileImage(extent, image.names, image.samples, read, verify)


def _of_series(path: Path, tiff: tifffile.TiffFile, *, channels: bool, labels: bool) -> FileImage:
    """The first series that tifffile finds: an ImageJ hyperstack, or the pages that are alike."""
    series = tiff.series[0]
    page: Any = series.keyframe
    within = len(page.shape)
    outer, axes = series.shape[:-within], series.axes[:-within]
    samples = page.shape[page.axes.index("S")] if "S" in page.axes else 1
    if page.samplesperpixel == 1:
        samples = 1
    roles = {axis: axis for axis in axes if axis in "TZC"}
    others = [axis for axis, side in zip(axes, outer, strict=True) if axis not in "TZC" and side > 1]
    hint = _NUMBER_THEM if others else _MISLABELLED if "C" not in axes and samples == 1 else ""
    if others and channels and "C" not in axes and samples == 1:
        roles[others.pop(0)] = "C"
    if others and "Z" not in axes:
        roles[others.pop(0)] = "Z"
    side = {role: outer[axes.index(axis)] for axis, role in roles.items()}
    count = prod(outer)
    extent = Extent(
        path,
        side.get("T", 1),
        side.get("Z", 1),
        side.get("C", 1) * samples,
        series.shape,
        series.axes,
        hint,
    )
    if others or count > MAX_PLANES or series.shape[-within:] != page.shape:
        raise ImageFileError(
            path,
            found=f"a stack of shape {series.shape}, axes {series.axes}",
            required="times, focal planes and channels of one plane (height, width) each",
            remedy="Export it as an OME-TIFF, which names its axes.",
        )
    frame = _frames(path, tiff, series, count, labels=labels)

    def read(time: int, z: int, channel: int) -> np.ndarray:
        at = {"T": time, "Z": z, "C": channel // samples}
        place = 0
        for axis, length in zip(axes, outer, strict=True):
            place = place * length + (at[roles[axis]] if axis in roles else 0)
        return frame(place)

    names = [str(label) for label in (tiff.imagej_metadata or {}).get("Labels") or []]
    return FileImage(extent, names if len(names) == extent.channels else [], samples, read)


def _frames(
    path: Path, tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, count: int, *, labels: bool
) -> Callable[[int], np.ndarray]:
    """Number of a page of a series -> its pixels; the pages may lie one after the other without headers."""
    page: Any = series.keyframe
    start = series.dataoffset
    pages = [each for each in series.pages if each is not None]
    for each in pages:
        check_page(path, each, labels=labels)
    if len(pages) == count:
        return lambda place: pages[place].asarray(maxworkers=1, buffersize=BUFFER)
    if start is None or start + count * page.nbytes > tiff.filehandle.size:
        raise ImageFileError(
            path,
            found=f"{many(len(pages), 'page')} of {count} that the metadata promise",
            required="a complete file",
            remedy="Copy the file again from its source.",
        )

    def read(place: int) -> np.ndarray:
        kind = np.dtype(f"{tiff.byteorder}{page.dtype.char}")
        values = tiff.filehandle.read_array(kind, page.size, start + place * page.nbytes)
        return values.reshape(page.shape).astype(page.dtype, copy=False)

    return read


def _check_promise(path: Path, description: str) -> None:
    """Check the numbers of planes of an ImageJ stack, because tifffile makes a list of as many as they promise."""
    numbers = re.findall(r"^(?:images|channels|slices|frames)=([0-9]{1,18})", description, re.M)
    if max(map(int, numbers), default=0) > MAX_PLANES:
        raise ImageFileError(
            path,
            found=f"metadata that promise over {MAX_PLANES:,} planes",
            required="a file that holds the planes of its metadata",
            remedy="Export the image again.",
        )


def check_page(path: Path, page: tifffile.TiffPage | tifffile.TiffFrame, *, labels: bool = False) -> None:
    """Check the size, the kind of pixels, and that the file is long enough for its pixels.

    The numbers of a palette are those of a label image (`labels`).
    """
    key: Any = page.keyframe  # pages of a series share one header
    kind = np.dtype(key.dtype or np.uint8)
    if key.is_tiled:
        check_size(path, (key.tilelength, key.tilewidth), kind, what="a tile")
    part = prod(key.chunks) * kind.itemsize if key.compression != 1 else 0
    check_size(path, key.shape, kind, beside=part)
    size, counts = page.parent.filehandle.size, page.databytecounts
    end = max((at + count for at, count in zip(page.dataoffsets, counts, strict=True)), default=0)
    values = key.imagewidth * key.imagelength * key.samplesperpixel
    promised = values * key.bitspersample // 8 if key.compression == 1 else 1
    if end > size or 0 in counts or sum(counts) < promised:
        raise ImageFileError(
            path,
            found=f"a truncated TIFF ({sum(counts):,} bytes of pixels up to byte {end:,} of {size:,})",
            required="a complete file",
            remedy="Copy the file again from its source.",
        )
    if key.photometric == _WHITE_IS_ZERO or (key.photometric == _PALETTE and not labels):
        scale = "inverted grey levels (white is zero)" if key.photometric == _WHITE_IS_ZERO else "a palette"
        raise ImageFileError(
            path,
            found=scale,
            required="grey levels with black at zero",
            remedy="Export the raw grey levels. Of a label image with a palette, give the channel `role: labels`.",
        )
