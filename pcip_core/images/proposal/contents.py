"""What single files hold, from their headers: channels, focal planes, times, colours, and the size of a pixel."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from PIL import Image

from pcip_core.errors import ImageFileError, PcipError
from pcip_core.images.formats import HDF5, PICTURES, VENDOR, unreadable_header
from pcip_core.images.formats.images import FileImage
from pcip_core.images.formats.ngff import group_metadata, times_and_depth
from pcip_core.images.formats.ome_xml import MAX_OME_XML

_SMALLEST, _GREATEST = 0.01, 3.0  # um per pixel that are believed; a camera without lenses has about 6
_UM = {
    "nm": 1e-3,
    "µm": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
}
_METAMORPH = re.compile(r'id="spatial-calibration-x"[^>]*value="([0-9.eE+-]+)"')
_IN_LISTS = (  # lists of exports: the size of a pixel, and its unit in um
    (re.compile(r'<ImageResolutionX[^>]*Unit="m"[^>]*>\s*([0-9.eE+-]+)'), 1e6),  # Harmony
    (re.compile(r'HorizontalPixelDimension="([0-9.eE+-]+)"'), 1.0),  # CellVoyager
    (re.compile(r'pixel_width="([0-9.eE+-]+)"'), 1.0),  # IN Cell
)
_HEAD = 1 << 21  # bytes of a list


@dataclass(frozen=True)
class Contents:
    """What a file holds.

    Attributes:
        kind: `plane`, `alpha` (grey levels with alpha), `rgb`, `channels` (several channels, or several
            images), or `archive` (HDF5).
        size: height and width of its first image, px.
        names: names of its channels, as far as it has them.
        channels, depth, times, scenes: their numbers.
        pixel_um: the size of a pixel in um, if the file tells.
    """

    kind: str
    size: tuple[int, int]
    names: tuple[str, ...] = ()
    channels: int = 1
    depth: int = 1
    times: int = 1
    scenes: int = 1
    labels: tuple[str, ...] = ()
    pixel_um: float | None = None


def contents_of(path: Path) -> Contents:
    """Read the header of a file, or the metadata of an OME-Zarr image.

    Raises:
        ImageFileError: it cannot be read.
        MissingPackageError: the reader of its format is not installed.
    """
    lower = path.name.lower()
    try:
        if path.is_dir():
            return _of_zarr(path)
        if lower.endswith(HDF5):
            return _of_hdf5(path)
        if lower.endswith(VENDOR):
            return _of_vendor(path)
        if lower.endswith(PICTURES):
            return _of_picture(path)
        return _of_tiff(path)
    except PcipError:
        raise
    except Exception as error:  # decoders raise any kind of exception on damaged files
        raise unreadable_header(path, error) from error


def pixel_um_of_lists(root: Path, paths: Iterable[str]) -> float | None:
    """The size of a pixel in the lists of an export (Index.xml, .mrf, .xdce), um."""
    for path in paths:
        if not path.lower().endswith((".xml", ".mrf", ".xdce")):
            continue
        try:
            with (root / path).open("rb") as stream:
                text = stream.read(_HEAD).decode("utf-8", errors="replace")
        except OSError:
            continue
        for pattern, unit in _IN_LISTS:
            match = pattern.search(text)
            if match and (size := _believed(match[1], unit)) is not None:
                return size
    return None


def _believed(text: object, unit: float = 1.0) -> float | None:
    try:
        size = float(str(text)) * unit
    except ValueError:
        return None
    return size if _SMALLEST <= size <= _GREATEST else None


def _of_images(
    images: list[FileImage], size: tuple[int, int], *, rgb: bool, pixel_um: float | None
) -> Contents:
    first = images[0]
    channels = first.extent.channels
    several = channels > first.samples or len(images) > 1
    kind = "rgb" if rgb and not several else "channels" if several or channels > 1 else "plane"
    return Contents(
        kind,
        size,
        tuple(first.names) if len(first.names) == channels else (),
        channels,
        first.extent.depth,
        first.extent.times,
        len(images),
        (),
        pixel_um,
    )


def _of_tiff(path: Path) -> Contents:
    from pcip_core.images.formats.tiff import opened_tiff
    from pcip_core.images.formats.tiff_images import images_of

    with path.open("rb") as stream:
        head = stream.read(8)
    if head.startswith((b"\x89PNG", b"\xff\xd8\xff")):
        return _of_picture(path)
    with opened_tiff(path) as tiff:
        images = images_of(path, tiff, channels=True)
        page: Any = tiff.pages.first
        rgb = page.samplesperpixel == 3 or page.photometric == 2
        return _of_images(
            images, (page.imagelength, page.imagewidth), rgb=rgb, pixel_um=_pixel_um(tiff, page)
        )


def _pixel_um(tiff: Any, page: Any) -> float | None:
    """The size of a pixel, from OME-XML, MetaMorph or ImageJ."""
    text = str(page.description or "")
    if tiff.is_ome and len(text) <= MAX_OME_XML:
        for element in ElementTree.fromstring(text).iter():
            if element.tag.rpartition("}")[2] == "Pixels" and element.get("PhysicalSizeX"):
                unit = _UM.get(element.get("PhysicalSizeXUnit", "µm"), 0.0)
                return _believed(element.get("PhysicalSizeX"), unit)
    if match := _METAMORPH.search(text):
        return _believed(match[1])
    tag = page.tags.get("XResolution")
    if tag is None or not isinstance(tag.value, tuple) or not tag.value[0]:
        return None
    per_unit = tag.value[0] / max(tag.value[1], 1)
    if not tiff.is_imagej:
        return None  # dots per inch of a printer, or the pitch of the camera
    name = str((tiff.imagej_metadata or {}).get("unit", "")).replace("\\u00B5", "µ")
    return _believed(1 / per_unit, _UM.get(name, 0.0))


def _of_picture(path: Path) -> Contents:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path, formats=("PNG", "JPEG")) as picture:
            width, height = picture.size
            kind = {"RGB": "rgb", "LA": "alpha", "RGBA": "alpha"}.get(picture.mode, "plane")
            return Contents(kind, (height, width))


def _of_vendor(path: Path) -> Contents:
    from pcip_core.images.formats.vendor import opened_images

    with opened_images(path) as images:
        height, width = images[0].extent.shape[-2:]
        found = _of_images(images, (height, width), rgb=False, pixel_um=None)
        return Contents(
            "channels", found.size, found.names, found.channels, found.depth, found.times, found.scenes
        )


def _of_hdf5(path: Path) -> Contents:
    import h5py

    with h5py.File(path, "r") as file:
        if "data1" in file:
            return Contents("archive", (64, 64), channels=2)
        for item in file.values():
            if isinstance(item, h5py.Dataset) and len(item.shape) >= 2:
                return Contents("plane", (item.shape[-2], item.shape[-1]))
    raise ImageFileError(
        path, found="an HDF5 file without images", required="an image", remedy="Export the images as TIFF."
    )


def _of_zarr(path: Path) -> Contents:
    metadata = group_metadata(path)
    multiscale = metadata["multiscales"][0]
    level = multiscale["datasets"][0]
    file = path / level["path"] / "zarr.json"
    shape = json.loads((file if file.is_file() else file.with_name(".zarray")).read_text())["shape"]
    axes = [
        axis["name"] if isinstance(axis, dict) else str(axis) for axis in multiscale.get("axes") or "tczyx"
    ]
    sizes = dict(zip(reversed(axes), reversed(shape), strict=False))
    names = [str(each.get("label") or "") for each in metadata.get("omero", {}).get("channels", [])]
    count = sizes.get("c", 1)
    times, depth = times_and_depth(path)
    usable = len(names) == count and all(names) and len(set(names)) == count
    return Contents(
        "channels",
        (sizes["y"], sizes["x"]),
        tuple(names) if usable else (),
        count,
        depth,
        times,
        labels=_labels_of_zarr(path),
        pixel_um=_pixel_um_of_zarr(multiscale, level, axes),
    )


def _labels_of_zarr(path: Path) -> tuple[str, ...]:
    try:
        return tuple(str(name) for name in group_metadata(path / "labels").get("labels", []))
    except ImageFileError:
        return ()


def _pixel_um_of_zarr(multiscale: dict[str, Any], level: dict[str, Any], axes: list[str]) -> float | None:
    axis = next(
        (each for each in multiscale.get("axes", []) if isinstance(each, dict) and each["name"] == "x"), {}
    )
    for change in level.get("coordinateTransformations", []):
        if change.get("type") == "scale" and "unit" in axis:
            unit = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3}.get(axis["unit"], 0.0)
            return _believed(change["scale"][axes.index("x")], unit)
    return None
