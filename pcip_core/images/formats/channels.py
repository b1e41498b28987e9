"""Which channel of a file a reference selects."""

from __future__ import annotations

from collections.abc import Sequence

from pcip_core.errors import ImageFileError
from pcip_core.images.reference import Select


def channel_number(path: object, select: Select, names: Sequence[str], count: int) -> int:
    """Return the number of the channel that a reference selects by number or by name, ignoring letter case.

    Args:
        path: the file, for the error.
        select: the reference's keys.
        names: names of the channels, if the file has them.
        count: number of channels.

    Raises:
        ImageFileError: there is no such channel.
    """
    available = f"{count} channels" + (f" named {', '.join(names)}" if names else " without names")
    if "channel" in select:
        lower = [name.lower() for name in names]
        if lower.count(select["channel"].lower()) == 1:
            number = lower.index(select["channel"].lower())
            if number < count:
                return number
        wanted = f"one named {select['channel']}"
    else:
        number = int(select.get("c", 0))
        if number < count and ("c" in select or count == 1):
            return number
        wanted = f"channel number {number}" if "c" in select else "the name or number of a channel"
    raise ImageFileError(
        path,
        found=available,
        required=wanted,
        remedy="Correct channels.*.named in the spec, or set channels.*.plane to the number (from 0).",
    )
