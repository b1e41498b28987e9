"""TIFF, read by tifffile: one plane per file, RGB, or several channels (OME-TIFF, ImageJ, plain pages)."""

from __future__ import annotations

import gzip
import io
import re
import struct
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from pcip_core.errors import ImageFileError
from pcip_core.images.formats.limits import MAX_MEMORY, check_rgb, check_size, colour_of
from pcip_core.images.reference import Select

_PIECE = 1 << 20
_BUFFER = 1 << 24  # bytes that tifffile reads ahead
_SLACK = 1 << 24  # allowance for the bytes of a file that are not pixels
MAX_PLANES, MAX_OME_XML = 10_000, 1 << 24  # of one file; characters
_COUNTS = ("IFD", "NumPlanes", "PlaneCount", "FirstZ", "FirstC", "FirstT")
_COLOUR, _WHITE_IS_ZERO, _PALETTE = (2, 5, 6, 8), 0, 3  # TIFF 6.0, PhotometricInterpretation


def planes(path: Path, selects: Sequence[Select]) -> list[np.ndarray]:
    """Read the only plane, the colours `rgb` of an RGB page, or the channels `c` or `channel`."""
    packed = path.suffix.lower() == ".gz"
    # a set of several files would be opened by the names in its metadata
    with tifffile.TiffFile(_unpacked(path) if packed else path, _multifile=False, is_ndtiff=False) as tiff:
        check_pages(path, tiff)
        if any("c" in select or "channel" in select for select in selects):
            return _channels(path, tiff, selects)
        page = tiff.pages.first
        if len(tiff.pages) > 1:
            _check_description(path, tiff)
            shape = tiff.series[0].shape
            if len([side for side in shape if side > 1]) > 2:
                raise _stack(path, shape, tiff.series[0].axes)
        _check_page(path, page)
        colours = page.shape[-1] if page.samplesperpixel > 1 and page.planarconfig == 1 else 1
        if page.samplesperpixel > 1 or page.photometric in _COLOUR:
            for select in selects:
                check_rgb(path, f"{page.samplesperpixel} values", page.samplesperpixel, select.get("rgb"))
        pixels = page.asarray(maxworkers=1, buffersize=_BUFFER)
        if colours == 1 and page.samplesperpixel > 1:
            pixels = np.moveaxis(pixels, 0, -1)  # the colours are separate planes
        if pixels.ndim == 3 and pixels.shape[2] == 3:
            return [colour_of(pixels, select["rgb"]) for select in selects]
        return [pixels] * len(selects)


def _unpacked(path: Path) -> io.BytesIO:
    """Unpack a gzip file piece by piece, so that a file that expands without limit is refused early."""
    unpacked = io.BytesIO()
    with gzip.open(path) as stream:
        while piece := stream.read(_PIECE):
            unpacked.write(piece)
            if unpacked.tell() > MAX_MEMORY // 2 + _SLACK:  # the other half is for the pixels
                raise ImageFileError(
                    path,
                    found=f"more than {MAX_MEMORY >> 21} MiB when unpacked",
                    required="one plane",
                    remedy="Copy the file again if it is damaged; unpack it if the image is that large.",
                )
    unpacked.seek(0)
    return unpacked


def _channels(path: Path, tiff: tifffile.TiffFile, selects: Sequence[Select]) -> list[np.ndarray]:
    """Read planes of the first series along its channel axis."""
    _check_description(path, tiff)
    series = tiff.series[0]
    check_size(path, series.shape, series.dtype)
    for page in series.pages:
        if page is not None:
            _check_page(path, page)
    axes, shape = series.axes, series.shape
    many = [
        i for i, (axis, side) in enumerate(zip(axes, shape, strict=True)) if side > 1 and axis not in "YX"
    ]
    along = next((axes.index(axis) for axis in "CS" if axis in axes), many[0] if many else None)
    if set(many) - {along}:
        raise _stack(path, shape, axes)
    names = _names(tiff) if any("channel" in select for select in selects) else []
    count = 1 if along is None else shape[along]
    numbers = [channel_number(path, select, names, count) for select in selects]
    pixels = series.asarray(maxworkers=1, buffersize=_BUFFER)
    stack = pixels[None] if along is None else np.moveaxis(pixels, along, 0)
    return [stack[number] for number in numbers]


