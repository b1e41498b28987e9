"""Functions that all layouts share: group planes into fields, make ids, refuse two files for one plane."""

from __future__ import annotations

import os
import re
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from sys import intern

from pcip_core.errors import ImageFileError, RootError, SpecError
from pcip_core.files import composed, natural_key
from pcip_core.images.field import Field
from pcip_core.images.inside import Tree
from pcip_core.images.layouts.stacks import Stacks, differ_in_depth_or_time, names_of, same_value, twice
from pcip_core.images.reference import Reference
from pcip_core.spec.bounds import meant
from pcip_core.spec.screen import Channel, Screen
from pcip_core.spec.sections import PART
from pcip_core.user_tables.wells import well_at, well_name

UNREADABLE = "unreadable"  # value of the unknown parts of a plate, well or archive that cannot be listed
_LONGEST_TEXT = 1000  # of an id
_LARGEST_INDEX = 1_000  # of a row or a column
_MOST_SHOWN = 20  # values of a part
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
        self._stacks = Stacks(screen)
        self._other: dict[str, set[str]] = {}  # part of `files.only` -> other values of it
        self._refused: Counter[str] = Counter()  # plate -> number of refused files or images
        self._fields: dict[str, Field] = {}

    def wants(self, parts: Mapping[str, str]) -> bool:
        """Whether `files.only` accepts a field with these parts, as far as they are known."""
        if not self._screen.files.only:
            return True
        parts = self._with_built(_composed(parts))
        if self._stacks.wants(parts, UNREADABLE):
            return True
        if "plate" in parts:
            self._refused[parts["plate"]] += 1
        for key, value in self._screen.files.only.items():
            actual = next((parts[name] for name in names_of(key) if name in parts), UNREADABLE)
            others = self._other.setdefault(key, set())
            if (
                actual != UNREADABLE
                and not same_value(actual, value, name=key)
                and len(others) <= _MOST_SHOWN
            ):
                others.add(actual)
        return False

    def add(self, parts: Mapping[str, str], files: Mapping[str, str]) -> None:
        """Add planes, channel -> reference, to the field with these parts.

        Raises:
            SpecError: a template names a part that the field does not have.
            RootError: the field already has a different file for one of the channels, or another field has its id.
        """
        parts = _composed(parts)
        whole = self._with_built(parts)
        names = self._names(self._stacks.split(parts)[0])
        parts, plane = self._stacks.split(whole)
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
            file = self._stacks.within(channel, file, whole)
            if plane is not None:
                held = self._stacks.add(field_id, channel, plane, file)
                field.files.setdefault(channel, file)
            else:
                held = field.files.setdefault(channel, file)
            if held != file and not self._is_same_file(held, file):
                if differ_in_depth_or_time(field.parts, parts):
                    raise twice(self._screen, field, replace(field, parts=dict(parts), files={channel: file}))
                raise RootError(
                    self._screen.folder(),
                    found=f"for channel {channel} of field {field_id} both {held} and {file}",
                    required="one file",
                    remedy=self._remedy(field, parts),
                )

    def _is_same_file(self, one: str, other: str) -> bool:
        """Whether two references are to one plane of one file, reached through a link."""
        root, first, second = self._screen.folder(), Reference.parse(one), Reference.parse(other)
        return first.select == second.select and os.path.realpath(root / first.path) == os.path.realpath(
            root / second.path
        )

    def _remedy(self, field: Field, parts: Mapping[str, str]) -> str:
        """What to change in the spec, so that a field and the parts of a second file for it are told apart."""
        differ = {name: text for name, text in field.parts.items() if parts.get(name, text) != text}
        if not differ:
            return "Remove one of the files, or name it in files.exclude."
        name, text = next(iter(differ.items()))
        values = ", ".join(f"{part} ({value}, {parts[part]})" for part, value in differ.items())
        return (
            f"They differ in {values}. For one image of each, write files.image_id: "
            f'"{self._screen.files.image_id}_{{{name}}}"; for one of them, files.only: {{{name}: "{text}"}}. Or remove '
            "one of the files."
        )

    def add_unreadable(self, parts: Mapping[str, str], path: str, problem: ImageFileError) -> None:
        """Add one field that stands for all fields of a plate, well or archive that cannot be listed.

        Args:
            parts: the known parts; all others are `UNREADABLE`.
            path: the file or folder at fault, relative to the root.
            problem: raised when the field is read.
        """
        parts = _composed(parts)
        built = self._screen.files.parts
        needed = PART.findall(" ".join(built.values()))
        whole = {**dict.fromkeys([*(self._identity or ()), *self._named, *needed], UNREADABLE), **parts}
        names = self._names(whole)
        for name, template in built.items():
            unknown = any(whole[part] == UNREADABLE for part in PART.findall(template))
            whole[name] = UNREADABLE if unknown else _built(name, template, whole)
        if not self.wants(whole):
            return
        field_id = "_".join([whole[name] for name in names])
        if field_id in self._fields:  # another folder of the same name
            field_id = f"{field_id} {path}"
        files = dict.fromkeys(self._screen.channels, path)
        self._fields[field_id] = replace(self._field(field_id, whole), files=files, problem=problem)

    def add_unread(self, tree: Tree, parts_of: Callable[[str], Mapping[str, str] | None]) -> None:
        """Add a field for each folder that is not read and may hold images.

        Args:
            tree: the files, after they have been listed.
            parts_of: the known parts of the fields in a folder; None if it cannot hold images.

        The tree is told how much of each plate `files.only` has left out.
        """
        tree.refused += self._refused
        for folder, reason in tree.unread.items():
            parts = parts_of(folder)
            if parts is not None:
                problem = ImageFileError(
                    tree.root / folder,
                    found=reason,
                    required="a folder that pcip may read",
                    remedy="Correct its permissions or the link, or name it in files.exclude.",
                )
                self.add_unreadable(parts, folder, problem)

    def __bool__(self) -> bool:
        return bool(self._fields)

    @property
    def refused_by_only(self) -> bool:
        """Whether `files.only` has refused fields."""
        return bool(self._other)

    def done(self) -> list[Field]:
        """Return the fields, their channels in the order of the spec.

        Raises:
            RootError: `files.only` leaves none, or fields of one image differ only in a focal plane or a time.
        """
        if not self._fields and self._other:
            name, others = max(self._other.items(), key=lambda item: len(item[1]))
            values = ", ".join(sorted(others, key=natural_key)[:_MOST_SHOWN])
            raise RootError(
                self._screen.folder(),
                found=f"no file whose {name} is {self._screen.files.only[name]}, as files.only requires",
                required=f"one of its values in the files: {values}"
                if values
                else f"files with a part {name}",
                remedy="Correct files.only.",
            )
        for field_id, problem in self._stacks.finish(self._fields):
            self._fields[field_id] = replace(self._fields[field_id], problem=problem)
        self._stacks.require_one(self._fields.values())
        order = list(self._screen.channels)
        for field in self._fields.values():
            if list(field.files) != order:
                files = {name: field.files.pop(name) for name in order if name in field.files}
                field.files.update(files)
        return list(self._fields.values())

    def _names(self, parts: Mapping[str, str]) -> list[str]:
        """The parts that form the id of a field. Built parts are among them if templates or the layout name them."""
        built = self._screen.files.parts
        if self._identity is not None:
            return [name for name in self._identity if name in parts or name in built]
        return [*parts, *(name for name in self._named if name in built and name not in parts)]

    def _with_built(self, parts: Mapping[str, str]) -> Mapping[str, str]:
        """The parts of a field and those of `files.parts`."""
        built = self._screen.files.parts
        return {**parts, **{name: _built(name, built[name], parts) for name in built}} if built else parts

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


