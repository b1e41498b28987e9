"""Exports of ImageXpress (MetaXpress): ABCD_A01_s1_w1<GUID>.tif, in folders TimePoint_1/ZStep_1, or none of them.

The GUID is optional, as are the site and the wavelength if there is one. A file outside of ZStep folders, or in
ZStep_0, is a projection or the only plane: its part plane is 0. Thumbnails are left out (`ALWAYS_EXCLUDED`). The
plate has the name before the well, otherwise that of the folder; s1 and w1 are no wells. A .HTD file names the
channels; the spec names them so, or w1.
"""

from __future__ import annotations

import re

from pcip_core.images.field import Field
from pcip_core.images.inside import Tree, opened
from pcip_core.images.layouts.exports.export import Measurement, Plane, place_of, row_number, scan_export
from pcip_core.spec.screen import Screen

_GUID = r"[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}"
NAME = re.compile(
    r"(?:(?P<plate>.+?)_)??(?P<row>(?!(?-i:[stwz]\d))[A-Z]{1,2})(?P<column>\d{1,2})(?:_s(?P<field>\d+?))?"
    rf"(?:_w(?P<channel>\d+?))?(?:_z(?P<plane>\d+?))?(?:_t(?P<time>\d+?))?(?:{_GUID})?\.tiff?",
    re.IGNORECASE | re.DOTALL,
)
IN_CARTA = re.compile(
    r"t(?P<time>\d+)_(?P<row>[A-Z]{1,2})(?P<column>\d{1,2})_s(?P<field>\d+)_w(?P<channel>\d+)_z(?P<plane>\d+)\.tiff?",
    re.IGNORECASE,
)
_STEPS = re.compile(r"(?:(?:^|/)(?:TimePoint|ZStep)_\d+)+$", re.IGNORECASE)
_STEP = re.compile(r"(TimePoint|ZStep)_0*(\d+)", re.IGNORECASE)
_WAVE = re.compile(r'"WaveName(\d{1,3})",\s*"([^"\n]{1,200})"')
_LONGEST = 1 << 20  # bytes of a .HTD file


def scan_imagexpress(screen: Screen, tree: Tree) -> tuple[list[Field], list[str]]:
    """Find the fields of all measurements, each with its folders of times and focal planes."""
    return scan_export(screen, tree, measurement_folder, ImageXpress)


def measurement_folder(folder: str) -> str:
    """The folder of a measurement: that around its folders of times and focal planes."""
    return _STEPS.sub("", folder)


class ImageXpress(Measurement):
    """One measurement: its images, and the names of channels in its .HTD files."""

    def __init__(self, tree: Tree, paths: list[str]) -> None:
        self.plate, self.listed = None, ()
        self.lists: list[str] = []
        self._deep: set[str] = set()  # channels with focal planes
        for path in paths:
            inside, _, name = path.rpartition("/")
            if (plane := self.plane(name, inside)) is not None and plane.parts["plane"] != "0":
                self._deep.add(plane.channel)
        waves: dict[str, str] = {}
        for path in sorted((path for path in paths if path.lower().endswith(".htd")), key=len):
            try:
                with opened(tree.root / path) as stream:
                    text = stream.read(_LONGEST).decode("latin-1")
            except OSError as error:
                tree.notes.append(f"{path} cannot be read ({error}); it may name the channels")
                continue
            self.lists.append(path)
            for number, name in _WAVE.findall(text):
                waves.setdefault(str(int(number)), name)
        numbers = {str(number) for number in range(1, 100)} | set(waves)
        self.channels = {number: [f"w{number}", number, waves.get(number, "")] for number in numbers}

    def plane(self, name: str, inside: str) -> Plane | None:
        match = IN_CARTA.fullmatch(name)
        match, plate = (match, None) if match else (NAME.fullmatch(name), "plate")
        if match is None:
            return None
        steps = {kind.lower(): number for kind, number in _STEP.findall(inside)}
        channel, time, plane = (match[name] for name in ("channel", "time", "plane"))
        parts = {
            **place_of(row_number(match["row"]), int(match["column"])),
            "field": str(int(match["field"] or 1)),
            "plane": str(int(plane or steps.get("zstep", 0))),
            "time": str(int(time or steps.get("timepoint", 1))),
        }
        number = str(int(channel or 1))
        return Plane(number, parts, plate and match[plate], parts["plane"] == "0" and number in self._deep)
