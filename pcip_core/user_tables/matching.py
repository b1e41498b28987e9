"""One matching of the rows of a table to the images, wells or fields of a screen.

`Keys` finds a key among those of a table in any writing. `rows_by_key` indexes a table with one row per key. `match`
matches the keys to a screen and gives a `Matching`, which counts and names what does not match.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from pcip_core.errors import SpecError
from pcip_core.files import composed
from pcip_core.user_tables.lines import row_labels
from pcip_core.words import plural, share

Key = tuple[str, ...]
Normalize = Callable[[str], str]
Row = dict[str, str | None]
_SHOWN = 5
_MANY = 0.1  # share of the rows, or of the images, from which on those without a match are a problem
_SEPARATORS = re.compile(r"(?<=[^\W_])[\s_-]+(?=[^\W_])")
_LETTERS_AND_NUMBER = re.compile(r"(?<=[^\W\d_])_(?=\d)|(?<=\d)_(?=[^\W\d_])")
_ZEROS = re.compile(r"(?<![\d.,])0+(?=\d)")
_ENDING = re.compile(r"(\.ome)?\.(tiff?|png|jpe?g|zarr|czi|nd2|lif)(\.gz)?$", re.IGNORECASE)  # of image files
_WHOLE = re.compile(r"(\d+)(\.0+)?")  # 1.0 is what pandas makes of 1 in a column with empty cells


def stripped(text: str) -> str:
    """A text without spaces around it, in the composed form of Unicode."""
    return composed(text.strip())


def number(text: str) -> str:
    """A text, or a whole number as its digits: 1, 01 and 1.0 are one field.

    >>> number(" 01"), number("0"), number("1.0"), number("f01")
    ('1', '0', '1', 'f01')
    """
    text = stripped(text)
    match = _WHOLE.fullmatch(text)
    return match[1].lstrip("0") or "0" if match else text


def bare(text: str) -> str:
    """A text as `stripped` gives it, without the ending of an image file.

    >>> bare("P1_A01.tif "), bare("a.ome.TIFF"), bare("P1.2")
    ('P1_A01', 'a', 'P1.2')
    """
    return _ENDING.sub("", stripped(text))


def loose(text: str) -> str:
    """A text without what people and programs change: letter case, zeros before a number, separators, forms of Unicode.

    >>> loose("Plate 01_A1"), loose("plate1-a01"), loose("DMSO-"), loose("0.05")
    ('plate1a1', 'plate1a1', 'dmso-', '0.05')
    """
    text = unicodedata.normalize("NFKC", number(text)).casefold()
    text = _SEPARATORS.sub("_", _ZEROS.sub("", text))
    return _ZEROS.sub("", _LETTERS_AND_NUMBER.sub("", text))


class Place(NamedTuple):
    """Where a key stands in a table.

    Args:
        keys: all writings of the key in the table; empty if it is not there.
        rewritten: whether they are equal only by `loose`.
        doubts: keys of the table of which each could be meant, if there are several.
    """

    keys: Sequence[Key] = ()
    rewritten: bool = False
    doubts: Sequence[Key] = ()


class Keys:
    """The keys of a table, found in any writing.

    Args:
        keys: of the table's rows.
        normalizers: one per part of a key: gives equal texts for writings that are certainly the same, such as
            `well_name`. If no key is certainly the same, the only one that is the same by `loose` is taken.

    >>> from pcip_core.user_tables.wells import well_name
    >>> keys = Keys([("P1", "A1"), ("P1", "B01"), ("p-1", "B1")], [str, well_name])
    >>> keys.place(("P1", "A01")), keys.place(("P01", "a1")).keys
    (Place(keys=[('P1', 'A1')], rewritten=False, doubts=()), [('P1', 'A1')])
    >>> keys.place(("p_1", "B01")).doubts
    [('P1', 'B01'), ('p-1', 'B1')]
    """

    def __init__(self, keys: Iterable[Key], normalizers: Sequence[Normalize]) -> None:
        self._normalizers = normalizers
        self._sure: dict[Key, list[Key]] = {}
        for key in dict.fromkeys(keys):
            self._sure.setdefault(self.sure(key), []).append(key)

    def __iter__(self) -> Iterator[Key]:
        return (key for keys in self._sure.values() for key in keys)

    def __len__(self) -> int:
        return sum(map(len, self._sure.values()))

    def sure(self, key: Key) -> Key:
        """The key as it is compared: equal for writings that are certainly the same."""
        return tuple(normalize(text) for normalize, text in zip(self._normalizers, key, strict=True))

    def place(self, key: Key) -> Place:
        """Where a key stands in the table."""
        sure = self.sure(key)
        if sure in self._sure:
            return Place(self._sure[sure])
        candidates = self._loose.get(tuple(map(loose, sure)), [])
        if len(candidates) > 1:
            return Place(doubts=[self._sure[candidate][0] for candidate in candidates])
        return Place(self._sure[candidates[0]], rewritten=True) if candidates else Place()

    @cached_property
    def _loose(self) -> dict[Key, list[Key]]:
        """Key by `loose` -> the keys that are equal by it, as they are compared."""
        by_loose: dict[Key, list[Key]] = {}
        for sure in self._sure:
            by_loose.setdefault(tuple(map(loose, sure)), []).append(sure)
        return by_loose


@dataclass(frozen=True)
class Matching:
    """What of a table matches a screen, and what does not.

    Args:
        table: the table, as the spec names it.
        role: what the spec uses it for: `platemap`, `table`, `annotations`, `centres`, `cellprofiler`.
        what: what has a row: images, fields.
        n_rows: number of rows, or of different keys in a table with several rows per key.
        without_row: ids of the images without a row.
        unused: the rows that match no image, by their keys.
        row_of: image id -> key of its row.
        rewritten: images whose row has their key in another writing, in words.
        doubts: images and rows that could match in several ways, in words. Such images have no row.
        repeated: rows that repeat others, in words.
        some_without: whether some images have no row even in the right table: fields without a cell, controls.
        some_unused: whether the right table describes more than the screen has, as that of an atlas does.
    """

    table: str
    role: str
    what: str
    n_rows: int
    without_row: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    row_of: dict[str, Key] = field(default_factory=dict)
    rewritten: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    some_without: bool = False
    some_unused: bool = False

    @property
    def n_images(self) -> int:
        """Number of images of the screen."""
        return len(self.row_of) + len(self.without_row)

    def __str__(self) -> str:
        """Counts, and examples of what does not match, in one line."""
        parts = [f"{share(len(self.row_of), self.n_images, self.what, does='have')} a row"]
        if self.rewritten:
            parts.append(f"{len(self.rewritten)} of them in another writing: {shown(self.rewritten)}")
        if self.unused:
            examples = "" if self.some_unused else f": {shown(self.unused)}"
            parts.append(f"{self._unmatched()}{examples}")
        return "; ".join(parts)

    def _unmatched(self) -> str:
        return f"{share(len(self.unused), self.n_rows, 'row', does='match')} none of the {plural(self.what)}"

    def problems(self) -> list[str]:
        """What is wrong, one sentence each.

        Images without a row are a problem, and in a table with `some_without` from a tenth of the images on. Rows
        without an image are a problem from a tenth of the rows on, and in a table with `some_unused` they are none.
        """
        problems = []
        if len(self.without_row) > (_MANY * self.n_images if self.some_without else 0):
            problems.append(
                f"no row for {share(len(self.without_row), self.n_images, self.what)}: {shown(self.without_row)}"
            )
        if len(self.unused) > _MANY * self.n_rows and not self.some_unused:
            problems.append(f"{self._unmatched()}: {shown(self.unused)}")
        if self.doubts:
            problems.append(f"{len(self.doubts)} in doubt: {shown(self.doubts)}")
        if self.repeated:
            problems.append(f"rows that stand twice ({len(self.repeated)}): {shown(self.repeated)}")
        return [f"{self.table}: {problem}" for problem in problems]


def shown(texts: Sequence[str]) -> str:
    """The first of some texts."""
    return ", ".join(texts[:_SHOWN]) + (", ..." if len(texts) > _SHOWN else "")


def _claims(keys: Keys, places: Mapping[Key, Place]) -> Counter[Key]:
    """Row in another writing -> how many different keys of images could mean it."""
    meant = {(place.keys[0], keys.sure(key)) for key, place in places.items() if place.rewritten}
    return Counter(row for row, _ in meant)


def _alike(unused: Sequence[Key], used: Collection[Key]) -> Iterator[str]:
    """The rows that match no image and are equal by `loose` to one that does, in words."""
    alike = {tuple(map(loose, key)): key for key in used} if unused else {}
    for key in unused:
        like = alike.get(tuple(map(loose, key)))
        if like is not None:
            yield f"the row {' '.join(key)} (or {' '.join(like)}, which an image has)"


@dataclass(frozen=True)
class Rows:
    """The rows of a table with one row per key.

    Args:
        values: key -> the other cells; None for an empty one. Of rows that repeat each other, the first.
        keys: the same keys, to find them in any writing.
        repeated: rows that repeat others, in words.
    """

    values: dict[Key, Row]
    keys: Keys
    repeated: list[str] = field(default_factory=list)


def rows_by_key(
    path: Path,
    rows: Sequence[Mapping[str, str]],
    names: Sequence[str],
    normalizers: Sequence[Normalize],
    *,
    advice: str = "",
) -> Rows:
    """Index the rows of a table by the cells of some columns.

    Args:
        path: of the table, for errors.
        rows: column -> text, as `read_table` gives them.
        names: the key columns.
        normalizers: of their cells, as for `Keys`.
        advice: what else can be done about two rows with one key.

    Raises:
        SpecError: a cell of a key column is empty, or two rows with the same key differ. Each row is named.
    """
    of_rows = [tuple(row[name] for name in names) for row in rows]
    if not all(map(all, of_rows)):
        raise _incomplete(path, rows, names)
    keys = Keys(of_rows, normalizers)
    first: dict[Key, int] = {}
    values: dict[Key, Row] = {}
    repeated: list[int] = []  # positions of rows, each followed by the one that it repeats
    for number, (key, row) in enumerate(zip(of_rows, rows, strict=True)):
        cells = {name: text or None for name, text in row.items() if name not in names}
        sure = keys.sure(key)
        earlier = first.setdefault(sure, number)
        if earlier == number:
            values[key] = cells
        elif values[of_rows[earlier]] == cells:
            repeated += [number, earlier]
        else:
            labels = row_labels(path, [earlier, number])
            both = zip(labels, (rows[earlier], row), strict=True)
            raise SpecError(
                path,
                found=f"two rows for {_written(dict(zip(names, sure, strict=True)))}: "
                + "; ".join(f"{label} ({_written(cells)})" for label, cells in both),
                required="one row",
                remedy=f"Remove the wrong row (A1, A01 and A-1 are the same well).{advice}",
            )
    labels = row_labels(path, repeated)
    pairs = zip(labels[::2], labels[1::2], strict=True)
    return Rows(values, keys, [f"{label} repeats {first_label}" for label, first_label in pairs])


def _incomplete(path: Path, rows: Sequence[Mapping[str, str]], names: Sequence[str]) -> SpecError:
    """The error of rows whose keys are not complete. It counts the empty cells of the other columns too."""
    blank = [number for number, row in enumerate(rows) if not all(row[name] for name in names)]
    counts = {name: sum(not row[name] for row in rows) for name in rows[0]}
    others = [f"{n} without {name}" for name, n in counts.items() if name not in names and 0 < n < len(rows)]
    labels = row_labels(path, blank[:_SHOWN])
    texts = [f"{label} ({_written(rows[number])})" for label, number in zip(labels, blank, strict=False)]
    return SpecError(
        path,
        found=" and ".join(
            f"{share(counts[name], len(rows), 'row')} without {name}" for name in names if counts[name]
        )
        + f": {', '.join(texts)}{', ...' if len(blank) > _SHOWN else ''}"
        f"{'; also ' * bool(others)}{', '.join(others)}",
        required=f"{' and '.join(names)} in each row",
        remedy="Fill in each row. Merged cells of Excel have a value only in their first row.",
    )


def _written(values: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {text}" for name, text in values.items() if text) or "nothing else"


def match(
    table: str,
    role: str,
    keys: Keys,
    ours: Mapping[str, Key],
    *,
    what: str = "image",
    further: Mapping[str, Collection[Key]] | None = None,
    values: Mapping[Key, Row] | None = None,
    repeated: Sequence[str] = (),
    some_without: bool = False,
) -> Matching:
    """Match the keys of a table to the images (or fields) of a screen.

    A row in another writing is taken only if it is the row of no image in that image's own writing.

    Args:
        table, role, what, repeated, some_without: see `Matching`.
        keys: of the table.
        ours: image id -> its key.
        further: image id -> the other keys of its fields, such as the further wells of an image, whose rows must agree.
        values: key -> the other cells of its row, to compare them.

    >>> keys = Keys([("P1", "A1"), ("P1", "A2")], [str, str])
    >>> matching = match("wells.csv", "platemap", keys, {"P1_A01": ("P1", "A01")})
    >>> matching.rewritten, matching.unused
    (['P1_A01 (P1 A1 in the table)'], ['P1 A2'])
    """
    further = further or {}
    places = {key: keys.place(key) for key in dict.fromkeys(ours.values())}
    taken = {keys.sure(key) for key, place in places.items() if place.keys and not place.rewritten}
    claims = _claims(keys, places)
    row_of: dict[str, Key] = {}
    rewritten, without, doubts = [], [], []
    for image_id, key in ours.items():
        place = places[key]
        if place.doubts:
            without.append(image_id)
            doubts.append(f"{image_id} (could be {' or '.join(map(' '.join, place.doubts))})")
        elif not place.keys:
            without.append(image_id)
        elif place.rewritten and keys.sure(place.keys[0]) in taken:
            without.append(image_id)
            doubts.append(f"{image_id} (or {' '.join(place.keys[0])}, which another image has)")
        elif place.rewritten and claims[place.keys[0]] > 1:
            without.append(image_id)
            doubts.append(f"{image_id} (or another image, for the row {' '.join(place.keys[0])})")
        else:
            others = {each for other in further.get(image_id, ()) for each in keys.place(other).keys[:1]}
            differing = [other for other in others if values and values[other] != values[place.keys[0]]]
            if differing:
                without.append(image_id)
                doubts.append(
                    f"{image_id} (its fields have different rows, {' '.join(key)} and {' '.join(differing[0])})"
                )
                continue
            row_of[image_id] = place.keys[0]
            if place.rewritten:
                rewritten.append(f"{image_id} ({' '.join(place.keys[0])} in the table)")
    used = {each for key in [*ours.values(), *chain(*further.values())] for each in keys.place(key).keys}
    unused = [key for key in keys if key not in used]
    doubts += _alike(unused, used)
    return Matching(
        table,
        role,
        what,
        n_rows=len(keys),
        without_row=without,
        unused=[" ".join(key).strip() for key in unused],
        row_of=row_of,
        rewritten=rewritten,
        doubts=doubts,
        repeated=list(repeated),
        some_without=some_without,
    )
