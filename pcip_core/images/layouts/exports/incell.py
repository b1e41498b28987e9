"""Exports of IN Cell Analyzer: A - 01(fld 1 wv UV - DAPI z 3 time 2 - 2636ms).tif, A_01_f1_c1_xUV_mDAPI_z3_t2.tif.

Focal plane and time are left out of the names if there is one. The plate is named by its folder. A .xdce file gives
the parts of images with other names. The spec names channels as in the names of the files (UV - DAPI), or by one of the
two filters, if no other channel has it.
"""

from __future__ import annotations

import re
from pathlib import Path

from pcip_core.files import composed
from pcip_core.images.field import Field
from pcip_core.images.inside import Tree, require_inside
from pcip_core.images.layouts.exports.export import (
    Measurement,
    Plane,
    place_of,
    require_agreement,
    row_number,
    scan_export,
)
from pcip_core.images.layouts.exports.markup import read_markup
from pcip_core.spec.screen import Screen

MAX_IMAGES = 5_000_000  # of one measurement
NAME = re.compile(
    r"(?:(?P<plate>.+)_)?(?P<row>[A-Z]{1,2}) ?- ?(?P<column>\d{1,3}) ?\(fld ?(?P<field>\d+)(?: wv (?P<channel>.+?))?"
    r"(?:(?: -)? z ?(?P<plane>\d+))?(?:(?: -)? time ?(?P<time>\d+)(?: - \d+ ?ms)?)?\)\.tiff?",
    re.IGNORECASE | re.DOTALL,
)
LONG = re.compile(
    r"(?:(?P<plate>.+)_)?(?P<row>[A-Z]{1,2})_(?P<column>\d{1,3})_f(?P<field>\d+)_c\d+_x(?P<excitation>.+)"
    r"_m(?P<emission>.+)_z(?P<plane>\d+)_t(?P<time>\d+)\.tiff?",
    re.IGNORECASE | re.DOTALL,
)
_WELL = re.compile(r"([A-Za-z]{1,2}) ?- ?(\d{1,3})")
_INDICES = {"field": "field_index", "plane": "z_index", "time": "time_index"}


def scan_incell(screen: Screen, tree: Tree) -> tuple[list[Field], list[str]]:
    """Find the fields of all measurements, each of which is one folder."""
    return scan_export(screen, tree, str, InCell)


class InCell(Measurement):
    """One measurement: its images, and what its .xdce file says of them."""

    def __init__(self, tree: Tree, paths: list[str]) -> None:
        self.plate = None
        self.listed: dict[str, Plane] = {}
        self.channels: dict[str, list[str]] = {}
        self._waves: dict[str, dict[str, str]] = {}  # index -> kind of filter -> its name
        self._wave = ""
        self._image: dict[str, str] = {}
        self.lists = [path for path in paths if path.lower().endswith(".xdce")]
        self._list_of: dict[str, Path] = {}  # name of an image -> the list that names it
        for path in self.lists:
            require_inside(tree.root, tree.root / path)
            self._path = tree.root / path
            read_markup(self._path, self._start, self._end)
        kinds = ("ExcitationFilter", "EmissionFilter")
        names = {
            index: " - ".join(filters[kind] for kind in kinds if filters.get(kind))
            for index, filters in self._waves.items()
        }
        self.listed = {
            name: Plane(names.get(plane.channel) or plane.channel, plane.parts)
            for name, plane in self.listed.items()
        }
        for name in {*names.values(), *(plane.channel for plane in self.listed.values())}:
            self._know(name)
        for path in paths:  # the channels of a name are known by all names
            self.plane(path.rpartition("/")[2], "")

    def plane(self, name: str, inside: str) -> Plane | None:
        match = NAME.fullmatch(name)
        if match is not None:
            channel = match["channel"]
        elif (match := LONG.fullmatch(name)) is not None:
            channel = f"{match['excitation']} - {match['emission']}"
        else:
            return self.listed.get(composed(name))
        place = place_of(row_number(match["row"]), int(match["column"]))
        numbers = {part: str(int(match[part])) for part in _INDICES if match[part]}
        if (listed := self.listed.get(composed(name))) is not None:
            named = {"well": place["well"], **numbers}
            if channel in self.channels:  # names of files lack some characters of the names of filters
                named["channel"] = channel
            require_agreement(self._list_of[composed(name)], name, listed, named)
        self._know(channel or "1")
        return Plane(channel or "1", place | dict.fromkeys(_INDICES, "1") | numbers, match["plate"])

    def _know(self, channel: str) -> None:
        if channel not in self.channels:
            self.channels[channel] = [channel, *channel.split(" - ")]

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "Wavelength":
            self._wave = attributes.get("index", "")
        elif tag in ("ExcitationFilter", "EmissionFilter") and not self._image and len(self._waves) < 1_000:
            self._waves.setdefault(self._wave, {})[tag] = attributes.get("name", "")[:200]
        elif tag == "Image":
            path = attributes.get("filename", "").replace("\\", "/")
            self._image = {"name": composed(path.rpartition("/")[2])}
        elif tag == "Well" and self._image and (match := _WELL.fullmatch(attributes.get("label", ""))):
            self._image |= {"Row": str(row_number(match[1])), "Column": match[2]}
        elif tag in ("Row", "Column") and self._image:
            self._image[tag] = attributes.get("number", "")
        elif tag == "Identifier" and self._image:
            self._image |= attributes

    def _end(self, tag: str, _: str) -> None:
        if tag != "Image":
            return
        image, self._image = self._image, {}
        numbers = {part: image.get(key, "0") for part, key in _INDICES.items()}
        row, column, wave = image.get("Row", ""), image.get("Column", ""), image.get("wave_index", "0")
        if not all(value.isdecimal() and len(value) < 8 for value in (*numbers.values(), row, column, wave)):
            raise ValueError(
                f"the image {image['name'][:60]} without a number for its well, field or channel"
            )
        if len(self.listed) >= MAX_IMAGES:
            raise ValueError(f"more than {MAX_IMAGES:,} images")
        parts = place_of(int(row), int(column)) | {part: str(int(text) + 1) for part, text in numbers.items()}
        self.listed[image["name"]] = Plane(wave, parts)
        self._list_of[image["name"]] = self._path
