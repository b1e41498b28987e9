"""Changes under a screen's root since it was last read, detected by date and size first, then by content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pcip_core.images.field import Field
from pcip_core.images.layout import Layout
from pcip_core.images.reading import content_hash
from pcip_core.images.reference import Reference
from pcip_core.spec.screen import Screen


@dataclass(frozen=True)
class Changes:
    """Ids of the fields of one shard that have changed since the shard was last read.

    Attributes:
        changed: fields with different file contents.
        removed: fields that no longer exist.
        added: new fields.
    """

    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.changed or self.removed or self.added)

    def lines(self) -> list[str]:
        """One line of text per field."""
        kinds = ("changed", "removed", "added")
        return [f"{kind}: {field_id}" for kind in kinds for field_id in getattr(self, kind)]


def stamps(screen: Screen, layout: Layout) -> dict[str, str]:
    """Shard -> hash of the names, sizes and dates of its files: fast, and different after any write to a file."""
    root = screen.folder()
    digests: dict[str, hashlib.blake2b] = {}
    for member in layout.fields:
        digest = digests.setdefault(member.shard, hashlib.blake2b(digest_size=12))
        for name, relative in member.files.items():
            stamp = "\0".join(_stamp(root / path) for path in Reference.parse(relative).paths)
            digest.update(f"{name}\0{relative}\0{stamp}\0".encode(errors="replace"))
    return {shard: digest.hexdigest() for shard, digest in digests.items()}


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
        return f"{status.st_size}\0{status.st_mtime_ns}"
    except OSError as error:  # such as a file that a table lists and that is not there
        return type(error).__name__


def changes(screen: Screen, members: list[Field], known: Mapping[str, str]) -> Changes:
    """Compare the fields of one shard with their state when the shard was last read.

    Args:
        screen: the spec.
        members: the current fields of the shard.
        known: field id -> content hash when the shard was last read, for all its fields.
    """
    now = {member.field_id: member for member in members}
    return Changes(
        changed=[name for name in now if name in known and content_hash(screen, now[name]) != known[name]],
        removed=[name for name in known if name not in now],
        added=[name for name in now if name not in known],
    )
