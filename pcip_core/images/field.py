"""One field of view, as all layouts describe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pcip_core.errors import ImageFileError
from pcip_core.images.illumination.profile import Polynomial


@dataclass(frozen=True, slots=True)
class Field:
    """One field of view: its parts, from file names or metadata, and one plane per channel.

    `files` maps channel names to references (`pcip_core.images.reference`): a path relative to the screen's
    root and, if the file holds several planes, the selected plane. A channel may be missing.

    `name` is unique within the image; it is given if fields of several wells or plates, which have the same numbers,
    form one image.

    `problem` is the reason for which the field cannot be read, if that is already known. Such a field stands for a
    plate, a well or an archive whose contents cannot be listed.

    `gains` maps channel names to the estimated illumination of the field's shard, if the spec asks for it.
    """

    field_id: str
    image_id: str
    shard: str
    parts: dict[str, str]
    files: dict[str, str]
    problem: ImageFileError | None = None
    name: str | None = None
    gains: Mapping[str, Polynomial] | None = None

    @property
    def number(self) -> str:
        """The name of the field within its image: `name`, or its part `field`, or its id if there is no such part."""
        return self.name or self.parts.get("field", self.field_id)
