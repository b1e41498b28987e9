"""The index of a Harmony export (`Index.xml`), read as a stream, so that its size does not matter.

The XML namespace, which differs by version, is ignored.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar
from xml.parsers import expat

from pcip_core.errors import ImageFileError
from pcip_core.images.layouts.exports.markup import feed

MAX_DEPTH = 50  # elements within elements
MAX_CHANNELS = 1_000
MAX_IMAGES = 5_000_000  # of one measurement
MAX_TEXT = 1_000  # characters of a name
MAX_PROFILE = 100_000  # characters of an illumination profile
LONGEST_PLATE = 150  # characters; the name is part of ids and of the names of folders


@dataclass
class Index:
    """The index of a plate: its name, its channels, number -> name, and the names of its images."""

    plate: str | None = None
    channels: dict[str, str] = field(default_factory=dict)
    images: set[str] = field(default_factory=set)


def read_index(path: Path, image: Callable[[str, Mapping[str, str]], None] | None = None) -> Index:
    """Read the name of the plate, and the names of its channels and images.

    Args:
        path: the index.
        image: called with the name of each image and the texts of the elements Row, Col, FieldID, PlaneID, ChannelID.

    Raises:
        ImageFileError: the index is incomplete, damaged, or exceeds the limits of this module.
    """
    reader = _Reader(image)
    _parse(path, reader)
    return reader.index


def read_profiles(path: Path) -> dict[str, str]:
    """Read the illumination profiles: number of the channel -> text of its FlatfieldProfile.

    Reading ends with the element Maps, which precedes the images.

    Raises:
        ImageFileError: the index is incomplete, damaged, or exceeds the limits of this module.
    """
    reader = _ProfileReader()
    with contextlib.suppress(_Complete):
        _parse(path, reader)
    return reader.profiles


def _parse(path: Path, reader: _Reader) -> None:
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.buffer_text = True
    try:
        feed(path, parser)
    except (expat.ExpatError, OSError, ValueError, LookupError) as error:
        raise ImageFileError(
            path,
            found=f"an index that cannot be read ({error})",
            required="a complete Index.xml",
            remedy="Wait until the plate is copied, or copy its index again. Or leave it out: "
            f'`exclude: ["{path.name}"]` in files of the spec; pcip then uses the names of the images.',
        ) from error


class _Reader:
    """The handlers of the parser. An element is known by its name and that of its parent."""

    _texts: ClassVar[dict[str, int]] = dict.fromkeys(  # elements whose text is kept -> its most characters
        ("Name", "PlateID", "ChannelID", "ChannelName", "URL", "Row", "Col", "FieldID", "PlaneID"), MAX_TEXT
    )

    def __init__(self, image: Callable[[str, Mapping[str, str]], None] | None = None) -> None:
        self.index = Index()
        self._image = image
        self._open: list[str] = []
        self._values: list[dict[str, str]] = []  # child -> its text, for each open element

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._open) == MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} elements within each other")
        self._open.append(tag.rpartition(":")[2])
        number = attributes.get("ChannelID") if self._open[-1] == "Entry" else None
        self._values.append({} if number is None else {"ChannelID": number})

    def text(self, text: str) -> None:
        tag = self._open[-1]
        if len(self._open) > 1 and (most := self._texts.get(tag)):
            values = self._values[-2]
            values[tag] = values.get(tag, "") + text
            if len(values[tag]) > most:
                raise ValueError(f"a {tag} of more than {most} characters")

    def end(self, _: str) -> None:
        tag = self._open.pop()
        values = {name: text.strip() for name, text in self._values.pop().items()}
        if tag == "Plate" and self.index.plate is None:
            self.index.plate = values.get("Name") or values.get("PlateID") or None
            if len(self.index.plate or "") > LONGEST_PLATE or not (self.index.plate or "").isprintable():
                raise ValueError(f"the plate's name {self.index.plate!r:.60}")
        if tag == "Image" and (name := values.get("URL", "").replace("\\", "/").rpartition("/")[2]):
            self.index.images.add(name)
            if len(self.index.images) > MAX_IMAGES:
                raise ValueError(f"more than {MAX_IMAGES:,} images")
            if self._image is not None:
                self._image(name, values)
        if tag in ("Image", "Entry") and values.get("ChannelID") and values.get("ChannelName"):
            self.index.channels.setdefault(values["ChannelID"], values["ChannelName"])
            if len(self.index.channels) > MAX_CHANNELS:
                raise ValueError(f"more than {MAX_CHANNELS} channels")


class _ProfileReader(_Reader):
    """Keeps the illumination profile of each channel, and ends with the element Maps."""

    _texts: ClassVar[dict[str, int]] = {"FlatfieldProfile": MAX_PROFILE}

    def __init__(self) -> None:
        super().__init__()
        self.profiles: dict[str, str] = {}

    def end(self, _: str) -> None:
        tag = self._open.pop()
        values = self._values.pop()
        if tag == "Entry" and "ChannelID" in values and "FlatfieldProfile" in values:
            self.profiles.setdefault(values["ChannelID"].strip(), values["FlatfieldProfile"])
            if len(self.profiles) > MAX_CHANNELS:
                raise ValueError(f"more than {MAX_CHANNELS} channels")
        if tag == "Maps" and self.profiles:
            raise _Complete


class _Complete(Exception):
    """Everything that is wanted has been read."""
