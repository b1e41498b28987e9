"""Pixels of a field, checked: every way in which a file can be bad ends in one ImageFileError."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pcip_core.errors import ImageFileError
from pcip_core.images.field import Field
from pcip_core.images.formats import HDF5, decoder
from pcip_core.images.reference import Reference, Select, by_path
from pcip_core.spec.screen import Channel, Screen

_KINDS = "uint8, uint16, uint32, their signed kin, float32 or float64"
_PIECE = 1 << 20


class Planes(dict[str, np.ndarray]):
    """Channel name -> (H, W), in the spec's order, and which field of which root they are of."""

    def __init__(self, planes: Mapping[str, np.ndarray], field: Field, root: Path) -> None:
        super().__init__(planes)
        self.field, self.root = field, root

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W), the same for all channels."""
        height, width = next(iter(self.values())).shape
        return height, width


def read_plane(path: Path) -> np.ndarray:
    """The only plane of a file, (H, W), in the file's own type.

    Raises:
        ImageFileError: missing, truncated or undecodable file, a header over the limits of
            `pcip_core.images.formats.limits`, not one grey plane, NaN or infinite pixels, or the same value
            everywhere.
    """
    (plane,) = _decoded(path, [{}])
    check_plane(plane, str(path))
    return plane


def read_field(screen: Screen, field: Field) -> Planes:
    """All channels of a field, each file decoded once.

    Raises:
        ImageFileError: a channel has no file or a bad one, or channels differ in shape or pixel type.
    """
    missing = [name for name in screen.channels if name not in field.files]
    if missing:
        raise ImageFileError(
            next(iter(field.files.values()), field.field_id),
            found=f"no file for channel {', '.join(missing)} of field {field.field_id}",
            required=f"one file for each of {', '.join(screen.channels)}",
            remedy="Add the file, or correct channels.*.named in the spec.",
        )
    root = screen.folder()
    planes: dict[str, np.ndarray] = {}
    for path, selects in by_path(field.files).items():
        decoded = _decoded(root / path, list(selects.values()))
        planes |= dict(zip(selects, decoded, strict=True))
    for name, channel in screen.channels.items():
        check_plane(planes[name], str(root / field.files[name]), labels=channel.role == "labels")
    _check_agreement(screen.channels, planes, field)
    return Planes({name: planes[name] for name in screen.channels}, field, root)


def _decoded(path: Path, selects: Sequence[Select]) -> list[np.ndarray]:
    """The planes of one file; whatever the decoder raises becomes an ImageFileError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            planes = decoder(path)(path, selects)
    except ImageFileError:
        raise
    except Exception as error:  # decoders raise whatever they like on damaged files
        raise ImageFileError(
            path,
            found=f"pixels that cannot be decoded ({type(error).__name__}: {error})",
            required="a whole TIFF, PNG or JPEG",
            remedy="Copy the file again from where it came.",
        ) from error
    return [np.squeeze(plane) for plane in planes]


def check_plane(plane: np.ndarray, where: str, *, labels: bool = False) -> None:
    """Refuse what is not one plane of usable numbers; label images may be empty, but hold whole numbers."""
    if plane.ndim != 2 or min(plane.shape) < 2:
        raise ImageFileError(
            where,
            found=f"an array of shape {plane.shape}",
            required="one plane (height, width)",
            remedy="Export one grey-level file a channel.",
        )
    if plane.dtype.kind not in "uif" or (plane.dtype.kind != "f" and plane.dtype.itemsize > 4 and not labels):
        raise ImageFileError(
            where,
            found=f"pixels of type {plane.dtype}",
            required=_KINDS,
            remedy="Export the image with its own bit depth.",
        )
    if plane.dtype.kind == "f" and not np.isfinite(plane).all():
        raise ImageFileError(
            where,
            found="NaN or infinite pixels",
            required="finite numbers",
            remedy="Export the image again.",
        )
    if labels:
        if plane.min() < 0 or (plane.dtype.kind == "f" and (plane != np.rint(plane)).any()):
            raise ImageFileError(
                where,
                found="negative or broken numbers in a label image",
                required="0 for background and a whole number for each object",
                remedy="Export the label image, not probabilities.",
            )
    elif is_constant(plane):
        raise ImageFileError(
            where,
            found=f"a constant channel (every pixel is {plane.flat[0]})",
            required="an exposed channel",
            remedy="Check the exposure; the field is left out.",
        )


def is_constant(plane: np.ndarray) -> bool:
    """Whether every pixel has the same value; the first row nearly always tells."""
    return bool((plane[0] == plane[0, 0]).all() and (plane == plane[0, 0]).all())


def _check_agreement(channels: Mapping[str, Channel], planes: Mapping[str, np.ndarray], field: Field) -> None:
    """One shape for all channels, one pixel type for all that the spec gives none."""

    def refuse(name: str, found: str, required: str, remedy: str) -> None:
        raise ImageFileError(field.files[name], found=found, required=required, remedy=remedy)

    first = next(iter(channels))
    shapes = {name: planes[name].shape for name in channels}
    if len(set(shapes.values())) > 1:
        refuse(
            first,
            f"channels of different shapes {shapes}",
            "one shape for all channels of a field",
            "Export the channels of this field at one resolution.",
        )
    for name, channel in channels.items():
        if channel.dtype is not None and planes[name].dtype != channel.dtype:
            refuse(name, f"pixels of type {planes[name].dtype}", channel.dtype, "Export the image again.")
    types = {
        name: str(planes[name].dtype)
        for name, channel in channels.items()
        if channel.dtype is None and channel.role != "labels"
    }
    if len(set(types.values())) > 1:
        refuse(
            next(iter(types)),
            f"channels of different bit depths {types}",
            "one pixel type for all channels of a field",
            "Export the field again; if the channels do differ, give each its `dtype` in the spec.",
        )


def content_hash(screen: Screen, field: Field) -> str:
    """Hash of all that a field's planes are made from: a changed file is noticed by content, not by its date.

    Files are hashed whole; of an OME-Zarr plate the files of this image, of an archive of cells this row.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path, selects in by_path(field.files).items():
        references = {name: str(Reference(path, select)) for name, select in selects.items()}
        digest.update(f"{references}\0".encode())
        try:
            _hash_into(digest, screen.folder() / path, next(iter(selects.values())))
        except Exception as error:  # the same damage that reading it will tell of
            digest.update(type(error).__name__.encode())
    return digest.hexdigest()


def _hash_into(digest: hashlib.blake2b, path: Path, select: Select) -> None:
    if path.is_dir():
        from pcip_core.images.formats.ngff import files_of

        for one in files_of(path):
            digest.update(f"{one.relative_to(path).as_posix()}\0".encode())
            _hash_file(digest, one)
    elif path.name.lower().endswith(HDF5) and "row" in select:
        from pcip_core.images.formats.cell_archive import cell

        digest.update(cell(path, int(select["row"])).tobytes())
    else:
        _hash_file(digest, path)


def _hash_file(digest: hashlib.blake2b, path: Path) -> None:
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
