"""What the name of an image says by the rules of any microscope, to compare it with what a table says of it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pcip_core.images.layouts import opera
from pcip_core.images.layouts.exports import cv8000, imagexpress, incell
from pcip_core.images.layouts.exports.export import row_number
from pcip_core.user_tables.matching import number
from pcip_core.user_tables.wells import well_at, well_name
from pcip_core.words import many

_NAMES = (opera.NAME, cv8000.NAME, imagexpress.IN_CARTA, incell.NAME, incell.LONG, imagexpress.NAME)
_PROBED = 200  # files; if none has a name of a microscope, no other is looked at


class Named(NamedTuple):
    """What a name says; `certain` if nothing but an image of its microscope has such a name."""

    well: str
    field: str
    channel: str
    certain: bool


def read_name(name: str) -> Named | None:
    """What the name of an image says.

    >>> read_name("r02c03f04p01-ch2sk1fk1fl1.tiff")
    Named(well='B03', field='4', channel='2', certain=True)
    >>> read_name("P1_A01_s2_w1.tif"), read_name("image.tif")
    (Named(well='A01', field='2', channel='1', certain=False), None)
    """
    for pattern in _NAMES:
        if (match := pattern.fullmatch(name)) is not None:
            groups = match.groupdict()
            row = groups["row"]
            channel = groups.get("channel") or groups.get("emission") or ""
            return Named(
                well_at(int(row) if row.isdecimal() else row_number(row), int(groups["column"])),
                number(groups["field"] or ""),
                number(channel).lower(),
                pattern is not imagexpress.NAME,
            )
    return None


def contradictions(
    rows: Sequence[Mapping[str, str]], files: Sequence[Mapping[str, str]]
) -> Iterator[tuple[int, str, str]]:
    """Find the rows of a table that say of a file something else than its name.

    A well is contradicted by a name that is certain, or by any name if most names agree with the table. The number of
    a field is contradicted if most names agree with the table, and a channel if most files of the channel on this plate
    have another number or name of a channel.

    Args:
        rows: the parts of each row.
        files: channel -> path, of each row.

    Yields:
        Number of the row, what it says, and the name of the file with what that says.
    """
    named = list(_named(files))
    agree: Counter[tuple[str, bool]] = Counter()
    channels: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row, channel, _, name in named:
        for part, ours, theirs in _compared(rows[row], name):
            agree[part, ours == theirs] += 1
        if name.channel:
            channels[rows[row].get("plate", ""), channel][name.channel] += 1
    for row, channel, file, name in named:
        for part, ours, theirs in _compared(rows[row], name):
            usual = agree[part, True] > agree[part, False]
            if ours != theirs and (usual or (part == "well" and name.certain)):
                yield row, f"{part} {ours}", f"{file}, whose name says {part} {theirs}"
        counts = channels[rows[row].get("plate", ""), channel]
        (most, count), *_ = counts.most_common(1) or [("", 0)]
        if name.channel and name.channel != most and 2 * count > counts.total():
            yield (
                row,
                f"channel {channel}",
                (
                    f"{file}, whose name says channel {name.channel}, and not {most} as in {many(count, 'other row')}"
                ),
            )


def _named(files: Iterable[Mapping[str, str]]) -> Iterator[tuple[int, str, str, Named]]:
    """Row, channel, file and what its name says, of the files whose names say something."""
    probed = hits = 0
    for row, of_row in enumerate(files):
        for channel, path in of_row.items():
            if probed >= _PROBED and not hits:
                return
            probed += 1
            file = re.split(r"[/\\]", path)[-1]
            if (name := read_name(file)) is not None:
                hits += 1
                yield row, channel, file, name


def _compared(parts: Mapping[str, str], name: Named) -> Iterator[tuple[str, str, str]]:
    """Well and field, as the table and the name have them."""
    if parts.get("well"):
        yield "well", well_name(parts["well"]), name.well
    if (field := number(parts.get("field", ""))).isdecimal() and name.field:
        yield "field", field, name.field
