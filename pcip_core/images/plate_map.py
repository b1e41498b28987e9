"""Plates and wells of a screen: how many fields each well has, which wells are missing, and a map in text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

from pcip_core.files import natural_key
from pcip_core.images.field import Field
from pcip_core.images.layouts.grouping import UNREADABLE, filled
from pcip_core.spec.screen import Screen
from pcip_core.user_tables.wells import row_and_column, well_at, well_name, well_of

_WELL = re.compile(r"([A-Z]{1,2})(\d{2})")
_ROWS, _COLUMNS = 32, 48  # of a plate of 1536 wells
_FEWEST = 4  # wells from which on the usual number of fields is known
_USUAL = 0.75  # share of the wells with the usual number of fields
LISTED = "listed in the platemap"
"""A reason for which a well is expected."""
_GAPS = 0.1  # largest share of gaps in a filled rectangle of wells
_RECTANGLE = 12  # wells of the smallest rectangle that is judged
_PARTIAL = 0.25  # a plate that lacks more of the wells of the other plates is partly filled on purpose
_SPARSE = 1 / 3  # a plate that lacks more of the wells of its platemap is partly imaged on purpose


@dataclass(frozen=True)
class Plate:
    """One plate: well -> number of its fields. Its name is "" if the screen has no plates."""

    name: str
    wells: Mapping[str, int]

    @cached_property
    def places(self) -> dict[tuple[int, int], str]:
        """(row, column), both from 1 -> well; empty unless each well has a place of its own on a plate."""
        places = {place: well for well in self.wells if (place := place_of(well)) is not None}
        return places if len(places) == len(self.wells) else {}

    @property
    def usual(self) -> int | None:
        """The number of fields that nearly all wells have; None if their numbers vary, or for a few wells."""
        (number, wells), *_ = Counter(self.wells.values()).most_common(1)
        return number if len(self.wells) >= _FEWEST and wells >= _USUAL * len(self.wells) else None

    @property
    def short(self) -> dict[str, int]:
        """The wells with fewer fields than nearly all others, and their number of fields."""
        usual = self.usual
        return {} if usual is None else {well: n for well, n in self.wells.items() if n < usual}

    def within(self, well: str) -> bool:
        """Whether a well lies between two imaged wells of its row or of its column."""
        place = place_of(well)
        if place is None:
            return False
        for axis in (0, 1):
            line = [other[axis] for other in self.places if other[1 - axis] == place[1 - axis]]
            if line and min(line) < place[axis] < max(line):
                return True
        return False


def place_of(well: str) -> tuple[int, int] | None:
    """Row and column of a well, both from 1; None for a text that names no well.

    >>> place_of("B07"), place_of("AF48"), place_of("r02c11"), place_of("Screen_P1")
    ((2, 7), (32, 48), (2, 11), None)
    """
    match = _WELL.fullmatch(well_name(well))
    if match is None:
        return None
    row, column = 0, int(match[2])
    for letter in match[1]:
        row = 26 * row + ord(letter) - ord("A") + 1
    return (row, column) if row <= _ROWS and 1 <= column <= _COLUMNS else None


def plates_of(screen: Screen, fields: Iterable[Field]) -> list[Plate]:
    """Count the fields of each well of each plate.

    Plate and well are the templates `images.values` of the spec, or the parts of a field; a well may also be a row
    and a column. A field without a well is not counted.

    Returns:
        The plates and their wells in natural order.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for field in fields:
        counts[_described(screen, field.parts, "plate"), _described(screen, field.parts, "well")] += 1
    wells: dict[str, dict[str, int]] = {}
    for plate, well in sorted(counts, key=lambda key: (natural_key(key[0]), natural_key(key[1]))):
        if well not in ("", UNREADABLE):
            of_plate = wells.setdefault(plate, {})
            of_plate[well_name(well)] = of_plate.get(well_name(well), 0) + counts[plate, well]
    return [Plate(name, of_plate) for name, of_plate in wells.items()]


def _described(screen: Screen, parts: Mapping[str, str], name: str) -> str:
    """The plate or the well of a field; empty if nothing names it."""
    template = screen.images.values.get(name)
    if template is not None:
        return filled(template, parts, f"images.values.{name}")
    apart = row_and_column(parts) if name == "well" and name not in parts else None
    return parts.get(name, "") if apart is None else well_of(parts[apart[0]], parts[apart[1]])


