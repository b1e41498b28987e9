"""Decoders of image files, one module per format. Each module has a function

    planes(path, selects) -> the planes (H, W) that `selects` name (`pcip_core.images.reference`), in order.

It checks the header against the size limits, then decodes the file once. It may raise any exception of its
decoder, which `pcip_core.images.decoding` converts to an ImageFileError. A module of a format with stacks also has
`extent(path, select)`, the numbers of time points and focal planes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pcip_core.errors import ImageFileError, PcipError
from pcip_core.images.reference import Select

Decoder = Callable[[Path, Sequence[Select]], list[np.ndarray]]

TIFF = (".tif", ".tiff", ".tif.gz", ".tiff.gz")
PICTURES = (".png", ".jpg", ".jpeg")
NUMPY = (".npy",)
HDF5 = (".hdf5", ".h5")
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PICTURE = (b"\x89PNG", b"\xff\xd8\xff")
VENDOR = (".czi", ".nd2", ".lif")


def decoder(path: Path) -> Decoder:
    """Return the decoder for this file, selected by the file name, and by its first bytes if it is TIFF, PNG or JPEG.

    A folder is an OME-Zarr image.

    Raises:
        ImageFileError: the file does not exist, is empty, or has an unknown format.
    """
    name = path.name.lower()
    if "\\x" in str(path) and not path.exists():
        raise ImageFileError(
            path,
            found="a name with bytes that are not UTF-8 (written as \\x and two digits)",
            required="names of files and folders in UTF-8",
            remedy="Rename the file or folder.",
        )
    if path.is_dir():
        from pcip_core.images.formats.ngff import planes
    elif not path.exists():
        raise ImageFileError(
            path,
            found="no such file",
            required="the image",
            remedy="Copy the file there, or correct the spec.",
        )
    elif path.stat().st_size == 0:
        raise ImageFileError(
            path,
            found="an empty file",
            required="a complete TIFF, PNG or JPEG",
            remedy="Copy the file again from its source.",
        )
    elif name.endswith((*TIFF, *PICTURES)):
        if _begins(path, _TIFF) or (name.endswith(TIFF) and not _begins(path, _PICTURE)):
            from pcip_core.images.formats.tiff import planes
        else:
            from pcip_core.images.formats.picture import planes
    elif name.endswith(HDF5):
        from pcip_core.images.formats.hdf5.hdf5_image import planes
    elif name.endswith(VENDOR):
        from pcip_core.images.formats.vendor import planes
    elif name.endswith(NUMPY):
        from pcip_core.images.formats.npy import planes
    else:
        raise ImageFileError(
            path,
            found=f"a file with the extension {path.suffix or '(none)'}",
            required=f"one of {', '.join((*TIFF, *PICTURES, *HDF5, *VENDOR, *NUMPY))}, or an OME-Zarr folder",
            remedy="Export the images in one of these formats.",
        )
    return planes


def _begins(path: Path, signatures: tuple[bytes, ...]) -> bool:
    """Whether a file begins with one of some signatures: programs write PNG files that are called .tif."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(8).startswith(signatures)


def times_and_depth_of(path: Path, select: Select) -> tuple[int, int]:
    """The numbers of time points and focal planes of the image that a reference selects, from its header.

    Both are 1 in formats without stacks.
    """
    if path.is_dir():
        from pcip_core.images.formats.ngff import times_and_depth

        return times_and_depth(path)
    if path.name.lower().endswith(TIFF) and not _begins(path, _PICTURE):
        from pcip_core.images.formats.tiff import extent
    elif path.name.lower().endswith(VENDOR):
        from pcip_core.images.formats.vendor import extent
    else:
        return 1, 1
    size = extent(path, select)
    return size.times, size.depth


def times_of_images(path: Path) -> list[int]:
    """The number of time points of each image of a file, from its header.

    Raises:
        ImageFileError: the header cannot be read.
        MissingPackageError: the reader of these files is not installed.
    """
    if not path.is_file():
        raise ImageFileError(path, found="no regular file", required="an image", remedy="Correct the spec.")
    name = path.name.lower()
    if name.endswith(VENDOR):
        from pcip_core.images.formats.vendor import times_of_images as of_file
    elif name.endswith((".tif", ".tiff")):
        from pcip_core.images.formats.tiff import times_of_images as of_file
    else:
        return [1]
    try:
        return of_file(path)
    except PcipError:
        raise
    except Exception as error:  # decoders raise any kind of exception on damaged files
        raise unreadable_header(path, error) from error


def unreadable_header(path: Path, error: Exception) -> ImageFileError:
    """The error of a file in whose header a decoder failed."""
    return ImageFileError(
        path,
        found=f"a header that cannot be read ({type(error).__name__}: {error})",
        required="a complete file",
        remedy="Copy the file again from its source.",
    )
