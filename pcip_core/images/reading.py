"""Reading and checking the pixels of a field. All problems with a file are raised as ImageFileError."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pcip_core.errors import ConstantError, ImageFileError
from pcip_core.images.decoding import decode, decode_file, require_in_root
from pcip_core.images.field import Field
from pcip_core.images.formats import HDF5
from pcip_core.images.inside import opened
from pcip_core.images.reference import Reference, Select, by_path
from pcip_core.spec.screen import Channel, Screen

_KINDS = "a signed or unsigned integer type of at most 32 bits, float32 or float64"
_PIECE = 1 << 20


class Planes(dict[str, np.ndarray]):
    """Channel name -> (H, W), in the order of the spec, with the field and the root of the screen."""

    def __init__(self, planes: Mapping[str, np.ndarray], field: Field, root: Path) -> None:
        super().__init__(planes)
        self.field, self.root = field, root

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W), the same for all channels."""
        height, width = next(iter(self.values())).shape
        return height, width


def read_plane(path: Path) -> np.ndarray:
    """Read the only plane of a file: (H, W), in the pixel type of the file.

    Raises:
        ImageFileError: the file is missing, truncated or cannot be decoded, its header exceeds the limits of
            `pcip_core.images.formats.limits`, it does not hold exactly one grey-level plane, or its pixels are NaN,
            infinite or constant.

    >>> import tempfile, tifffile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tifffile.imwrite(Path(folder) / "plane.tif", np.arange(12, dtype=np.uint16).reshape(3, 4))
    ...     plane = read_plane(Path(folder) / "plane.tif")
    >>> plane.shape, plane.dtype, plane.max()
    ((3, 4), dtype('uint16'), np.uint16(11))
    """
    (plane,) = decode_file([path], [{}], path.parent)
    check_plane(plane, str(path))
    return plane


def read_field(screen: Screen, field: Field) -> Planes:
    """Read all channels of a field; each file is decoded once.

    Args:
        screen: the spec.
        field: a field of this screen, from `scan`.

    Returns:
        Channel name -> (H, W), in the order of the spec and in the pixel type of the files.

    Raises:
        ImageFileError: the file of a channel is missing, unusable or outside the root, channels differ in shape or
            pixel type, or the field stands for a plate, a well or an archive that cannot be listed.

    >>> import tempfile, tifffile
    >>> from pcip_core.images.layout import scan
    >>> from pcip_core.spec.loading import load_screen
    >>> spec = '''
    ... name: example
    ... organism: yeast
    ... root: .
    ... files: {pattern: "{well}_{channel}.tif", image_id: "{well}"}
    ... channels: {cytosol: {role: structural}, protein: {role: protein}}
    ... shards: {buckets: 1}
    ... segmentation: {method: whole}
    ... crops: {window_px: null}
    ... '''
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "example.yaml").write_text(spec)
    ...     for channel in ("cytosol", "protein"):
    ...         tifffile.imwrite(Path(folder) / f"A01_{channel}.tif", np.arange(12, dtype=np.uint16).reshape(3, 4))
    ...     screen = load_screen(Path(folder) / "example.yaml")
    ...     planes = read_field(screen, scan(screen).fields[0])
    >>> list(planes), planes.shape, planes["protein"][0].tolist()
    (['cytosol', 'protein'], (3, 4), [0, 1, 2, 3])
    """
    if field.problem is not None:
        raise field.problem.with_traceback(None)
    missing = [name for name in screen.channels if name not in field.files]
    if missing:
        raise ImageFileError(
            next(iter(field.files.values()), field.field_id),
            found=f"no file for channel {', '.join(missing)} of field {field.field_id}",
            required=f"one file for each of {', '.join(screen.channels)}",
            remedy="Add the file, or correct channels.*.named in the spec.",
        )
    root = screen.folder()
    references = {name: Reference.parse(field.files[name]) for name in screen.channels}
    planes = decode(references, screen.channels, root)
    for name, channel in screen.channels.items():
        check_plane(planes[name], str(root / field.files[name]), labels=channel.role == "labels")
    _check_agreement(screen.channels, planes, field)
    return Planes({name: planes[name] for name in screen.channels}, field, root)


