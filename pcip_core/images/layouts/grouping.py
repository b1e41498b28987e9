"""Functions that all layouts share: group planes into fields, make ids, refuse two files for one plane."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pcip_core.errors import ImageFileError, RootError, SpecError
from pcip_core.images.field import Field
from pcip_core.images.inside import printable, walk
from pcip_core.images.reference import Reference
from pcip_core.spec.screen import Channel, Screen

UNREADABLE = "unreadable"  # value of the unknown parts of a plate, well or archive that cannot be listed
_PART = re.compile(r"{(\w+)}")
_WELL = re.compile(r"([A-Za-z]{1,2})0*(\d{1,3})")
_NO_NAME = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|\.{3}"
)  # Dagster refuses such partitions


class Fields:
    """Collect planes and group them into fields.

    Args:
        screen: the spec; its templates, channels and `files.only` are used.
        identity: the parts that identify a field and form its id, in addition to those that the templates name;
            None for all parts.
    """

    def __init__(self, screen: Screen, identity: Sequence[str] | None = None) -> None:
        self._screen = screen
        named = {*_PART.findall(screen.files.image_id), *_PART.findall(screen.shards.by or "")}
        self._named = sorted(named)
        self._identity = None if identity is None else (*identity, *sorted(named - set(identity)))
        self._planes: dict[tuple[str, ...], tuple[dict[str, str], dict[str, str]]] = {}
        self._problems: dict[tuple[str, ...], ImageFileError] = {}

    def wants(self, parts: Mapping[str, str]) -> bool:
        """Whether `files.only` accepts a field with these parts, as far as they are known."""
        only = self._screen.files.only.items()
        return all(parts.get(name) in (str(value), UNREADABLE) for name, value in only)

    def add(self, parts: dict[str, str], files: Mapping[str, str]) -> None:
        """Add planes, channel -> reference, to the field with these parts.

        Raises:
            RootError: the field already has a different file for one of the channels.
        """
        key = self._key(parts)
        _, known = self._planes.setdefault(key, (parts, {}))
        for channel, file in files.items():
            if known.setdefault(channel, file) != file:
                raise RootError(
                    self._screen.folder(),
                    found=f"for channel {channel} of field {'_'.join(key)} both {known[channel]} and {file}",
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
        if self._key(whole) in self._planes:  # another folder of the same name
            whole[list(whole)[-1]] = f"{UNREADABLE} {path}"
        self.add(whole, dict.fromkeys(self._screen.channels, path))
        self._problems[self._key(whole)] = problem

    def __bool__(self) -> bool:
        return bool(self._planes)

    def done(self) -> list[Field]:
        """Return the fields, their channels in the order of the spec.

        Raises:
            SpecError: a template names a part that a field does not have.
            RootError: two fields have the same id.
        """
        fields: dict[str, Field] = {}
        for key, (parts, files) in self._planes.items():
            field = self._field("_".join(key), parts, files, self._problems.get(key))
            if field.field_id in fields:
                raise RootError(
                    self._screen.folder(),
                    found=f"two fields with the id {field.field_id}: {fields[field.field_id].parts}, {parts}",
                    required="a different id for each field",
                    remedy="Rename the files so that their parts joined by _ differ.",
                )
            fields[field.field_id] = field
        return list(fields.values())

    def _key(self, parts: Mapping[str, str]) -> tuple[str, ...]:
        names = parts if self._identity is None else [name for name in self._identity if name in parts]
        return tuple(parts[name] for name in names)

    def _field(
        self, field_id: str, parts: dict[str, str], files: dict[str, str], problem: ImageFileError | None
    ) -> Field:
        screen = self._screen
        image_id = filled(screen.files.image_id, parts, "files.image_id")
        if screen.shards.by is not None:
            shard = filled(screen.shards.by, parts, "shards.by")
        else:
            width = len(str((screen.shards.buckets or 1) - 1))
            shard = f"bucket_{zlib.crc32(image_id.encode()) % (screen.shards.buckets or 1):0{width}d}"
        shard = _NO_NAME.sub("_", shard)
        order = [name for name in screen.channels if name in files]
        return Field(field_id, image_id, shard, parts, {name: files[name] for name in order}, problem)


def filled(template: str, parts: Mapping[str, str], key: str) -> str:
    """Fill the parts of a field into a template.

    Raises:
        SpecError: the template names a part that the field does not have.
    """
    try:
        return template.format(**parts)
    except (KeyError, IndexError, ValueError) as error:
        raise SpecError(
            key,
            found=f"{template!r} ({type(error).__name__}: {error})",
            required=f"a template over the parts {', '.join(parts)}",
            remedy="Correct the spec.",
        ) from error


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


def files_under(root: Path) -> Iterator[str]:
    """Yield the paths of all files under the root (`walk`), relative to it and sorted."""
    paths = []
    for folder, _, names in walk(root):
        inside = folder.relative_to(root)
        paths += [printable(inside / name) for name in names]
    yield from sorted(paths)


def well_name(text: str) -> str:
    """Normalize the name of a well to letters and two digits; any other text is returned unchanged.

    >>> well_name("A1"), well_name("a01"), well_name("r01c01")
    ('A01', 'A01', 'r01c01')
    """
    match = _WELL.fullmatch(text.strip())
    return f"{match[1].upper()}{int(match[2]):02d}" if match else text.strip()


def well_at(row: int, column: int) -> str:
    """Name of the well at a row and a column, both from 1. The rows after Z are AA, AB, ...

    >>> well_at(2, 7), well_at(27, 48)
    ('B07', 'AA48')
    """
    letters = ""
    while row > 0:
        row, rest = divmod(row - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return f"{letters}{column:02d}"
