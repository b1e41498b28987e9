"""OME-Zarr plates (NGFF 0.4 and 0.5): wells and fields from their metadata.

Parts: plate (its name, otherwise the name of the folder), well (A01), row, column, field, acquisition (empty if
there is none). Channels are selected by their labels in the `omero` metadata, or by number with `plane`. A label
image of the spec, `named: labels/<name>`, is read from the image itself.
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

_WELL_ITSELF = {"path": "."}  # stands for the images of an unreadable well; reading it reports the error


def scan_ome_zarr(screen: Screen, root: Path) -> tuple[list[Field], list[str]]:
    """Find the fields of all plates under the root, which may itself be a plate.

    A well whose metadata cannot be read becomes one unreadable field, so that it appears in the accounting.
    """
    fields = Fields(screen, ("plate", "well", "field"))
    unclaimed: list[str] = []
    for folder, metadata in _plates(root, unclaimed):
        plate = str(metadata.get("name") or folder.resolve().name.removesuffix(".zarr").removesuffix(".ome"))
        for well in metadata.get("wells", []):
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
    """Yield the folders with the metadata of a plate; add other files to `unclaimed`."""
    for name, folders, files in os.walk(root):
        folder = Path(name)
        folders.sort()
        if any(file in METADATA_FILES for file in files):
            try:
                plate = group_metadata(folder).get("plate")
            except Exception:  # metadata that cannot be parsed (yet): not a plate
                plate = None
            if plate is not None:
                folders.clear()
                yield folder, plate
                continue
        unclaimed += [(folder / file).relative_to(root).as_posix() for file in files]


def _well(well: dict[str, Any], plate: str) -> dict[str, str]:
    """Parts of a well. Its path is `<row>/<column>`; its indices count from 0."""
    row_name, _, column_name = str(well["path"]).partition("/")
    row, column = well.get("rowIndex"), well.get("columnIndex")
    known = row is not None and column is not None and not (row_name.isalpha() and column_name.isdigit())
    name = well_at(int(row or 0) + 1, int(column or 0) + 1) if known else well_name(row_name + column_name)
    return {"plate": plate, "well": name, "row": row_name, "column": column_name}


def _images(well: Path) -> list[dict[str, Any]]:
    try:
        return list(group_metadata(well)["well"]["images"])
    except Exception:  # any exception of zarr; reading this field reports the damage
        return [_WELL_ITSELF]


def _files(screen: Screen, path: str) -> dict[str, str]:
    files = {}
    for name, channel in screen.channels.items():
        if channel.role == "labels" and channel.plane is None:
            files[name] = f"{path}/{channel.named or f'labels/{name}'}"
        else:
            files[name] = channel_of(path, name, channel)
    return files
