"""Pixels of files, one module a format. Each has

    planes(path, selects) -> the planes (H, W) that `selects` name (`pcip_core.images.reference`), in order;
                             the file is decoded once. Size limits are held against headers first.

and may raise whatever its decoder raises: `pcip_core.images.reading` makes one ImageFileError of it.
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
    """The decoder for this file, by its name; a folder is an OME-Zarr image.

    Raises:
        ImageFileError: there is no such file, it is empty, or its kind is not known.
    """
    name = path.name.lower()
    if path.is_dir():
        from pcip_core.images.formats.ngff import planes
    elif not path.exists():
        raise ImageFileError(
            path, found="no such file", required="the image", remedy="Copy it there, or correct the spec."
        )
    elif path.stat().st_size == 0:
        raise ImageFileError(
            path,
            found="an empty file",
            required="a whole TIFF, PNG or JPEG",
            remedy="Copy the file again from where it came.",
        )
    elif name.endswith(TIFF):
        from pcip_core.images.formats.tiff import planes
    elif name.endswith(PICTURES):
        from pcip_core.images.formats.picture import planes
    elif name.endswith(HDF5):
        from pcip_core.images.formats.cell_archive import planes
    else:
        raise ImageFileError(
            path,
            found=f"a file of kind {path.suffix or 'unknown'}",
            required=f"one of {', '.join((*TIFF, *PICTURES, *HDF5))}, or an OME-Zarr folder",
            remedy="Export the images in one of these formats.",
        )
    return planes
