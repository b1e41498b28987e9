"""From a folder of files to fields and images, by the pattern of the screen's spec. No pixel is read here."""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from dataclasses import dataclass, field

from pcip_core.errors import RootError
from pcip_core.screen import Screen


@dataclass(frozen=True)
class Field:
    """One field of view: its parts as the file names give them, and one file a channel.

    `files` maps channel names to paths relative to the screen's root; a channel may be missing.
    """

    field_id: str
    image_id: str
    shard: str
    parts: dict[str, str]
    files: dict[str, str]

    @property
    def number(self) -> str:
        """The field's own name within its image: the part called `field`, or the whole id."""
        return self.parts.get("field", self.field_id)


@dataclass(frozen=True)
class Layout:
    """What a screen's root holds: fields in the order of their ids, and files that no pattern claims."""

    fields: list[Field]
    unclaimed: list[str] = field(default_factory=list)

    def shards(self) -> list[str]:
        """Names of the shards, sorted naturally (plate_2 before plate_10)."""
        return sorted({one.shard for one in self.fields}, key=_natural)

    def of_shard(self, shard: str) -> list[Field]:
        """The fields of one shard, those of one image together."""
        return [one for one in self.fields if one.shard == shard]


def scan(screen: Screen) -> Layout:
    """Group the files under the screen's root into fields.

    Raises:
        RootError: there is no root, or no file matches the pattern for any channel.
    """
    root = screen.folder()
    named = {channel.named or name: name for name, channel in screen.channels.items()}
    expression = _expression(screen.files.pattern, list(named))
    found: dict[tuple[tuple[str, str], ...], dict[str, str]] = defaultdict(dict)
    unclaimed = []
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        relative = path.relative_to(root).as_posix()
        match = expression.fullmatch(relative)
        if match is None:
            unclaimed.append(relative)
            continue
        parts = match.groupdict()
        channel = named[parts.pop("channel")]
        found[tuple(parts.items())][channel] = relative
    if not found:
        example = f"; the first file there is {unclaimed[0]}" if unclaimed else "; the folder is empty"
        raise RootError(
            root,
            found=f"no file that matches {screen.files.pattern!r}{example}",
            required=f"files for the channels {', '.join(named)}",
            remedy="Correct files.pattern or channels.*.named in the spec, or the root.",
        )
    fields = [_field(screen, dict(parts), files) for parts, files in found.items()]
    return Layout(sorted(fields, key=lambda one: (_natural(one.image_id), _natural(one.field_id))), unclaimed)


def _field(screen: Screen, parts: dict[str, str], files: dict[str, str]) -> Field:
    image_id = screen.files.image_id.format(**parts)
    if screen.shards.by is not None:
        shard = screen.shards.by.format(**parts)
    else:
        width = len(str((screen.shards.buckets or 1) - 1))
        shard = f"bucket_{zlib.crc32(image_id.encode()) % (screen.shards.buckets or 1):0{width}d}"
    order = [name for name in screen.channels if name in files]
    return Field("_".join(parts.values()), image_id, shard, parts, {name: files[name] for name in order})


def _expression(pattern: str, channels: list[str]) -> re.Pattern[str]:
    """A pattern of named parts as a regular expression; a repeated part must repeat its text."""
    seen: set[str] = set()
    out = []
    for text, name in re.findall(r"([^{]*)(?:{(\w+)})?", pattern):
        out.append(re.escape(text))
        if not name:
            continue
        if name in seen:
            out.append(f"(?P={name})")
        elif name == "channel":
            out.append(f"(?P<channel>{'|'.join(sorted(map(re.escape, channels), key=len, reverse=True))})")
        else:
            out.append(f"(?P<{name}>[^/]+?)")
        seen.add(name)
    return re.compile("".join(out))


def _natural(text: str) -> list[tuple[int, int | str]]:
    return [(0, int(piece)) if piece.isdigit() else (1, piece) for piece in re.split(r"(\d+)", text) if piece]
