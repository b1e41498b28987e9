"""Pixels of a field, checked: every way in which a file can be bad ends in one ImageFileError."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import numpy as np

from pcip_core.errors import ImageFileError
from pcip_core.images.layout import Field
from pcip_core.screen import Screen


def read_plane(path: Path) -> np.ndarray:
    """One channel's pixels, (H, W), in the file's own type.

    Raises:
        ImageFileError: missing, truncated or undecodable file, not one plane, NaN or infinite pixels,
            or the same value everywhere.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            plane = _decode(path)
    except ImageFileError:
        raise
    except Exception as error:  # decoders raise whatever they like on damaged files
        raise ImageFileError(
            path,
            found=f"pixels that cannot be decoded ({type(error).__name__}: {error})",
            required="a whole TIFF, PNG or JPEG",
            remedy="Copy the file again from where it came.",
        ) from error
    plane = np.squeeze(plane)
    if plane.ndim != 2 or min(plane.shape) < 2:
        raise ImageFileError(
            path,
            found=f"an array of shape {plane.shape}",
            required="one plane (height, width)",
            remedy="Export one grey-level file a channel.",
        )
    if plane.dtype.kind not in "uif" or (plane.dtype.kind == "f" and not np.isfinite(plane).all()):
        bad = "NaN or infinite pixels" if plane.dtype.kind == "f" else f"pixels of type {plane.dtype}"
        raise ImageFileError(path, found=bad, required="finite numbers", remedy="Export the image again.")
    if plane.min() == plane.max():
        raise ImageFileError(
            path,
            found=f"a constant channel (every pixel is {plane.flat[0]})",
            required="an exposed channel",
            remedy="Check the exposure; the field is left out.",
        )
    return plane


def _decode(path: Path) -> np.ndarray:
    if path.suffix.lower() in (".tif", ".tiff"):
        import tifffile

        return np.asarray(tifffile.imread(path))
    import imageio.v3 as iio

    return np.asarray(iio.imread(path))


def read_field(screen: Screen, field: Field) -> np.ndarray:
    """All channels of a field, (C, H, W), in the spec's channel order.

    Raises:
        ImageFileError: a channel has no file or a bad one, or channels differ in shape.
    """
    root = screen.folder()
    missing = [name for name in screen.channels if name not in field.files]
    if missing:
        raise ImageFileError(
            next(iter(field.files.values())),
            found=f"no file for channel {', '.join(missing)} of field {field.field_id}",
            required=f"one file for each of {', '.join(screen.channels)}",
            remedy="Add the file, or correct channels.*.named in the spec.",
        )
    planes = [read_plane(root / field.files[name]) for name in screen.channels]
    shapes = {name: plane.shape for name, plane in zip(screen.channels, planes, strict=True)}
    if len(set(shapes.values())) > 1:
        raise ImageFileError(
            field.files[next(iter(screen.channels))],
            found=f"channels of different shapes {shapes}",
            required="one shape for all channels of a field",
            remedy="Export the channels of this field at one resolution.",
        )
    return np.stack(planes)


def content_hash(screen: Screen, field: Field) -> str:
    """Hash of the bytes of all files of a field: a changed file is noticed by content, not by its date."""
    digest = hashlib.blake2b(digest_size=16)
    for name, relative in field.files.items():
        digest.update(f"{name}\0{relative}\0".encode())
        digest.update((screen.folder() / relative).read_bytes())
    return digest.hexdigest()
