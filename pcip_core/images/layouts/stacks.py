"""Focal planes and times: which of them form a field, by `files.project` and `files.only` of the spec.

Each field stands once in its image: one cell must never be source and target of a pair.

They are parts of the layout (files of one plane each), or lie within a file. All layouts collect their planes in
`layouts.grouping.Fields`, which asks this module.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from pcip_core.errors import ImageFileError, RootError, SpecError, StackError
from pcip_core.files import composed
from pcip_core.images.field import Field
from pcip_core.images.formats.stack import LABELS
from pcip_core.images.reference import Reference
from pcip_core.spec.screen import Screen
from pcip_core.spec.sections import PART, TIME_PARTS, Z_PARTS
from pcip_core.user_tables.wells import well_name

_Plane = tuple[int, float, str]  # a value of {z}, so that 2 comes before 10 and 01 equals 1
_PLACES = ("plate", "well", "row", "column")
_REMEDIES = {
    "z": "Add to files in the spec `project: {{z: max}}` (or mean, sharpest, middle), or `only: {{{part}: {value}}}`.",
    "time": "Add to files in the spec `only: {{{part}: {value}}}`, or name {{{part}}} in files.image_id.",
    "other": "Name the part that differs in files.image_id, or select one value of it: `only: {{{part}: {value}}}`. If "
    "it is a focal plane or a time, call it {{z}} or {{time}} (docs/reference/spec.md#focal-planes-and-times).",
    "channels": "They hold different channels: {{{part}}} divides the field. Write _ for its name in files.pattern, as "
    "{{_}}, {{_:d}} or {{_:hex}}, so that it is not kept.",
}


def with_keys(file: str, keys: Mapping[str, str]) -> str:
    """A reference with further keys, unless it has them."""
    reference = Reference.parse(file)
    return str(
        replace(
            reference,
            select={**reference.select, **{k: v for k, v in keys.items() if k not in reference.select}},
        )
    )


def same_value(text: str, value: object, *, name: str = "") -> bool:
    """Whether a part has a value of `files.only`. Numbers are compared as numbers, wells in any writing.

    >>> same_value("01", 1), same_value("1", "01"), same_value("10", 1), same_value("a1", "A1")
    (True, True, False, False)
    >>> same_value("A01", "a1", name="well")
    True
    """
    if name == "well" and well_name(text) == well_name(str(value)):
        return True
    return text == composed(str(value)) or _plane(text) == _plane(str(value))


def _plane(text: str) -> _Plane:
    try:
        number = float(text) if text.isascii() and not set(text) & set("_nNiI") else None
    except ValueError:
        number = None
    return (1, 0.0, text) if number is None else (0, number, "")


class Stacks:
    """The focal planes of the fields of a layout.

    Args:
        screen: the spec; `files.project`, `files.only` and the channels are used.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen, self._only = screen, screen.files.only
        self._how = next(iter(screen.files.project.values()), None)
        self._z = next((self._only[name] for name in Z_PARTS if name in self._only), None)
        self._time = next((self._only[name] for name in TIME_PARTS if name in self._only), None)
        self._planes: dict[str, dict[str, dict[_Plane, str]]] = {}  # field id -> channel -> plane -> file

    def wants(self, parts: Mapping[str, str], unknown: str) -> bool:
        """Whether `files.only` accepts a field with these parts, as far as they are known.

        Args:
            parts: the parts of the field.
            unknown: the value of a part that is not known.
        """
        for key, value in self._only.items():
            names = names_of(key)
            name = next((name for name in names if name in parts), None)
            if name is None and key in (*Z_PARTS, *TIME_PARTS):
                continue  # a plane within the file
            if name is None or not (parts[name] == unknown or same_value(parts[name], value, name=name)):
                return False
        return True

    def split(self, parts: Mapping[str, str]) -> tuple[Mapping[str, str], str | None]:
        """The parts of the field, and the value of the focal plane if it is one of several to project."""
        name = next((name for name in Z_PARTS if name in parts), None) if self._how else None
        if name is None:
            return parts, None
        return {part: text for part, text in parts.items() if part != name}, parts[name]

    def within(self, channel: str, file: str, parts: Mapping[str, str]) -> str:
        """The reference to a plane, with the focal plane and the time that the spec selects within the file."""
        keys: dict[str, str] = {}
        if not any(name in parts for name in Z_PARTS):
            if self._z is not None:
                keys["z"] = _number(self._z)
            elif self._how:
                keys["project"] = self._how
            if keys and self._screen.channels[channel].role == "labels":
                keys["project"] = LABELS
        if self._time is not None and not any(name in parts for name in TIME_PARTS):
            keys["t"] = _number(self._time)
        return with_keys(file, keys) if keys else file

    def add(self, field_id: str, channel: str, plane: str, file: str) -> str:
        """Add a focal plane of a channel; return the file of this plane, which is another one if it is there twice."""
        return self._planes.setdefault(field_id, {}).setdefault(channel, {}).setdefault(_plane(plane), file)

    def finish(self, fields: Mapping[str, Field]) -> Iterator[tuple[str, ImageFileError]]:
        """Set the files of projected channels: references to all their planes.

        A channel that has one plane in all fields of a plate is no stack, and is used as it is.

        Yields:
            Id and problem of each field that lacks a plane which its plate has in another field or channel.
        """
        groups: dict[str, list[str]] = defaultdict(list)
        for field_id in self._planes:
            groups[fields[field_id].parts.get("plate", fields[field_id].shard)].append(field_id)
        for group in groups.values():
            stacks = [item for field_id in group for item in self._planes[field_id].items()]
            deep = {channel for channel, planes in stacks if len(planes) > 1}
            expected = {plane for channel, planes in stacks if channel in deep for plane in planes}
            if len(group) == 1:  # no other field tells how many planes there are
                expected = _without_gaps(expected)
            for field_id in group:
                problems = []
                for channel, planes in self._planes[field_id].items():
                    ordered = sorted(planes)
                    references = [Reference.parse(planes[plane]) for plane in ordered]
                    fields[field_id].files[channel] = planes[ordered[0]]
                    if channel not in deep:
                        continue
                    select = references[0].select | {"project": str(self._how)}
                    further = tuple(reference.path for reference in references[1:])
                    fields[field_id].files[channel] = str(Reference(references[0].path, select, further))
                    if self._screen.channels[channel].role == "labels":
                        problems.append(_labels(references[0].path, channel))
                    elif missing := sorted(expected - planes.keys()):
                        problems.append(_missing(references[0].path, channel, missing, expected))
                if problems:
                    yield field_id, problems[0]

    def require_one(self, fields: Iterable[Field]) -> None:
        """Raise if fields differ only in a focal plane or a time, and the spec does not say what they are.

        Raises:
            RootError: two such fields are in one image.
        """
        inner = {*Z_PARTS, *TIME_PARTS} - set(PART.findall(self._screen.files.image_id))
        seen: dict[tuple[object, ...], Field] = {}
        for field in fields:
            if inner.isdisjoint(field.parts) or field.problem is not None:
                continue
            rest = tuple(text for name, text in field.parts.items() if name not in inner)
            other = seen.setdefault((field.image_id, rest), field)
            if other is not field:
                raise twice(self._screen, other, field)


