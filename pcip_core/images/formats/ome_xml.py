"""The images that the OME-XML of a TIFF describes, and the page of each of their planes.

A file may hold several images (scenes), and its metadata may describe planes in other files.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from xml.etree import ElementTree

from pcip_core.errors import ImageFileError

MAX_PLANES, MAX_OME_XML = 10_000, 1 << 24  # of one file; characters
_COMBINE = "Save all planes of the image in one OME-TIFF; files of one plane each are read by layout pattern."


@dataclass(frozen=True)
class OmeImage:
    """One image of a file.

    Attributes:
        names: names of the channels.
        sizes: number of time points, focal planes and channels, and height and width.
        samples: values per pixel; they are channels that lie in one page.
        pages: page of each plane, in the order time point, focal plane, channel; None for one that is missing.
    """

    names: list[str]
    sizes: tuple[int, int, int, int, int]
    samples: int
    pages: list[int | None]


def ome_images(path: object, xml: str, n_pages: int) -> list[OmeImage]:
    """The images whose planes lie in this file, in the order of the metadata.

    Args:
        path: the file, for errors. Its name tells which planes are its own.
        xml: the OME-XML.
        n_pages: number of pages of the file.

    Raises:
        ImageFileError: the metadata is in another file, describes only planes in other files or an image that is
            distributed over several files, or promises too many planes.
        ElementTree.ParseError: the metadata is not XML.
    """
    if len(xml) > MAX_OME_XML:
        raise _too_many(path)
    root = ElementTree.fromstring(xml)
    if any(_tag(child) == "BinaryOnly" for child in root):
        raise ImageFileError(
            path, found="metadata in another file (BinaryOnly)", required="all in one file", remedy=_COMBINE
        )
    uuids = {uuid.text for uuid in root.iter() if _tag(uuid) == "UUID"}
    own = {root.get("UUID"), *(uuids if len(uuids) == 1 else ())}
    images, elsewhere = [], ""
    for element in root:
        pixels = next((child for child in element if _tag(child) == "Pixels"), None)
        if _tag(element) != "Image" or pixels is None:
            continue
        data = [child for child in pixels if _tag(child) == "TiffData"]
        foreign = [name for child in data if (name := _other_file(str(path), child, own))]
        elsewhere = elsewhere or next(iter(foreign), "")
        if foreign and len(foreign) < len(data):
            raise _distributed(path, foreign[0])
        if not foreign and data:
            images.append(_image(path, pixels, data, n_pages))
    if not images and elsewhere:
        raise _distributed(path, elsewhere)
    return images


def _image(
    path: object, pixels: ElementTree.Element, data: list[ElementTree.Element], n_pages: int
) -> OmeImage:
    channels = [child for child in pixels if _tag(child) == "Channel"]
    samples = int(channels[0].get("SamplesPerPixel", 1)) if channels else 1
    size = {axis: int(pixels.get(f"Size{axis}", 1)) for axis in "XYZCT"}
    size["C"] = max(1, size["C"] // max(1, samples))
    order = pixels.get("DimensionOrder", "XYCZT")[2:]  # the first axis varies fastest
    count = prod(size[axis] for axis in "ZCT")
    if not 1 <= count <= MAX_PLANES or sorted(order) != ["C", "T", "Z"]:
        raise _too_many(path)
    pages: list[int | None] = [None] * count
    for element in data:
        number = {name: int(text) for name, text in element.attrib.items() if text.isdecimal()}
        first = number.get("IFD", 0)
        planes = number.get("PlaneCount", number.get("NumPlanes", int("IFD" in number))) or n_pages
        if planes > MAX_PLANES:
            raise _too_many(path)
        start, step = 0, 1
        for axis in order:
            start, step = start + step * number.get(f"First{axis}", 0), step * size[axis]
        for place in range(start, min(start + planes, count)):
            if first + place - start < n_pages:
                pages[_in_order(place, order, size)] = first + place - start
    names = [channel.get("Name") or channel.get("ID") or "" for channel in channels]
    return OmeImage(names, (size["T"], size["Z"], size["C"], size["Y"], size["X"]), samples, pages)


def _in_order(place: int, order: str, size: dict[str, int]) -> int:
    """The place of a plane in the order time point, focal plane, channel."""
    at = {}
    for axis in order:
        place, at[axis] = divmod(place, size[axis])
    return (at["T"] * size["Z"] + at["Z"]) * size["C"] + at["C"]


def _other_file(path: str, data: ElementTree.Element, own: set[str | None]) -> str:
    """The name of the file that holds a plane, or an empty text if it is this one."""
    uuid = next((child for child in data if _tag(child) == "UUID"), None)
    if uuid is None or uuid.text in own:
        return ""
    name = uuid.get("FileName", "") or "another file"
    return "" if name.lower() == path.replace("\\", "/").rpartition("/")[2].lower() else name


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _distributed(path: object, name: str) -> ImageFileError:
    found = f"metadata that place planes in another file ({name:.100})"
    return ImageFileError(path, found=found, required="all planes of an image in one file", remedy=_COMBINE)


def _too_many(path: object) -> ImageFileError:
    return ImageFileError(
        path,
        found=f"metadata that promise over {MAX_PLANES:,} planes",
        required="a file that holds the planes of its metadata",
        remedy="Export the image again.",
    )
