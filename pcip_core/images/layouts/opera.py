"""Exports of Opera Phenix and Operetta (Harmony): r01c01f01p01-ch1sk1fk1fl1.tiff, with or without Index.xml.

Parts: plate, well (A01), row, column, field, plane (p, the focal plane), time (sk). Each plate is a folder. The
plate has the name in the index, otherwise the name of the folder, or of its parent if the folder is called Images.
The spec names channels as `ch1` or by their names in the index.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path, PurePosixPath

from pcip_core.errors import ImageFileError, RootError
from pcip_core.images.field import Field
from pcip_core.images.inside import require_inside
from pcip_core.images.layouts.grouping import Fields, files_under, plane_of
from pcip_core.images.layouts.harmony_index import Index, read_index
from pcip_core.spec.screen import Screen
from pcip_core.user_tables.wells import well_at

_NAME = re.compile(
    r"r(?P<row>\d+)c(?P<column>\d+)f(?P<field>\d+)p(?P<plane>\d+)-ch(?P<channel>\d+)"
    r"(?:sk(?P<time>\d+)fk\d+fl\d+|t(?P<frame>\d+))\.tiff?",
    re.IGNORECASE,
)
_INDICES = ("index.xml", "index.idx.xml")


def scan_opera(screen: Screen, root: Path) -> tuple[list[Field], list[str]]:
    """Find the fields of all plates. A plate whose index cannot be read (yet) becomes one unreadable field.

    Raises:
        RootError: none of the images has a channel of the spec, or two files hold the same plane.
    """
    by_folder: dict[PurePosixPath, list[str]] = defaultdict(list)
    for path in files_under(root):
        by_folder[PurePosixPath(path).parent].append(path)
    fields = Fields(screen, ("plate", "well", "field"))
    unclaimed: list[str] = []
    seen: set[str] = set()
    for folder, paths in by_folder.items():
        index = Index()
        if (listed := _index(paths)) is not None:
            try:
                require_inside(root, root / listed)
                index = read_index(root / listed)
            except ImageFileError as problem:
                fields.add_unreadable({"plate": _plate(root, folder)}, listed, problem)
                unclaimed += [path for path in paths if path != listed]
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
            required=f"channels {', '.join(channel.named or name for name, channel in screen.channels.items())}",
            remedy="Set channels.*.named in the spec to ch1, ... or to the names in the index; check files.only.",
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


def _channels(screen: Screen, number: str, index: Index) -> list[str]:
    """Channels of the spec whose `named` is ch<number>, the number, or the channel's name in the index."""
    names = {number, f"ch{number}", index.channels.get(number, "").lower()} - {""}
    return [name for name, channel in screen.channels.items() if (channel.named or name).lower() in names]


def _plate(root: Path, folder: PurePosixPath) -> str:
    if folder.name.lower() == "images":
        folder = folder.parent
    return folder.name or root.resolve().name


def _index(paths: list[str]) -> str | None:
    """The path of the index among the files of a folder."""
    return next((file for file in paths if PurePosixPath(file).name.lower() in _INDICES), None)
