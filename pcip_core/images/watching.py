"""What has changed under a screen's root since it was last read: by date and size first, then by content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from pcip_core.images.field import Field
from pcip_core.images.layout import Layout
from pcip_core.images.reading import content_hash
from pcip_core.spec.screen import Screen


@dataclass(frozen=True)
class Changes:
    """Fields of one shard that are not what they were when the shard was last made.

    Attributes:
        changed: fields whose files have other bytes.
        removed: fields that are gone.
        added: fields that were not there.
    """

    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.changed or self.removed or self.added)

    def lines(self) -> list[str]:
        """One line a field, for a person."""
        return [f"{what}: {one}" for what in ("changed", "removed", "added") for one in getattr(self, what)]


def stamps(screen: Screen, layout: Layout) -> dict[str, str]:
    """shard -> hash of the names, sizes and dates of its files: cheap, and other whenever a file is touched."""
    root = screen.folder()
    digests: dict[str, hashlib.blake2b] = {}
    for one in layout.fields:
        digest = digests.setdefault(one.shard, hashlib.blake2b(digest_size=12))
        for name, relative in one.files.items():
            about = (root / relative.partition("#")[0]).stat()
            digest.update(f"{name}\0{relative}\0{about.st_size}\0{about.st_mtime_ns}\0".encode())
    return {shard: digest.hexdigest() for shard, digest in digests.items()}


def changes(screen: Screen, members: list[Field], known: Mapping[str, str]) -> Changes:
    """Compare the fields of one shard with what was read of them.

    Args:
        screen: the spec.
        members: the shard's fields as they are now.
        known: field id -> content hash when the shard was made, of every field that was found.
    """
    now = {one.field_id: one for one in members}
    return Changes(
        changed=[name for name in now if name in known and content_hash(screen, now[name]) != known[name]],
        removed=[name for name in known if name not in now],
        added=[name for name in now if name not in known],
    )
