"""Functions that all layouts share: group planes into fields, make ids, refuse two files for one plane."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from sys import intern

from pcip_core.errors import ImageFileError, RootError, SpecError
from pcip_core.images.field import Field
from pcip_core.images.inside import printable, walk
from pcip_core.images.reference import Reference
from pcip_core.spec.screen import Channel, Screen
from pcip_core.spec.sections import PART

UNREADABLE = "unreadable"  # value of the unknown parts of a plate, well or archive that cannot be listed
_LONGEST_TEXT = 1000  # of an id
_NO_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f]|\.{3}")  # Dagster refuses such partitions


class Fields:
    """Collect planes and group them into fields.

    Args:
        screen: the spec; its templates, channels and `files.only` are used.
        identity: the parts that identify a field and form its id, in addition to those that the templates name;
            None for all parts.
    """

    def __init__(self, screen: Screen, identity: Sequence[str] | None = None) -> None:
        self._screen = screen
        named = {*PART.findall(screen.files.image_id), *PART.findall(screen.shards.by or "")}
        self._named = sorted(named)
        self._identity = None if identity is None else (*identity, *sorted(named - set(identity)))
        self._only = {name: str(value) for name, value in screen.files.only.items()}
        self._fields: dict[str, Field] = {}

    def wants(self, parts: Mapping[str, str]) -> bool:
        """Whether `files.only` accepts a field with these parts, as far as they are known."""
        return all(parts.get(name) in (value, UNREADABLE) for name, value in self._only.items())

    def add(self, parts: Mapping[str, str], files: Mapping[str, str]) -> None:
        """Add planes, channel -> reference, to the field with these parts.

        Raises:
            SpecError: a template names a part that the field does not have.
            RootError: the field already has a different file for one of the channels, or another field has its id.
        """
        names = self._names(parts)
        field_id = "_".join([parts[name] for name in names])
        field = self._fields.get(field_id)
        if field is None:
            field = self._fields[field_id] = self._field(field_id, parts)
        elif any(field.parts.get(name) != parts[name] for name in names):
            raise RootError(
                self._screen.folder(),
                found=f"two fields with the id {field_id}: {field.parts}, {parts}",
                required="a different id for each field",
                remedy="Rename the files so that their parts joined by _ differ.",
            )
        for channel, file in files.items():
            if field.files.setdefault(channel, file) != file:
                raise RootError(
                    self._screen.folder(),
                    found=f"for channel {channel} of field {field_id} both {field.files[channel]} and {file}",
                    required="one file",
                    remedy="Remove one of the files, or distinguish them: name the part that differs (a focal plane, "
                    "a time, a folder) in files.image_id, or select one value of it with files.only.",
                )

    def add_unreadable(self, parts: Mapping[str, str], path: str, problem: ImageFileError) -> None:
        """Add one field that stands for all fields of a plate, well or archive that cannot be listed.

        Args:
            parts: the known parts; all others are `UNREADABLE`.
            path: the file or folder at fault, relative to the root.
            problem: raised when the field is read.
        """
        whole = {**dict.fromkeys([*(self._identity or ()), *self._named], UNREADABLE), **parts}
        if not self.wants(whole):
            return
        names = self._names(whole)
        field_id = "_".join([whole[name] for name in names])
        if field_id in self._fields:  # another folder of the same name
            field_id = f"{field_id} {path}"
        files = dict.fromkeys(self._screen.channels, path)
        self._fields[field_id] = replace(self._field(field_id, whole), files=files, problem=problem)

    def __bool__(self) -> bool:
        return bool(self._fields)

    def done(self) -> list[Field]:
        """Return the fields, their channels in the order of the spec."""
        order = list(self._screen.channels)
        for field in self._fields.values():
            if list(field.files) != order:
                files = {name: field.files.pop(name) for name in order if name in field.files}
                field.files.update(files)
        return list(self._fields.values())

    def _names(self, parts: Mapping[str, str]) -> list[str]:
        return [name for name in self._identity or parts if name in parts]

    def _field(self, field_id: str, parts: Mapping[str, str]) -> Field:
        """A field without files. Equal texts of all fields are one object, as a screen has many fields."""
        screen = self._screen
        image_id = intern(filled(screen.files.image_id, parts, "files.image_id"))
        if screen.shards.by is not None:
            shard = filled(screen.shards.by, parts, "shards.by")
        else:
            width = len(str((screen.shards.buckets or 1) - 1))
            shard = f"bucket_{zlib.crc32(image_id.encode()) % (screen.shards.buckets or 1):0{width}d}"
        shared = {name: intern(text) for name, text in parts.items()}
        return Field(field_id, image_id, intern(_NO_NAME.sub("_", shard)), shared, {})


def filled(template: str, parts: Mapping[str, str], key: str) -> str:
    """Fill the parts of a field into a template.

    Raises:
        SpecError: the template names a part that the field does not have, or the text is too long.
    """
    try:
        text = PART.sub(lambda match: parts[match[1]], template)
    except KeyError as error:
        raise SpecError(
            key,
            found=f"{template!r}, which names {error}",
            required=f"a template over the parts {', '.join(parts)}",
            remedy="Correct the spec.",
        ) from error
    if len(text) > _LONGEST_TEXT:
        raise SpecError(
            key,
            found=f"{text[:80]!r} ... ({len(text)} characters)",
            required=f"at most {_LONGEST_TEXT} characters",
            remedy="Name fewer parts, or shorten the files' names.",
        )
    return text


def plane_of(path: str, channel: Channel) -> str:
    """Reference to the plane of a channel: the spec's `plane`, otherwise the only plane of the file."""
    if channel.plane is None:
        return path
    return str(Reference(path, {"c" if isinstance(channel.plane, int) else "rgb": str(channel.plane)}))


def channel_of(path: str, name: str, channel: Channel) -> str:
    """Reference to a channel of a multi-channel file: by number, otherwise by its name in the metadata."""
    if channel.plane is not None:
        return plane_of(path, channel)
    return str(Reference(path, {"channel": channel.named or name}))


def files_under(root: Path) -> list[str]:
    """The paths of all files under the root (`walk`), relative to it and sorted.

    Folders that are not read, because they are links or must not be read, are among them, with a `/` at the end.
    """
    return sorted(printable(folder + name) for folder, _, names in walk(root) for name in names)