def check_plane(plane: np.ndarray, where: str, *, labels: bool = False) -> None:
    """Raise unless an array is one plane of finite, varying numbers, or a label image of non-negative integers.

    Args:
        plane: the decoded pixels.
        where: the file, for the error.
        labels: the plane is a label image, which may be empty.

    Raises:
        ImageFileError: the plane is unusable.
        ConstantError: all of its pixels are equal.
    """
    if plane.ndim != 2 or min(plane.shape) < 2:
        raise ImageFileError(
            where,
            found=f"an array of shape {plane.shape}",
            required="one plane (height, width)",
            remedy="Export one grey-level file per channel.",
        )
    bits = labels and plane.dtype == bool
    if (plane.dtype.kind not in "uif" and not bits) or (
        plane.dtype.kind != "f" and plane.dtype.itemsize > 4 and not labels
    ):
        raise ImageFileError(
            where,
            found=f"pixels of type {plane.dtype}",
            required=_KINDS,
            remedy="Export the image with its original bit depth.",
        )
    if plane.dtype.kind == "f" and not np.isfinite([plane.min(), plane.max()]).all():  # without a copy
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
                found="negative or fractional numbers in a label image",
                required="0 for background and a positive integer for each object",
                remedy="Export the label image, not probabilities.",
            )
    elif is_constant(plane):
        raise ConstantError(
            where,
            found=f"a constant channel (every pixel is {plane.flat[0]})",
            required="an exposed channel",
            remedy="Check the exposure. The field is not used.",
        )


def is_constant(plane: np.ndarray) -> bool:
    """Whether all pixels have the same value."""
    return bool(
        (plane[0] == plane[0, 0]).all() and plane.min() == plane.max()
    )  # the first row nearly always varies


def _check_agreement(channels: Mapping[str, Channel], planes: Mapping[str, np.ndarray], field: Field) -> None:
    """Raise unless all channels have one shape, and one pixel type where the spec gives none."""

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
            "Export the field again. If the channels differ on purpose, give the `dtype` of each in the spec.",
        )


def content_hash(screen: Screen, field: Field) -> str:
    """Hash the contents of the files of a field; a new date alone does not change the hash.

    Files are hashed in full. Of an OME-Zarr plate, only the files of this image are hashed; of an archive of
    cells, only this row.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path, selects in by_path(field.files).items():
        references = {name: str(Reference(path, select)) for name, select in selects.items()}
        digest.update(f"{references}\0".encode())
        try:
            file = screen.folder() / path
            if path.endswith("/"):
                continue  # a folder that is not read
            if field.problem is None:
                require_in_root(screen.folder(), file)
            _hash_into(digest, file, next(iter(selects.values())))
        except Exception as error:  # a damaged file; reading its pixels reports the damage
            digest.update(type(error).__name__.encode())
    return digest.hexdigest()


def _hash_into(digest: hashlib.blake2b, path: Path, select: Select) -> None:
    if path.is_dir():
        from pcip_core.images.formats.ngff import files_of

        for file in files_of(path):
            digest.update(f"{file.relative_to(path).as_posix()}\0".encode())
            _hash_file(digest, file)
    elif path.name.lower().endswith(HDF5) and "row" in select:
        from pcip_core.images.formats.hdf5.cell_archive import cell

        digest.update(cell(path, int(select["row"])).tobytes())
    elif "scene" in select or "t" in select:  # further fields are in this file
        status = path.stat()
        digest.update(_digest_of(path, status.st_mtime_ns, status.st_size))
    else:
        _hash_file(digest, path)


@functools.lru_cache(maxsize=64)
def _digest_of(path: Path, mtime_ns: int, size: int) -> bytes:
    """The hash of a file. `mtime_ns` and `size` invalidate the cache when the file changes."""
    digest = hashlib.blake2b(digest_size=16)
    _hash_file(digest, path)
    return digest.digest()


def _hash_file(digest: hashlib.blake2b, path: Path) -> None:
    with opened(path) as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
