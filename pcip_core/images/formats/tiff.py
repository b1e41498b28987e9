"""TIFF, read by tifffile: one plane per file, RGB, or several channels (OME-TIFF, ImageJ, plain pages)."""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tifffile

from pcip_core.errors import ImageFileError
from pcip_core.images.formats.images import FileImage, image_of, planes_of_images
from pcip_core.images.formats.limits import MAX_MEMORY, check_rgb, colour_of
from pcip_core.images.formats.ome_xml import MAX_PLANES, ome_images
from pcip_core.images.formats.stack import STACK_KEYS, Extent
from pcip_core.images.formats.tiff_images import BUFFER, check_page, images_of
from pcip_core.images.reference import Select

_PIECE = 1 << 20
_SLACK = 1 << 24  # allowance for the bytes of a file that are not pixels
_COLOUR = (2, 5, 6, 8)  # TIFF 6.0, PhotometricInterpretation
_STACKS = {"imagej", "shaped", "stk", "lsm"}  # one page of such a file may stand for several planes
_CHANNEL = {"c", "channel"}
_OF_IMAGES = _CHANNEL | set(STACK_KEYS)


def planes(path: Path, selects: Sequence[Select]) -> list[np.ndarray]:
    """Read the only plane, the colours `rgb` of an RGB page, or channels, focal planes and times of an image."""
    keys = {key for select in selects for key in select}
    labels = all(select.get("role") == "labels" for select in selects)
    with opened_tiff(path) as tiff:
        if len(tiff.pages) > 1 or tiff.flags & _STACKS or keys & _OF_IMAGES:
            images = images_of(path, tiff, channels=bool(keys & _CHANNEL), labels=labels)
            if "project" in keys and not (tiff.is_ome or tiff.is_imagej):
                _require_depth(path, images[0], selects)
            if len(images) > 1 or not images[0].is_plane or keys & _OF_IMAGES:
                return planes_of_images(path, images, selects)
        page = tiff.pages.first
        check_page(path, page, labels=labels)
        colours = page.shape[-1] if page.samplesperpixel > 1 and page.planarconfig == 1 else 1
        if page.samplesperpixel > 1 or page.photometric in _COLOUR:
            for select in selects:
                check_rgb(path, f"{page.samplesperpixel} values", page.samplesperpixel, select.get("rgb"))
        pixels = page.asarray(maxworkers=1, buffersize=BUFFER)
        if colours == 1 and page.samplesperpixel > 1:
            pixels = np.moveaxis(pixels, 0, -1)  # the colours are separate planes
        if pixels.ndim == 3 and pixels.shape[2] == 3:
            return [colour_of(pixels, select["rgb"]) for select in selects]
        return [pixels] * len(selects)


def _require_depth(path: Path, image: FileImage, selects: Sequence[Select]) -> None:
    """Raise if pages without names are to be projected, and more of them are there than channels are named."""
    used = max((int(select["c"]) for select in selects if "c" in select), default=0) + 1
    if image.extent.depth == 1 and image.samples == 1 and image.extent.channels > used > 1:
        raise ImageFileError(
            path,
            found=f"{image.extent.channels} pages that nothing names, {used} channels and a projection of focal planes",
            required="a file that tells which of its pages are focal planes",
            remedy="Save it with its axes, in Python with tifffile.imwrite(new, tifffile.imread(old).reshape(planes, "
            "channels, height, width), imagej=True, metadata={'axes': 'ZCYX'}); or remove files.project.",
        )


def extent(path: Path, select: Select) -> Extent:
    """The size of an image in time and depth, from its header."""
    with opened_tiff(path) as tiff:
        images = images_of(
            path, tiff, channels=bool(select.keys() & _CHANNEL), labels=True
        )  # reading checks palettes
        return image_of(path, images, select).extent


def times_of_images(path: Path) -> list[int]:
    """The number of time points of each image of a file. No pixels are read."""
    with opened_tiff(path) as tiff:
        if not tiff.is_ome:
            return [images_of(path, tiff, channels=True, labels=True)[0].extent.times]
        xml = tiff.pages.first.description
        return [image.sizes[0] for image in ome_images(path, xml, len(tiff.pages))] or [1]


@contextmanager
def opened_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF, which may be gzipped, after a check of the number of its pages."""
    packed = path.suffix.lower() == ".gz"
    # a set of several files would be opened by the names in its metadata
    with tifffile.TiffFile(_unpacked(path) if packed else path, _multifile=False, is_ndtiff=False) as tiff:
        check_pages(path, tiff)
        yield tiff


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