def check_pages(path: Path, tiff: tifffile.TiffFile) -> None:
    """Check the number of pages, each of which names the next: a damaged file may have pages without end.

    Raises:
        ImageFileError: there are more than MAX_PLANES, or they form a circle.
    """
    form, stream, page = tiff.tiff, tiff.filehandle, tiff.pages.first
    at, seen = page.offset, set[int]()
    while at and at not in seen and len(seen) <= MAX_PLANES:
        seen.add(at)
        stream.seek(at)
        count = _number(stream.read(form.tagnosize), form.tagnoformat)
        stream.seek(at + form.tagnosize + count * form.tagsize)
        at = _number(stream.read(form.offsetsize), form.offsetformat)
    if at or len(page.subifds or ()) > MAX_PLANES:
        raise ImageFileError(
            path,
            found="pages that form a circle" if at in seen else f"over {MAX_PLANES:,} pages",
            required=f"at most {MAX_PLANES:,} pages, one after the other",
            remedy="Copy the file again if it is damaged; otherwise export fewer planes per file.",
        )


def _number(data: bytes, form: str) -> int:
    """A number of a TIFF; 0 at the end of the file."""
    return int(struct.unpack(form, data)[0]) if len(data) == struct.calcsize(form) else 0


def _check_description(path: Path, tiff: tifffile.TiffFile) -> None:
    """Check the numbers of planes in the metadata, because tifffile makes a list of as many as they promise."""
    page = tiff.pages.first
    promised = [0]
    if tiff.is_ome and len(page.description) > MAX_OME_XML:
        promised = [MAX_PLANES + 1]
    elif tiff.is_ome:
        for element in ElementTree.fromstring(page.description).iter():
            tag, numbers = element.tag.rpartition("}")[2], element.attrib
            if tag == "Pixels":
                values = prod(int(numbers.get(f"Size{axis}", 1)) for axis in "XYZCT")
                promised.append(values // max(1, page.imagewidth * page.imagelength))
            elif tag == "TiffData":
                promised += [int(numbers.get(name, 0)) for name in _COUNTS]
    elif tiff.is_imagej:
        promised += map(
            int, re.findall(r"^(?:images|channels|slices|frames)=([0-9]{1,18})", page.description, re.M)
        )
    if max(promised) > MAX_PLANES:
        raise ImageFileError(
            path,
            found=f"metadata that promise over {MAX_PLANES:,} planes",
            required="a file that holds the planes of its metadata",
            remedy="Export the image again.",
        )


def channel_number(path: object, select: Select, names: Sequence[str], count: int) -> int:
    """Return the number of the channel that a reference selects by number or by name, ignoring letter case.

    Args:
        path: the file, for the error.
        select: the reference's keys.
        names: names of the channels, if the file has them.
        count: number of channels.

    Raises:
        ImageFileError: there is no such channel.
    """
    available = f"{count} channels" + (f" named {', '.join(names)}" if names else " without names")
    if "channel" in select:
        lower = [name.lower() for name in names]
        if lower.count(select["channel"].lower()) == 1:
            number = lower.index(select["channel"].lower())
            if number < count:
                return number
        wanted = f"one named {select['channel']}"
    else:
        number = int(select.get("c", 0))
        if number < count and ("c" in select or count == 1):
            return number
        wanted = f"channel number {number}" if "c" in select else "the name or number of a channel"
    raise ImageFileError(
        path,
        found=available,
        required=wanted,
        remedy="Correct channels.*.named in the spec, or set channels.*.plane to the number (from 0).",
    )


def _names(tiff: tifffile.TiffFile) -> list[str]:
    """Names of the channels of the first image, from the OME-XML or from ImageJ's labels."""
    if tiff.ome_metadata is None:
        labels = (tiff.imagej_metadata or {}).get("Labels") or []
        return [str(label) for label in labels]
    root = ElementTree.fromstring(tiff.ome_metadata)
    image = next((child for child in root.iter() if child.tag.rpartition("}")[2] == "Image"), None)
    if image is None:
        return []
    channels = [child for child in image.iter() if child.tag.rpartition("}")[2] == "Channel"]
    return [channel.get("Name") or channel.get("ID") or "" for channel in channels]


def _check_page(path: Path, page: tifffile.TiffPage | tifffile.TiffFrame) -> None:
    """Check the size, the kind of pixels, and that the file is long enough for its pixels."""
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
    if key.photometric in (_WHITE_IS_ZERO, _PALETTE):
        scale = "inverted grey levels (white is zero)" if key.photometric == _WHITE_IS_ZERO else "a palette"
        raise ImageFileError(
            path, found=scale, required="grey levels with black at zero", remedy="Export the raw grey levels."
        )


def _stack(path: Path, shape: Sequence[int], axes: str) -> ImageFileError:
    return ImageFileError(
        path,
        found=f"a stack of shape {tuple(shape)}, axes {axes}",
        required="one plane (height, width), or a channel named by `plane` in the spec",
        remedy="Export one focal plane or a projection; for channels, set channels.*.plane.",
    )
