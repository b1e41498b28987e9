"""Illumination profiles that the user gives as images, one per channel and, for example, plate."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from pcip_core.errors import ImageFileError
from pcip_core.images.field import Field
from pcip_core.images.formats import decoder
from pcip_core.images.formats.npy import read_array
from pcip_core.images.illumination.profile import Profile
from pcip_core.images.inside import require_inside
from pcip_core.images.layouts.grouping import filled


def given_path(root: Path, template: str, field: Field, channel: str) -> Path:
    """The image of a channel of a field.

    Raises:
        SpecError: the template names a part that the field does not have.
        ImageFileError: the path leads out of the root.
    """
    path = root / filled(template, {**field.parts, "channel": channel}, "illumination.images")
    require_inside(root, path)
    return path


def given_profile(path: Path, offset: float) -> Profile:
    """The profile in an image, scaled to a mean of 1.

    Args:
        path: a plane in a format of the screen's images, or a NumPy file (`.npy`).
        offset: grey level of the camera without light.

    Raises:
        ImageFileError: there is no such file, or it is not one plane of positive finite numbers.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise _refused(path, "no such file") from error
    return _profile(path, stat.st_mtime_ns, stat.st_size, offset)


@lru_cache(maxsize=6)
def _profile(path: Path, modified: int, size: int, offset: float) -> Profile:
    """The profile in an image in the state that its date and its size identify."""
    return Profile(_gain(path), level=offset, source=str(path))


def _gain(path: Path) -> np.ndarray:
    """The image divided by its mean: (H, W) float32."""
    try:
        plane = (
            read_array(path) if path.suffix.lower() == ".npy" else np.squeeze(decoder(path)(path, [{}])[0])
        )
    except ImageFileError:
        raise
    except Exception as error:  # decoders raise any kind of exception on damaged files
        raise _refused(path, f"an image that cannot be decoded ({error})") from error
    if plane.ndim != 2 or plane.dtype.kind not in "uif":
        raise _refused(path, f"an array of shape {plane.shape} and type {plane.dtype}")
    if not plane.size:
        raise _refused(path, f"an array of shape {plane.shape}")
    if not (np.isfinite([plane.min(), plane.max()]).all() and plane.min() > 0):
        raise _refused(path, f"values from {plane.min()} to {plane.max()}")
    gain = (plane / np.float64(plane.max())).astype(np.float32)  # values of any size
    gain /= gain.mean(dtype=np.float64)
    gain.flags.writeable = False
    return gain


def _refused(path: Path, found: str) -> ImageFileError:
    return ImageFileError(
        path,
        found=found,
        required="the illumination of a channel: one plane of positive numbers",
        remedy="Correct illumination.images in the spec, or add the image.",
    )
