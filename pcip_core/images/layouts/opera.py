"""Exports of Opera Phenix and Operetta (Harmony): r01c01f01p01-ch1sk1fk1fl1.tiff, with or without Index.xml.

Each measurement is a folder, whose images may lie in a folder Images. The plate has the name in the index, otherwise
the name of the measurement's folder. The spec names channels as `ch1` or by their names in the index.
"""

from __future__ import annotations

import re

from pcip_core.images.field import Field
from pcip_core.images.inside import Tree, require_inside
from pcip_core.images.layouts.exports.export import Measurement, Plane, place_of, scan_export
from pcip_core.images.layouts.harmony_index import Index, read_index
from pcip_core.spec.screen import Screen

_NAME = re.compile(
    r"r(?P<row>\d+)c(?P<column>\d+)f(?P<field>\d+)p(?P<plane>\d+)-ch(?P<channel>\d+)"
    r"(?:sk(?P<time>\d+)fk\d+fl\d+|t(?P<frame>\d+))\.tiff?",
    re.IGNORECASE,
)
_INDICES = ("index.xml", "index.idx.xml")


def scan_opera(screen: Screen, tree: Tree) -> tuple[list[Field], list[str]]:
    """Find the fields of all plates. A plate whose index cannot be read (yet) becomes one unreadable field.

    Raises:
        RootError: none of the images has a channel of the spec, or two files hold the same plane.
    """
    return scan_export(screen, tree, measurement_folder, Harmony)


class Harmony(Measurement):
    """One measurement: its images, and what its index says of plate and channels."""

    def __init__(self, tree: Tree, paths: list[str]) -> None:
        listed = next((path for path in paths if path.rpartition("/")[2].lower() in _INDICES), None)
        index = Index()
        if listed is not None:
            require_inside(tree.root, tree.root / listed)
            index = read_index(tree.root / listed)
        self.plate, self.listed = index.plate, ()
        numbers = {*index.channels, *map(str, range(1, 100))}
        self.channels = {
            number: [f"ch{number}", number, index.channels.get(number, "")] for number in numbers
        }

    def plane(self, name: str, inside: str) -> Plane | None:
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        row, column, field, plane, channel, time, frame = match.groups()
        parts = place_of(int(row), int(column))
        parts |= {"field": str(int(field)), "plane": str(int(plane)), "time": str(int(time or frame))}
        return Plane(str(int(channel)), parts)


def measurement_folder(folder: str) -> str:
    """The folder of a measurement: that of its images, or the one around it if that is called Images."""
    above, _, name = folder.rpartition("/")
    return above if name.lower() == "images" else folder