def missing_wells(
    plates: Sequence[Plate], listed: Collection[tuple[str, str]] = ()
) -> dict[str, dict[str, str]]:
    """Find the wells that should have images and have none.

    A well is missing from a plate in three cases:

    - The platemap lists it, and at least two thirds of the plate's wells in the platemap have images.
    - More than half of the other plates have it, this plate has at least three quarters of the wells that more than
      half of the others have, and it lies between two imaged wells of its row or column.
    - The imaged wells fill a rectangle of at least 12 wells to at least 90 %, and it is a gap between two imaged
      wells of its row or column.

    A plate that is filled from its beginning to some well, or sparsely, therefore lacks nothing.

    Args:
        plates: the plates with their imaged wells.
        listed: (plate, well) of each row of the platemap; the plate is "" if a row holds for all plates.

    Returns:
        plate -> missing well -> the reason for which it is expected.
    """
    on_plates = Counter(well for plate in plates for well in plate.wells)
    of_all = {well for name, well in listed if not name}
    by_plate: dict[str, set[str]] = {}
    for name, well in listed:
        by_plate.setdefault(name, set()).add(well)
    missing = {}
    for plate in plates:
        have = plate.wells.keys()
        expected = by_plate.get(plate.name, set()) | of_all
        if plate.places:  # a row of totals below a table names no well
            expected = {well for well in expected if place_of(well) is not None}
        most = {well for well, n in on_plates.items() if 2 * (n - (well in have)) > len(plates) - 1}
        whole = _rectangle(plate)
        reasons = dict.fromkeys(_inner(plate, whole, _GAPS), "a gap between imaged wells")
        if len(plates) > 1:
            reasons |= dict.fromkeys(_inner(plate, most, _PARTIAL), "imaged on most of the other plates")
        if len(expected - have) <= _SPARSE * len(expected):
            reasons |= dict.fromkeys(expected - have, LISTED)
        if reasons:
            missing[plate.name] = {well: reasons[well] for well in sorted(reasons, key=natural_key)}
    return missing


def _rectangle(plate: Plate) -> set[str]:
    """All wells of the smallest rectangle around the imaged wells; empty for a small one."""
    if not plate.places:
        return set()
    rows, columns = zip(*plate.places, strict=True)
    places = [(r, c) for r in range(min(rows), max(rows) + 1) for c in range(min(columns), max(columns) + 1)]
    return (
        {plate.places.get(place, well_at(*place)) for place in places} if len(places) >= _RECTANGLE else set()
    )


def _inner(plate: Plate, wells: Set[str], most: float) -> set[str]:
    """The wells that a plate lacks and that lie between imaged ones; none if it lacks more than a share of all."""
    absent = wells - plate.wells.keys()
    return {well for well in absent if plate.within(well)} if len(absent) <= most * len(wells) else set()


def drawn(plate: Plate, missing: Collection[str] = ()) -> list[str]:
    """Draw the map of a plate: a line per row with the number of fields of each well.

    Args:
        plate: the plate.
        missing: wells that are shown as `?`; other wells without fields are shown as `.`.

    Returns:
        The lines, from the first to the last row and column in use; none if the wells are not named like A01.

    >>> print("\\n".join(drawn(Plate("P1", {"A01": 4, "A03": 4, "B01": 4, "B02": 12, "B03": 4}), ["A02"])))
         1  2  3
    A    4  ?  4
    B    4 12  4
    """
    if not plate.places:
        return []
    marks = {place_of(well): "?" for well in missing}
    marks |= {place: str(plate.wells[well]) for place, well in plate.places.items()}
    places = [place for place in marks if place is not None]
    rows, columns = [range(min(axis), max(axis) + 1) for axis in zip(*places, strict=True)]
    width = max(2, *map(len, marks.values())) + 1
    lines = ["   " + "".join(f"{column:>{width}}" for column in columns)]
    for row in rows:
        cells = "".join(f"{marks.get((row, column), '.'):>{width}}" for column in columns)
        lines.append(f"{well_at(row, 1)[:-2]:<3}{cells}")
    return lines
