"""Exports of CellVoyager CV7000 and CV8000 (Yokogawa): <plate>_B03_T0001F001L01A01Z01C01.tif.

MeasurementData.mlf lists the images, MeasurementDetail.mrf names the plate and the file (.mes) that names the channels'
filters and dyes; without them, the names of the images are used. Further parts: timeline (L) and action (A), which
differs between the channels of a field. The spec names channels C01, 01 or 1, or by filter or dye.
"""

from __future__ import annotations

import re
from pathlib import Path

from pcip_core.files import composed
from pcip_core.images.field import Field
from pcip_core.images.inside import Tree, is_plain, require_inside
from pcip_core.images.layouts.exports.export import (
    Measurement,
    Plane,
    named_plate,
    place_of,
    require_agreement,
    row_number,
    scan_export,
)
from pcip_core.images.layouts.exports.markup import End, Start, read_markup
from pcip_core.spec.screen import Screen
from pcip_core.words import many

MAX_IMAGES = 5_000_000  # of one measurement
NAME = re.compile(
    r"(?P<plate>.+)_(?P<row>[A-Z]{1,2})(?P<column>\d{2,3})_T(?P<time>\d+)F(?P<field>\d+)L(?P<timeline>\d+)"
    r"A(?P<action>\d+)Z(?P<plane>\d+)C(?P<channel>\d+)\.(?:tiff?|png)",
    re.IGNORECASE | re.DOTALL,
)
_LIST, _DETAIL = "measurementdata.mlf", "measurementdetail.mrf"
_NUMBERS = {
    "field": "FieldIndex",
    "plane": "ZIndex",
    "time": "TimePoint",
    "timeline": "TimelineIndex",
    "action": "ActionIndex",
}


def scan_cv8000(screen: Screen, tree: Tree) -> tuple[list[Field], list[str]]:
    """Find the fields of all measurements, each of which is one folder."""
    return scan_export(screen, tree, str, CellVoyager)


class CellVoyager(Measurement):
    """One measurement: its images, and what its lists say of them."""

    def __init__(self, tree: Tree, paths: list[str]) -> None:
        self.plate: str | None = None
        self.listed: dict[str, Plane] = {}
        self.lists: list[str] = []
        self._path = tree.root
        self._names: dict[str, list[str]] = {}  # of the filters and dyes of a channel
        self._setting = ""
        self._record: dict[str, str] = {}
        self._errors: list[str] = []
        files = {path.rpartition("/")[2].lower(): path for path in paths}
        for name, start, end in (
            (_DETAIL, self._start_detail, _ignored),
            (_LIST, self._start_list, self._end_list),
        ):
            if name in files:
                self._read(tree.root, files[name], start, end)
        if self._setting.lower() in files:
            self._read(tree.root, files[self._setting.lower()], self._start_setting, _ignored)
        if self._errors:
            shown = ", ".join(self._errors[:3])
            tree.notes.append(
                f"{files[_LIST]}: {many(len(self._errors), 'error')} of the microscope: {shown}"
            )
        numbers = {*self._names, *(plane.channel for plane in self.listed.values()), *map(str, range(1, 100))}
        self.channels = {
            number: [f"C{number:0>2}", f"{number:0>2}", number, f"ch{number}", *self._names.get(number, [])]
            for number in numbers
        }

    def plane(self, name: str, inside: str) -> Plane | None:
        match = NAME.fullmatch(name)
        listed = self.listed.get(composed(name))
        return listed if listed is not None or match is None else _plane_of(match)

    def _read(self, root: Path, path: str, start: Start, end: End) -> None:
        require_inside(root, root / path)
        self._path = root / path
        read_markup(self._path, start, end)
        self.lists.append(path)

    def _start_detail(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "MeasurementDetail":
            self._setting = attributes.get("MeasurementSettingFileName", "")
        if tag == "MeasurementSamplePlate" and self.plate is None:
            self.plate = named_plate(attributes.get("Name", ""))

    def _start_setting(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "Channel" and attributes.get("Ch", "").isdecimal() and len(self._names) < 1_000:
            names = [attributes.get(key, "") for key in ("Fluorophore", "Acquisition")]
            self._names[str(int(attributes["Ch"]))] = [name[:200] for name in names if name]

    def _start_list(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "MeasurementRecord":
            self._record = attributes

    def _end_list(self, tag: str, text: str) -> None:
        if tag != "MeasurementRecord":
            return
        if self._record.get("Type", "IMG") != "IMG":
            if len(self._errors) < 1_000:
                self._errors.append(text[:200])
            return
        if not is_plain(text) or "/" in text:
            raise ValueError(f"the image {text[:60]!r}")
        if len(self.listed) >= MAX_IMAGES:
            raise ValueError(f"more than {MAX_IMAGES:,} images")
        keys = {name: self._record.get(key, "1") for name, key in _NUMBERS.items()}
        row, column, channel = (self._record.get(key, "") for key in ("Row", "Column", "Ch"))
        if not all(value.isdecimal() and len(value) < 8 for value in (*keys.values(), row, column, channel)):
            raise ValueError(f"the image {text[:60]} without a number for its well, field or channel")
        numbers = {name: str(int(value)) for name, value in keys.items()}
        match = NAME.fullmatch(text)
        place = place_of(int(row), int(column))
        plane = Plane(str(int(channel)), place | numbers, match["plate"] if match else None)
        if match is not None:
            named = _plane_of(match)
            parts = ("well", "field", "plane", "time")
            require_agreement(
                self._path,
                text,
                plane,
                {**{part: named.parts[part] for part in parts}, "channel": named.channel},
            )
        self.listed[composed(text)] = plane


def _plane_of(match: re.Match[str]) -> Plane:
    """What the name of an image says."""
    numbers = {part: str(int(match[part])) for part in _NUMBERS}
    place = place_of(row_number(match["row"]), int(match["column"]))
    return Plane(str(int(match["channel"])), place | numbers, match["plate"])


def _ignored(tag: str, text: str) -> None:
    """Nothing: the element has attributes only."""
