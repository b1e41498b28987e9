"""Exports of Opera Phenix and Operetta (Harmony): r01c01f01p01-ch1sk1fk1fl1.tiff, with or without Index.xml.

Each measurement is a folder, whose images may lie in a folder Images. The plate has the name in the index, otherwise
the name of the measurement's folder. The spec names channels as `ch1` or by their names in the index. Further parts:
kinetic (fk, of a fast series) and flim (fl, of fluorescence lifetimes), both 1 in other measurements.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pcip_core.errors import ImageFileError
from pcip_core.images.field import Field
from pcip_core.images.inside import Tree, require_inside
from pcip_core.images.layouts.exports.export import (
    Measurement,
    Plane,
    place_of,
    require_agreement,
    scan_export,
)
from pcip_core.images.layouts.harmony_index import Index, read_index
from pcip_core.spec.screen import Screen
from pcip_core.words import many

NAME = re.compile(
    r"r(?P<row>\d+)c(?P<column>\d+)f(?P<field>\d+)p(?P<plane>\d+)-ch(?P<channel>\d+)"
    r"(?:sk(?P<time>\d+)fk(?P<kinetic>\d+)fl(?P<flim>\d+)|t(?P<frame>\d+))\.tiff?",
    re.IGNORECASE,
)
_INDICES = ("index.xml", "index.idx.xml")  # the first is used
_OF_INDEX = {"row": "Row", "column": "Col", "field": "FieldID", "plane": "PlaneID", "channel": "ChannelID"}
_MOST_ROWS = 1_000


def scan_opera(screen: Screen, tree: Tree) -> tuple[list[Field], list[str]]:
    """Find the fields of all plates. A plate whose index cannot be read (yet) becomes one unreadable field.

    Raises:
        RootError: none of the images has a channel of the spec, or two files hold the same plane.
    """
    return scan_export(screen, tree, measurement_folder, Harmony)


class Harmony(Measurement):
    """One measurement: its images, and what its index says of plate and channels."""

    def __init__(self, tree: Tree, paths: list[str]) -> None:
        lists = [path for path in paths if path.rpartition("/")[2].lower() in _INDICES]
        self.lists = sorted(lists, key=lambda path: _INDICES.index(path.rpartition("/")[2].lower()))
        indices = [self._read(tree.root, path) for path in self.lists]
        if len(indices) > 1:
            tree.notes += _compared(tree.root, self.lists, indices)
        index = indices[0] if indices else Index()
        self.plate, self.listed = index.plate, index.images
        numbers = {*index.channels, *map(str, range(1, 100))}
        self.channels = {
            number: [f"ch{number}", number, index.channels.get(number, "")] for number in numbers
        }

    def plane(self, name: str, inside: str) -> Plane | None:
        match = NAME.fullmatch(name)
        if match is None:
            return None
        parts = place_of(int(match["row"]), int(match["column"]))
        parts |= {"field": str(int(match["field"])), "plane": str(int(match["plane"]))}
        parts |= {"time": str(int(match["time"] or match["frame"]))}
        parts |= {part: str(int(match[part] or 1)) for part in ("kinetic", "flim")}
        return Plane(str(int(match["channel"])), parts)

    def _read(self, root: Path, path: str) -> Index:
        """Read an index, and compare what it says of each image with its name."""
        require_inside(root, root / path)

        def compare(name: str, values: Mapping[str, str]) -> None:
            plane = self.plane(name, "")
            texts = {part: values.get(key, "") for part, key in _OF_INDEX.items()}
            numbers = {part: int(text) for part, text in texts.items() if text.isdecimal() and len(text) < 8}
            if plane is None:
                return
            listed = {part: str(number) for part, number in numbers.items()}
            if 0 < numbers.get("row", 0) < _MOST_ROWS and "column" in numbers:
                listed |= place_of(numbers["row"], numbers["column"])
            listed = {part: text for part, text in listed.items() if part not in ("row", "column")}
            named = {
                part: text
                for part, text in {**plane.parts, "channel": plane.channel}.items()
                if part in listed
            }
            require_agreement(root / path, name, Plane(listed.pop("channel", plane.channel), listed), named)

        return read_index(root / path, compare)


def _compared(root: Path, paths: Sequence[str], indices: Sequence[Index]) -> Iterator[str]:
    """Say which of several indices of a measurement is used.

    Raises:
        ImageFileError: they list different images.
    """
    first, others = indices[0].images, zip(paths[1:], indices[1:], strict=True)
    for path, other in others:
        sides = {paths[0]: first - other.images, path: other.images - first}
        if first and other.images and any(sides.values()):
            shown = " and ".join(
                f"{len(names)} only in {each.rpartition('/')[2]} ({min(names)})"
                for each, names in sides.items()
                if names
            )
            raise ImageFileError(
                root / paths[0],
                found=f"{path.rpartition('/')[2]} beside it, which lists other images: {shown}",
                required="one index, or several that list the same images",
                remedy="Leave the wrong one out, as "
                + " or ".join(f'`exclude: ["{each}"]`' for each in (path, paths[0]))
                + " in files of the spec.",
            )
        yield f"{paths[0]} is used, and not {path}" + (
            f"; both list the same {many(len(first), 'image')}" if first and other.images else ""
        )


def measurement_folder(folder: str) -> str:
    """The folder of a measurement: that of its images, or the one around it if that is called Images."""
    above, _, name = folder.rpartition("/")
    return above if name.lower() == "images" else folder
