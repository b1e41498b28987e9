"""NumPy files (`.npy`) of one plane. Nothing is unpickled: a pickle can run any code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pcip_core.errors import ImageFileError
from pcip_core.images.formats.limits import check_size
from pcip_core.images.formats.stack import require_no_stack
from pcip_core.images.inside import opened
from pcip_core.images.reference import Select


def planes(path: Path, selects: Sequence[Select]) -> list[np.ndarray]:
    """Read the only plane."""
    require_no_stack(path, selects)
    array = read_array(path)
    for select in selects:
        if array.ndim != 2 or int(select.get("c", 0)) or "rgb" in select or "channel" in select:
            raise ImageFileError(
                path,
                found=f"an array of shape {array.shape}",
                required="one plane (height, width), without `plane` in the spec",
                remedy="Save each plane as a file of its own with numpy.save, or save them as OME-TIFF.",
            )
    return [array.astype(array.dtype.newbyteorder("="), copy=False)] * len(selects)


def read_array(path: Path) -> np.ndarray:
    """The array of a NumPy file, whose header is checked before memory is allocated.

    Raises:
        ImageFileError: it is too large, or holds Python objects.
        ValueError: it is no NumPy file.
    """
    with opened(path) as file:
        version = np.lib.format.read_magic(file)
        header = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = header(file)
        if dtype.hasobject:
            raise ImageFileError(
                path,
                found="pickled Python objects, as in Cellpose's _seg.npy",
                required="an array of numbers, because a pickle can run any code",
                remedy="Save the label image alone, in Python with `numpy.save(new, numpy.load(old, "
                "allow_pickle=True).item()['masks'])`, or as TIFF (cellpose --save_tif).",
            )
        check_size(path, shape, dtype)
        file.seek(0)
        return np.asarray(np.load(file, allow_pickle=False))
