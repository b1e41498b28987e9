"""OME-Zarr plates (NGFF 0.4 and 0.5): wells and fields from their metadata.

Parts: plate (its name, or the folder's), well (A01), row, column, field, acquisition (empty where there is
none). Channels are named as the images' `omero` metadata labels them, or numbered by `plane`; a label image
of the spec, `named: labels/<name>`, is the image's own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pcip_core.images.field import Field
from pcip_core.images.formats.ngff import METADATA_FILES, group_metadata
from pcip_core.images.layouts.grouping import UNREADABLE, Fields, channel_of, well_at, well_name
from pcip_core.spec.screen import Screen

_WELL_ITSELF = {"path": "."}  # in the place of its images: it is no image, and reading it says so


def scan_ome_zarr(screen: Screen, root: Path) -> tuple[list[Field], list[str]]:
    """Fields of all plates under the root, or of the root itself.

    A well whose metadata cannot be read becomes a field that cannot be read either, so that it is accounted
    for like any other.
    """
    fields = Fields(screen, ("plate", "well", "field"))
    unclaimed: list[str] = []
    for folder, about in _plates(root, unclaimed):
        plate = str(about.get("name") or folder.resolve().name.removesuffix(".zarr").removesuffix(".ome"))
        for well in about.get("wells", []):
            inside = folder / well["path"]
            where = _well(well, plate)
            for image in _images(inside):
                parts = {
                    **where,
                    "field": UNREADABLE if image is _WELL_ITSELF else str(image["path"]),
                    "acquisition": str(image.get("acquisition", "")),
                }
                path = (inside / image["path"]).relative_to(root).as_posix()
                if fields.wants(parts):
                    fields.add(parts, _files(screen, path))
    return fields.done(), sorted(unclaimed)


def _plates(root: Path, unclaimed: list[str]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Folders with the metadata of a plate; other files are added to `unclaimed`."""
    for name, folders, files in os.walk(root):
        folder = Path(name)
        folders.sort()
        if any(one in METADATA_FILES for one in files):
            try:
                plate = group_metadata(folder).get("plate")
            except Exception:  # metadata that cannot be parsed: no plate yet
                plate = None
            if plate is not None:
                folders.clear()
                yield folder, plate
                continue
        unclaimed += [(folder / one).relative_to(root).as_posix() for one in files]


def _well(well: dict[str, Any], plate: str) -> dict[str, str]:
    """Parts of a well; its path is `<row>/<column>`, its indices are from 0."""
    row_name, _, column_name = str(well["path"]).partition("/")
    row, column = well.get("rowIndex"), well.get("columnIndex")
    known = row is not None and column is not None and not (row_name.isalpha() and column_name.isdigit())
    name = well_at(int(row or 0) + 1, int(column or 0) + 1) if known else well_name(row_name + column_name)
    return {"plate": plate, "well": name, "row": row_name, "column": column_name}


def _images(well: Path) -> list[dict[str, Any]]:
    try:
        return list(group_metadata(well)["well"]["images"])
    except Exception:  # whatever zarr raises: reading this field will tell of the damage
        return [_WELL_ITSELF]


def _files(screen: Screen, path: str) -> dict[str, str]:
    files = {}
    for name, channel in screen.channels.items():
        if channel.role == "labels" and channel.plane is None:
            files[name] = f"{path}/{channel.named or f'labels/{name}'}"
        else:
            files[name] = channel_of(path, name, channel)
    return files
