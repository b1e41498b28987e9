"""Exports of Opera Phenix and Operetta (Harmony): r01c01f01p01-ch1sk1fk1fl1.tiff, with Index.xml when there.

Parts: plate, well (A01), row, column, field, plane (p, the focal plane), time (sk). A plate is a folder; its
name is the index's, or else the folder's, where a folder called Images counts as part of the one above.
Channels are named by the spec as `ch1`, or as the index names them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from pcip_core.errors import RootError
from pcip_core.images.field import Field
from pcip_core.images.layouts.grouping import Fields, files_under, plane_of, well_at
from pcip_core.spec.screen import Screen

_NAME = re.compile(
    r"r(?P<row>\d+)c(?P<column>\d+)f(?P<field>\d+)p(?P<plane>\d+)-ch(?P<channel>\d+)"
    r"(?:sk(?P<time>\d+)fk\d+fl\d+|t(?P<frame>\d+))\.tiff?",
    re.IGNORECASE,
)
_INDICES = ("index.xml", "index.idx.xml")


@dataclass(frozen=True)
class _Index:
    """What a plate's index says: its name, and how channels are called, number -> name."""

    plate: str | None = None
    channels: dict[str, str] = field(default_factory=dict)


def scan_opera(screen: Screen, root: Path) -> tuple[list[Field], list[str]]:
    """Fields of all plates; a plate whose index cannot be read stays unclaimed until it can.

    Raises:
        RootError: there are such files, but of other channels than the spec's, or two for one plane.
    """
    by_folder: dict[PurePosixPath, list[str]] = defaultdict(list)
    for path in files_under(root):
        by_folder[PurePosixPath(path).parent].append(path)
    fields = Fields(screen, ("plate", "well", "field"))
    unclaimed: list[str] = []
    seen: set[str] = set()
    for folder, paths in by_folder.items():
        try:
            index = _index(root, paths)
        except ElementTree.ParseError:
            unclaimed += paths
            continue
        plate = index.plate or _plate(root, folder)
        for path in paths:
            match = _NAME.fullmatch(PurePosixPath(path).name)
            if match is None:
                unclaimed.append(path)
                continue
            number, parts = str(int(match["channel"])), _parts(match, plate)
            seen.add(f"ch{number} {index.channels.get(number, '')}".strip())
            chosen = _channels(screen, number, index)
            if chosen and fields.wants(parts):
                fields.add(parts, {name: plane_of(path, screen.channels[name]) for name in chosen})
            else:
                unclaimed.append(path)
    if seen and not fields:
        raise RootError(
            root,
            found=f"images of channels {', '.join(sorted(seen))}, none of them used",
            required=f"channels {', '.join(one.named or name for name, one in screen.channels.items())}",
            remedy="Write channels.*.named: ch1, or the index's name, in the spec; see files.only too.",
        )
    return fields.done(), sorted(unclaimed)


def _parts(match: re.Match[str], plate: str) -> dict[str, str]:
    row, column = int(match["row"]), int(match["column"])
    return {
        "plate": plate,
        "well": well_at(row, column),
        "row": str(row),
        "column": str(column),
        "field": str(int(match["field"])),
        "plane": str(int(match["plane"])),
        "time": str(int(match["time"] or match["frame"])),
    }


def _channels(screen: Screen, number: str, index: _Index) -> list[str]:
    """Our names of channel `number`: those whose `named` is ch<number>, the number, or the index's name."""
    names = {number, f"ch{number}", index.channels.get(number, "").lower()} - {""}
    return [name for name, one in screen.channels.items() if (one.named or name).lower() in names]


def _plate(root: Path, folder: PurePosixPath) -> str:
    if folder.name.lower() == "images":
        folder = folder.parent
    return folder.name or root.resolve().name


def _index(root: Path, paths: list[str]) -> _Index:
    """The index among the files of one folder; elements are found whatever the version's namespace.

    Raises:
        xml.etree.ElementTree.ParseError: it is damaged or not whole yet.
    """
    path = next((root / one for one in paths if PurePosixPath(one).name.lower() in _INDICES), None)
    if path is None:
        return _Index()
    plate: str | None = None
    channels: dict[str, str] = {}
    for _, element in ElementTree.iterparse(path):
        tag = element.tag.rpartition("}")[2]
        children = {child.tag.rpartition("}")[2]: (child.text or "").strip() for child in element}
        if tag == "Plate" and plate is None:
            plate = children.get("Name") or children.get("PlateID") or None
        number = element.get("ChannelID") if tag == "Entry" else children.get("ChannelID")
        if tag in ("Image", "Entry"):
            if number and children.get("ChannelName"):
                channels.setdefault(number, children["ChannelName"])
            element.clear()
    return _Index(plate, channels)