def differ_in_depth_or_time(first: Mapping[str, str], second: Mapping[str, str]) -> bool:
    """Whether two fields differ in a focal plane or a time."""
    return any(first.get(name) != second.get(name) for name in (*Z_PARTS, *TIME_PARTS))


def twice(screen: Screen, first: Field, second: Field) -> RootError:
    """The error of two fields that are one position of an image, with the line that the spec needs."""
    differ = [name for name in first.parts if first.parts[name] != second.parts.get(name)]
    kinds = {"z": Z_PARTS, "time": TIME_PARTS, "other": differ}
    pairs = [(kind, name) for kind, names in kinds.items() for name in differ if name in names]
    kind, part = pairs[0] if pairs else ("other", "field")
    if kind == "other" and pairs and screen.files.patterns and set(first.files).isdisjoint(second.files):
        kind = "channels"
    values = f"{{{part}}} is {first.parts.get(part)} and {second.parts.get(part)}"
    files = [next(iter(field.files.values()), "no file") for field in (first, second)]
    ids = (
        f"fields {first.field_id} and {second.field_id} are"
        if first.field_id != second.field_id
        else "they are"
    )
    return (StackError if kind in ("z", "time") else RootError)(
        screen.folder(),
        found=f"{'a stack: ' if kind in ('z', 'time') else ''}{files[0]} and {files[1]}; {ids} one field of image "
        f"{first.image_id} ({values})",
        required="each field of an image once",
        remedy=_REMEDIES[kind].format(part=part, value=_shortest(first.parts.get(part, ""))),
    )


