"""One field of view, as every layout names it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Field:
    """One field of view: its parts as file names or metadata give them, and one plane a channel.

    `files` maps channel names to paths relative to the screen's root, with what selects the plane where a
    file holds several (`pcip_core.images.reference`); a channel may be missing.
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
