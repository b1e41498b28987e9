"""Decoders of image files, one module per format. Each module has a function

    planes(path, selects) -> the planes (H, W) that `selects` name (`pcip_core.images.reference`), in order.

It checks the header against the size limits, then decodes the file once. It may raise any exception of its
decoder, which `pcip_core.images.reading` converts to an ImageFileError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pcip_core.errors import ImageFileError
from pcip_core.images.reference import Select

Decoder = Callable[[Path, Sequence[Select]], list[np.ndarray]]

TIFF = (".tif", ".tiff", ".tif.gz", ".tiff.gz")
PICTURES = (".png", ".jpg", ".jpeg")
HDF5 = (".hdf5", ".h5")


def decoder(path: Path) -> Decoder:
    """Return the decoder for this file, selected by the file name. A folder is an OME-Zarr image.

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
    elif name.endswith(TIFF):
        from pcip_core.images.formats.tiff import planes
    elif name.endswith(PICTURES):
        from pcip_core.images.formats.picture import planes
    elif name.endswith(HDF5):
        from pcip_core.images.formats.hdf5_image import planes
    else:
        raise ImageFileError(
            path,
            found=f"a file with the extension {path.suffix or '(none)'}",
            required=f"one of {', '.join((*TIFF, *PICTURES, *HDF5))}, or an OME-Zarr folder",
            remedy="Export the images in one of these formats.",
        )
    return planes