def _shortest(text: str) -> str:
    return str(int(text)) if text.isascii() and text.isdecimal() else f'"{text}"'


def names_of(key: str) -> tuple[str, ...]:
    """The names that a part may have: z and plane are one, and time and t."""
    return next(((key, *names) for names in (Z_PARTS, TIME_PARTS) if key in names), (key,))


def _number(value: str | int) -> str:
    """The number of a plane or a time point within a file."""
    text = str(value)
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise SpecError(
            "files.only",
            found=f"{text!r}",
            required="the number of a focal plane or time point within a file, from 1",
            remedy="Correct files.only.",
        )
    return str(int(text))


def _without_gaps(planes: set[_Plane]) -> set[_Plane]:
    """Add the planes that are missing between others, if they are whole numbers and fewer than these."""
    numbers = [int(plane[1]) for plane in planes]
    if not planes or any(plane[0] or plane[1] != int(plane[1]) for plane in planes):
        return planes
    if max(numbers) - min(numbers) + 1 >= 2 * len(planes):
        return planes
    return {(0, float(number), "") for number in range(min(numbers), max(numbers) + 1)}


def _missing(path: str, channel: str, missing: Sequence[_Plane], expected: set[_Plane]) -> ImageFileError:
    shown = ", ".join(_text(plane) for plane in missing[:5])
    return ImageFileError(
        path,
        found=f"no file for focal plane {shown} of channel {channel}",
        required=f"the {len(expected)} planes {', '.join(_text(plane) for plane in sorted(expected)[:20])}, as in the "
        "rest of the plate",
        remedy="Copy the missing file, or use one plane that all fields have: `only: {z: "
        f"{_text(min(expected - set(missing)))}}}` in place of `project` in files of the spec.",
    )


def _labels(path: str, channel: str) -> ImageFileError:
    return ImageFileError(
        path,
        found=f"several focal planes of the label image {channel}",
        required="one label image per field, because numbers of objects cannot be projected",
        remedy="Use `only: {z: 1}` in place of `project` in files of the spec, or label a projection.",
    )


def _text(plane: _Plane) -> str:
    return plane[2] or f"{plane[1]:g}"


def named_once(screen: Screen, fields: Sequence[Field]) -> list[Field]:
    """Give each field a number that no other field of its image has.

    Fields of several wells or plates in one image may have the same numbers; the well or plate is then part of the
    number. Fields of cropped cells (segmentation method `whole`) may hold cells of one field and are not changed.

    Args:
        screen: the spec, for errors.
        fields: sorted by image.

    Raises:
        RootError: two fields of an image have the same number and place: they are one position.
    """
    if screen.segmentation.method == "whole":
        return list(fields)
    named: list[Field] = []
    for _, group in groupby(fields, key=lambda field: field.image_id):
        members = list(group)
        if len({field.number for field in members}) < len(members):
            members = _of_one_image(screen, members)
        named += members
    return named


def _of_one_image(screen: Screen, members: list[Field]) -> list[Field]:
    places = [
        part
        for part in _PLACES
        if len({field.parts.get(part) for field in members if field.problem is None}) > 1
    ]
    seen: dict[str, Field] = {}
    named = []
    for field in members:
        if field.problem is None:
            name = "_".join([*(field.parts.get(part, "") for part in places), field.number])
            other = seen.setdefault(name, field)
            if other is not field:
                raise twice(screen, other, field)
            field = replace(field, name=name)
        named.append(field)
    return named
