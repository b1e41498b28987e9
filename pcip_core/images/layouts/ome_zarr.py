"""OME-Zarr plates (NGFF 0.4 and 0.5): wells and fields from their metadata.

Parts: plate (its name, otherwise the name of the folder), well (A01), row, column, field, acquisition (empty if
there is none). Channels are selected by their labels in the `omero` metadata, or by number with `plane`. A label
image of the spec, `named: labels/<name>`, is read from the image itself.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pcip_core.errors import ImageFileError
from pcip_core.images.field import Field
from pcip_core.images.formats.ngff import METADATA_FILES, group_metadata, is_array
from pcip_core.images.inside import is_plain, printable, require_inside, walk
from pcip_core.images.layouts.grouping import Fields, channel_of
from pcip_core.spec.screen import Screen
from pcip_core.user_tables.wells import well_at, well_name

MAX_WELLS, MAX_FIELDS = 10_000, 200_000  # of one plate; 1,536 wells of 100 fields have fewer
_MAX_INDEX = 1_000  # rows or columns of a plate
_LONGEST_NAME = 150  # characters; the name is part of ids and of the names of folders


def scan_ome_zarr(screen: Screen, root: Path) -> tuple[list[Field], list[str]]:
    """Find the fields of all plates under the root, which may itself be a plate.

    A plate or a well whose metadata cannot be used becomes one unreadable field, so that it appears in the accounting.
    """
    fields = Fields(screen, ("plate", "well", "field"))
    unclaimed: list[str] = []
    for folder in _plates(root, unclaimed):
        name = folder.resolve().name.removesuffix(".zarr").removesuffix(".ome")
        path = printable(folder.relative_to(root).as_posix())
        try:
            require_inside(root, folder)
            plate = _Plate(root, folder, name)
            listed = list(plate.fields())
        except ImageFileError as problem:
            fields.add_unreadable({"plate": printable(name)}, path, problem)
            continue
        for parts, image, reason in listed:
            if reason is not None:
                fields.add_unreadable(parts, image, reason)
            elif fields.wants(parts):
                fields.add(parts, _files(screen, image))
    return fields.done(), sorted(unclaimed)


def _plates(root: Path, unclaimed: list[str]) -> Iterator[Path]:
    """Yield the folders that are plates, or whose metadata cannot be read; add other files to `unclaimed`."""
    for inside, folders, files in walk(root):
        folder = root / inside
        if any(file in METADATA_FILES for file in files) and not is_array(folder):
            try:
                is_plate = "plate" in group_metadata(folder)
            except ImageFileError:
                is_plate = True
            if is_plate:
                folders.clear()
                yield folder
                continue
        unclaimed += [printable(inside + file) for file in files]


class _Plate:
    """The metadata of one plate. Every method raises ImageFileError where they cannot be used."""

    def __init__(self, root: Path, folder: Path, name: str) -> None:
        self._root, self._folder = root, folder
        metadata = group_metadata(folder)["plate"]
        if not isinstance(metadata, dict):
            raise self._bad(f"plate: {reprlib.repr(metadata)}", "an object")
        self._name = metadata.get("name") or name
        if not isinstance(self._name, str) or len(self._name) > _LONGEST_NAME or not self._name.isprintable():
            raise self._bad(
                f"the plate's name {self._name!r:.60}", f"at most {_LONGEST_NAME} printable characters"
            )
        self._wells = self._entries(metadata.get("wells") or None, "plate.wells")

    def fields(self) -> Iterator[tuple[dict[str, str], str, ImageFileError | None]]:
        """Yield parts and path of each field; a well that cannot be listed is one field with the reason."""
        paths: dict[str, str] = {}  # end of the id of a field -> its path
        for well in self._wells:
            where = self._well(well)
            inside = self._folder / well["path"]
            path = printable(inside.relative_to(self._root).as_posix())
            try:
                require_inside(self._root, inside)
                images = group_metadata(inside).get("well")
                images = images.get("images") if isinstance(images, dict) else None
                entries = self._entries(images, f"well.images of {well['path']}")
            except ImageFileError as problem:
                yield where, path, problem
                continue
            for image in entries:
                parts = {
                    **where,
                    "field": image["path"],
                    "acquisition": _text(image.get("acquisition", "")),
                }
                path = printable((inside / image["path"]).relative_to(self._root).as_posix())
                other = paths.setdefault(f"{parts['well']}_{parts['field']}", path)
                if other != path:
                    raise self._bad(f"{other} and {path} as well {parts['well']}", "one path per well")
                if len(paths) > MAX_FIELDS:
                    raise self._bad(f"more than {MAX_FIELDS:,} fields", "fewer fields per plate")
                yield parts, path, None

    def _entries(self, entries: Any, what: str) -> list[dict[str, Any]]:
        if not isinstance(entries, list) or len(entries) > MAX_WELLS:
            raise self._bad(
                f"{what}: {reprlib.repr(entries)}", f"a list of at most {MAX_WELLS:,} objects with a path"
            )
        for entry in entries:
            path = entry.get("path") if isinstance(entry, dict) else None
            if not is_plain(path) or len(str(path)) > _LONGEST_NAME or not str(path).isprintable():
                raise self._bad(
                    f"{what}: {reprlib.repr(entry)}", "an object with a relative path below its own folder"
                )
        return entries

    def _well(self, well: Mapping[str, Any]) -> dict[str, str]:
        """Parts of a well. Its path is `<row>/<column>`; its indices count from 0."""
        row_name, _, column_name = well["path"].partition("/")
        row, column = well.get("rowIndex"), well.get("columnIndex")
        name = well_name(row_name + column_name)
        if row is not None and column is not None and not (row_name.isalpha() and column_name.isdecimal()):
            for index in (row, column):
                if not isinstance(index, int) or not 0 <= index < _MAX_INDEX:
                    raise self._bad(
                        f"the index {reprlib.repr(index)} of well {well['path']}", f"0 to {_MAX_INDEX - 1}"
                    )
            name = well_at(row + 1, column + 1)
        return {"plate": self._name, "well": name, "row": row_name, "column": column_name}

    def _bad(self, found: str, required: str) -> ImageFileError:
        return ImageFileError(
            self._folder,
            found=f"metadata of a plate with {found}",
            required=required,
            remedy="Copy or export the plate again.",
        )


def _text(value: object) -> str:
    """A number or a short text of the metadata; anything else is shortened."""
    return (
        str(value)
        if isinstance(value, int) or (isinstance(value, str) and len(value) < 60)
        else reprlib.repr(value)
    )


def _files(screen: Screen, path: str) -> dict[str, str]:
    files = {}
    for name, channel in screen.channels.items():
        if channel.role == "labels" and channel.plane is None:
            files[name] = f"{path}/{channel.named or f'labels/{name}'}"
        else:
            files[name] = channel_of(path, name, channel)
    return files
