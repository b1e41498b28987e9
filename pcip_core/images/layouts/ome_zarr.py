"""OME-Zarr (NGFF 0.4 and 0.5): plates, with wells and fields from their metadata, and folders of single images.

Parts of a plate: plate (its name, otherwise the name of the folder), well (A01), row, column, field, acquisition (empty
if there is none). Channels are selected by their labels in the `omero` metadata, or by number with `plane`. A label
image of the spec, `named: labels/<name>`, is read from the image itself. Parts of a single image: those of the
pattern, which matches the path of its folder; without a pattern image, the path without `.ome.zarr`. If a template
names {time}, each time point is a field.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from pcip_core.errors import ImageFileError
from pcip_core.images.field import Field
from pcip_core.images.formats.ngff import METADATA_FILES, group_metadata, is_array, times_and_depth
from pcip_core.images.inside import Tree, is_plain, printable, require_inside
from pcip_core.images.layouts.grouping import Fields, channel_of, channels_by_name, plane_of
from pcip_core.images.layouts.pattern import matches, parts_of_folder
from pcip_core.images.layouts.stacks import with_keys
from pcip_core.spec.screen import Screen
from pcip_core.user_tables.wells import well_at, well_name

MAX_WELLS, MAX_FIELDS = 10_000, 200_000  # of one plate; 1,536 wells of 100 fields have fewer
_MAX_INDEX = 1_000  # rows or columns of a plate
_LONGEST_NAME = 150  # characters; the name is part of ids and of the names of folders


def scan_ome_zarr(screen: Screen, tree: Tree) -> tuple[list[Field], list[str]]:
    """Find the fields of all plates and single images under the root, which may itself be a plate or an image.

    A plate, a well or an image whose metadata cannot be used becomes one unreadable field, so that it appears in the
    accounting.
    """
    root, fields = tree.root, Fields(screen, ("plate", "well", "field"))
    unclaimed: list[str] = []
    images: list[str] = []
    for folder in _groups(tree, unclaimed, images, patterned=bool(screen.files.patterns)):
        name = folder.resolve().name.removesuffix(".zarr").removesuffix(".ome")
        path = printable(folder.relative_to(root).as_posix())
        try:
            require_inside(root, folder)
            plate = _Plate(root, folder, name)
            listed = list(plate.fields())
        except ImageFileError as problem:
            fields.add_unreadable({"plate": printable(name)}, path, problem)
            continue
        kept = set(tree.without_excluded([f"{image}/" for _, image, _ in listed]))
        for parts, image, reason in listed:
            if f"{image}/" not in kept:
                continue
            if reason is not None:
                fields.add_unreadable(parts, image, reason)
            else:
                _add(screen, root, fields, parts, image, list(screen.channels))
    if not screen.files.patterns:
        fields.add_unread(tree, lambda folder: {"plate": _bare(PurePosixPath(folder).name)})
    return [*fields.done(), *_single(screen, tree, images, unclaimed)], sorted(unclaimed)


def _single(screen: Screen, tree: Tree, images: list[str], unclaimed: list[str]) -> list[Field]:
    """The fields of images that belong to no plate; those that the pattern does not match are unclaimed."""
    names = channels_by_name(screen)
    fields: Fields | None = None
    patterns = screen.files.pattern if isinstance(screen.files.pattern, dict) else {"": screen.files.pattern}
    claimed: set[str] = set()
    for of_channel, pattern in patterns.items():
        of_images = ({"image": _bare(image)} for image in images)
        listed = of_images if pattern is None else matches(pattern, images, names)
        for image, parts in zip(images, listed, strict=True):
            if parts is None:
                continue
            named = parts.pop("channel", None)
            chosen = (
                [of_channel]
                if of_channel
                else list(screen.channels)
                if named is None
                else names[named.lower()]
            )
            fields = fields or Fields(screen, tuple(parts))
            if _add(screen, tree.root, fields, parts, image, chosen, alone=bool(of_channel or named)):
                claimed.add(image)
    unclaimed += [image for image in images if image not in claimed]
    if screen.files.patterns:
        fields = fields or Fields(screen)
        fields.add_unread(tree, lambda folder: parts_of_folder(screen.files.patterns, folder, names))
    return fields.done() if fields else []


def _bare(image: str) -> str:
    return image.removesuffix(".zarr").removesuffix(".ome")


def _add(
    screen: Screen,
    root: Path,
    fields: Fields,
    parts: dict[str, str],
    image: str,
    channels: list[str],
    *,
    alone: bool = False,
) -> bool:
    """Add an image, or each of its time points if a template names {time}; return whether the spec wants it.

    Args:
        parts: the parts of the image.
        image: its path under the root.
        channels: the channels of the spec that it holds.
        alone: it holds one channel, which its path names.
    """
    files = _files(screen, image, channels, alone=alone)
    times = 0
    if "time" not in parts and "{time}" in f"{screen.files.image_id}{screen.shards.by or ''}":
        try:
            require_inside(root, root / image)
            times = times_and_depth(root / image)[0]
        except ImageFileError as problem:
            fields.add_unreadable(parts, image, problem)
            return True
    wanted = False
    for time in range(1, times + 1) if times else (0,):
        whole = {**parts, "time": str(time)} if time else parts
        if fields.wants(whole):
            wanted = True
            key = {"t": str(time)} if times > 1 else {}
            fields.add(whole, {name: with_keys(file, key) for name, file in files.items()})
    return wanted


def _groups(tree: Tree, unclaimed: list[str], images: list[str], *, patterned: bool) -> Iterator[Path]:
    """Yield the folders that are plates, or whose metadata cannot be read.

    Args:
        tree: the files.
        unclaimed: receives the files that belong to no group.
        images: receives the paths of single images.
        patterned: the spec has a pattern of single images.
    """
    for inside, folders, files in tree.walk():
        folder = tree.root / inside
        if any(file in METADATA_FILES for file in files) and not is_array(folder):
            kind = "plate"
            try:
                metadata = group_metadata(folder)
                kind = next((key for key in ("plate", "multiscales") if key in metadata), "")
            except ImageFileError:
                if patterned and not any((folder / file).exists() for file in (".zattrs", "zarr.json")):
                    kind = ""  # a group without attributes, which may hold images
            if kind == "multiscales":
                images.append(printable(inside.rstrip("/")) or ".")
            if kind:
                folders.clear()
            if kind == "plate":
                yield folder
            if kind:
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
        row = well.get("rowIndex", well.get("row_index"))  # bioformats2raw before 0.4
        column = well.get("columnIndex", well.get("column_index"))
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


def _files(screen: Screen, path: str, channels: list[str], *, alone: bool) -> dict[str, str]:
    files = {}
    for name in channels:
        channel = screen.channels[name]
        if alone:
            files[name] = plane_of(path, channel)
        elif channel.role == "labels" and channel.plane is None:
            files[name] = f"{path}/{channel.named or f'labels/{name}'}"
        else:
            files[name] = channel_of(path, name, channel)
    return files