def without_links(tree: Tree, fields: list[Field], unclaimed: list[str]) -> tuple[list[Field], list[str]]:
    """Leave out fields whose files are those of other fields, seen through a link; the link becomes unclaimed.

    Folders that a field stands for, because they cannot be read, are no longer unclaimed.
    """
    stand_ins = {file for field in fields if field.problem is not None for file in field.files.values()}
    unclaimed = [path for path in unclaimed if path not in stand_ins]
    links = tree.aliases
    if not links:
        return fields, unclaimed
    references = {
        id(field): {name: Reference.parse(file) for name, file in field.files.items()} for field in fields
    }
    paths = {
        key: [path for each in named.values() for path in each.paths] for key, named in references.items()
    }
    through = tuple(links)
    seen: set[tuple[str, ...]] = set()
    kept: list[Field] = []
    for field in sorted(fields, key=lambda field: any(path.startswith(through) for path in paths[id(field)])):
        files = tuple(
            f"{name}\0{each.select}\0" + "\0".join(map(tree.resolved, each.paths))
            for name, each in sorted(references[id(field)].items())
        )
        if files not in seen:
            seen.add(files)
            kept.append(field)
    used = [path for field in kept for path in paths[id(field)] if path.startswith(through)]
    unused = tuple(link for link in links if not any(path.startswith(link) for path in used))
    unused = tuple(
        link for link in unused if not link.startswith(tuple(other for other in unused if other != link))
    )
    for link in unused:
        tree.notes.append(f"{link} is a link to {tree.links[link]}, whose files are read at their own place")
    unclaimed = [path for path in unclaimed if not path.startswith(unused)] if unused else unclaimed
    return kept, sorted([*unclaimed, *unused])


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
            found=f"{template!r}, which names {error}{meant(str(error.args[0]), parts)}",
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
    return composed(text)


def _composed(parts: Mapping[str, str]) -> Mapping[str, str]:
    """Parts in one form of Unicode, so that a plate has one name; references keep the names of the files."""
    if "".join(parts.values()).isascii():
        return parts
    return {name: composed(text) for name, text in parts.items()}


def channels_by_name(screen: Screen) -> dict[str, list[str]]:
    """Name of a channel in paths (`composed`), in lower case -> the channels of the spec."""
    names: dict[str, list[str]] = {}
    for name, channel in screen.channels.items():
        names.setdefault(composed((channel.named or name).lower()), []).append(name)
    return names


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


def _built(name: str, template: str, parts: Mapping[str, str]) -> str:
    """The value of a part of `files.parts`; a well has its usual name."""
    key = f"files.parts.{name}"
    return filled_well(template, parts, key) if name == "well" else filled(template, parts, key)


def filled_well(template: str, parts: Mapping[str, str], key: str) -> str:
    """The name of the well that a template gives. A row and a column may both be numbers, from 1.

    >>> filled_well("{row}{column}", {"row": "A", "column": "1"}, "files.parts.well")
    'A01'
    >>> filled_well("{row}{column}", {"row": "002", "column": "007"}, "files.parts.well")
    'B07'
    """
    values = [parts.get(name, "") for name in PART.findall(template)]
    if len(values) == 2 and all(value.isdecimal() and 0 < int(value) <= _LARGEST_INDEX for value in values):
        return well_at(int(values[0]), int(values[1]))
    return well_name(filled(template, parts, key))
