"""What the columns of names are: channel, well, plate, field, focal plane, time, cell, protein."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from pcip_core.images.proposal.naming.names import Column, Names
from pcip_core.images.proposal.naming.words import meaning, prefix_part
from pcip_core.user_tables.wells import is_well

_MOST_CHANNELS = 16
_COMPLETE = 0.8  # share of groups of files that have every value of the channel
_NUMBERED = re.compile(r"([A-Za-z]+)[ _-]?(\d+)")
_GENE = re.compile(r"[A-Z][A-Za-z0-9]*\d[A-Za-z0-9]*|[A-Z]{2,}[A-Z0-9-]*|Y[A-P][LR]\d{3}[WC](?:-[A-Z])?")
_HEX = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[0-9A-Fa-f]{32}")
_GUID = "_:hex"  # a part that is none
_PLAIN_FOLDERS = re.compile(
    r"images?|imgs?|fields?|raw|data|tiffs?|pngs?|pictures?|export(ed)?|cells?|crops?", re.I
)
_ONE_MOST = 20_000  # files by which columns are compared


@dataclass
class Reading:
    """How the columns of names are read.

    Attributes:
        names: the files and their columns.
        parts: place of a column -> the part that it is, with its type: `field:d`.
        ignored: places of columns whose text is not kept.
        channel: place of the channel; None if the names do not tell channels.
        doubts: what else could be meant, in sentences.
    """

    names: Names
    parts: dict[int, str] = field(default_factory=dict)
    ignored: set[int] = field(default_factory=set)
    channel: int | None = None
    doubts: list[str] = field(default_factory=list)

    def place(self, name: str) -> int | None:
        """The place of a part."""
        return next((place for place, part in self.parts.items() if part.partition(":")[0] == name), None)


def read_columns(names: Names, *, cells: bool) -> Reading:
    """Decide what each column is.

    Args:
        names: files of one form.
        cells: whether the images are so small that they may be cropped cells, which a number counts.
    """
    reading = Reading(names)
    columns = names.columns
    free = [place for place, column in enumerate(columns) if column.same_as is None]
    for place in free:
        if all(map(_HEX.fullmatch, columns[place].distinct[:1000])):
            reading.parts[place] = _GUID
    _find_channel(reading, [place for place in free if place not in reading.parts])
    _find_well(reading, free)
    _find_numbered(reading, free)
    _find_plate(reading, free)
    _find_rest(reading, free, cells=cells)
    if not {part.partition(":")[0] for part in reading.parts.values()} - {"channel", "_"}:
        _name_samples(reading, free)
    return reading


def _name_samples(reading: Reading, free: Sequence[int]) -> None:
    """Let the first column that differs name the samples, a GUID if need be; of a single field, the first column."""
    columns = reading.names.columns
    places = [
        place
        for place in free
        if reading.parts.get(place, _GUID) == _GUID
        and place not in reading.ignored
        and not columns[place].folder
    ]
    if places:
        place = min(places, key=lambda each: (columns[each].constant, each))
        reading.parts[place] = "sample:hex" if place in reading.parts else "sample"


def letters_of(reading: Names, place: int) -> str:
    """The letters in front of the number in a column: its own, or a constant word before it; empty without."""
    column = reading.columns[place]
    if column.letters:
        return column.letters.lower()
    matches = [_NUMBERED.fullmatch(value) for value in column.distinct[:1000]]
    letters = {match[1] for match in matches if match}
    if all(matches) and len(letters) == 1:
        return letters.pop().lower()
    if place and column.numeric:
        earlier = reading.columns[place - 1]
        if earlier.constant and earlier.folder == column.folder and prefix_part(earlier.distinct[0]):
            return earlier.distinct[0].lower()
    return ""


def _find_channel(reading: Reading, places: Sequence[int]) -> None:
    """Choose the column of the channel: few values, of which nearly every group of files has all."""
    names, scores = reading.names, {}
    frame = pl.DataFrame({str(place): names.columns[place].values[:_ONE_MOST] for place in places})
    for place in places:
        column = names.columns[place]
        if len(column.distinct) > _MOST_CHANNELS or _is_plate_column(names, place):
            continue
        letters = letters_of(names, place)
        of_letters = prefix_part(letters) if letters else None
        known = sum(meaning(value, column.distinct) is not None for value in column.distinct)
        score = 3.0 * known / len(column.distinct) if of_letters is None else 0.0
        if of_letters == "channel":
            score = 3.0
        elif of_letters is not None or (all(map(is_well, column.distinct)) and not known):
            score -= 3.0
        if column.constant:
            if score >= 3.0 and (known or letters in ("ch", "channel")):
                scores[place] = 1.0  # the only channel
            continue
        complete, names_count = _completeness(frame, place), frame.height
        score += 2.0 * (complete >= _COMPLETE) - 1.0 * column.folder + 0.5 * (place == max(places))
        score += 1.0 * (not column.numeric and of_letters is None)
        if known == len(column.distinct) and complete == 0.0 and len(column.distinct) == names_count:
            score += 1.0  # one field, whose files differ in nothing but the channel
        if score >= 2.5 or (score >= 2.0 and known):
            scores[place] = score
    if not scores:
        return
    best, *others = sorted(scores, key=lambda place: -scores[place])
    reading.channel = best
    reading.parts[best] = "channel"
    for other in others:
        if scores[other] > scores[best] - 1.0 and scores[best] > 1.0:
            reading.doubts.append(
                f"The channel could also be {_shown(names.columns[other])}, in place of {_shown(names.columns[best])}."
            )
    if names.columns[best].constant:
        return
    for place in places:  # what differs between the channels of a field is not a part of the field
        if place != best and place not in reading.parts and _follows(frame, place, best):
            column, later = names.columns[place], names.columns[max(place, best)]
            beside = abs(place - best) == 1 and "/" not in later.before and not later.letters
            if beside and not column.numeric and len(column.distinct) == len(names.columns[best].distinct):
                reading.parts[place] = "channel"  # UV - DAPI
                reading.channel = min(place, reading.channel)
            else:
                reading.ignored.add(place)


def _is_plate_column(names: Names, place: int) -> bool:
    """Whether the number of a column is that of a column of a plate: c01 in r01c01."""
    row, column = names.columns[place - 1] if place else None, names.columns[place]
    return row is not None and (row.letters.lower(), column.letters.lower()) == ("r", "c")


def _completeness(frame: pl.DataFrame, place: int) -> float:
    """The share of files whose group, by all columns that the channel does not determine, has each of its values."""
    name = str(place)
    keys = [other for other in frame.columns if other != name and not _follows(frame, int(other), place)]
    keys = [key for key in keys if frame[key].n_unique() > 1]
    count = frame[name].n_unique()
    if not keys:
        return 0.0  # nothing else tells the files apart, so that nothing says that these are channels
    groups = frame.group_by(keys).agg(pl.col(name).n_unique().alias("n"), pl.len().alias("files"))
    return float(groups.filter(pl.col("n") == count)["files"].sum()) / frame.height


def _follows(frame: pl.DataFrame, place: int, other: int) -> bool:
    """Whether a column varies and has one value for each value of another one."""
    mine, its = frame[str(place)], frame[str(other)]
    if mine.n_unique() < 2 or mine.n_unique() > its.n_unique():
        return False
    return frame.select(str(place), str(other)).n_unique() == its.n_unique()


def _find_well(reading: Reading, places: Sequence[int]) -> None:
    """Find the well, as A01 or as a row and a column."""
    if _find_row_and_column(reading, places):
        return
    columns, candidates = reading.names.columns, {}
    for place in places:
        column = columns[place]
        if place in reading.parts or place in reading.ignored or column.letters:
            continue
        if column.folder and column.constant and column.distinct[0][0] in "Pp":
            continue  # P1 is rather a plate
        texts = column.distinct[:2000]
        share = sum(is_well(text) and text[:1].isalpha() for text in texts) / len(texts)
        letters = letters_of(reading.names, place)
        if share < 0.95 or (letters and prefix_part(letters) and texts[0][0].islower()):
            continue
        rows = len({re.match(r"[A-Za-z]+", text)[0] for text in texts if text[:1].isalpha()})  # type: ignore[index]
        padded = all(len(text) > 2 for text in texts)
        candidates[place] = (texts[0].isupper(), not column.constant, padded, rows, not column.folder)
    if candidates:
        best = max(candidates, key=candidates.__getitem__)
        reading.parts[best] = "well:well"


def _find_row_and_column(reading: Reading, places: Sequence[int]) -> bool:
    """Find a well that is written as the numbers of its row and its column."""
    columns = reading.names.columns
    for place in places[:-1]:
        row, column = columns[place], columns[place + 1]
        if (row.letters, column.letters) == ("row:3d", "column:3d"):
            reading.parts[place], reading.parts[place + 1] = "row:3d", "column:3d"
            return True
        if (row.letters.lower(), column.letters.lower()) == ("r", "c"):
            reading.parts[place], reading.parts[place + 1] = "row:d", "column:d"
            return True
    return False


def _find_numbered(reading: Reading, places: Sequence[int]) -> None:
    """Find fields, focal planes, times, cells and plates by the letters in front of their numbers."""
    for place in places:
        if place in reading.parts or place in reading.ignored:
            continue
        column = reading.names.columns[place]
        letters = letters_of(reading.names, place)
        part = prefix_part(letters) if letters else None
        if letters == "p" and column.letters:
            part = "z"  # r01c01f01p01
        if part in (None, "plate", "channel") or reading.place(str(part)) is not None:
            continue
        if column.constant and not (column.letters or part in ("field", "z", "time")):
            continue
        reading.parts[place] = f"{part}:d"


def _find_plate(reading: Reading, places: Sequence[int]) -> None:
    """Find the plate: the folder, or everything in the name before the well."""
    columns = reading.names.columns
    well = reading.place("well")
    well = reading.place("row") if well is None else well
    free = [place for place in places if place not in reading.parts and place not in reading.ignored]
    if well is not None:
        before = [place for place in free if place < well and columns[place].folder == columns[well].folder]
        if columns[well].folder:
            before = before[-1:]  # AAC1_P1_A01/f1_gfp.tif
        if len(before) == 1 and _is_gene(columns[before[0]]) and _few_wells(reading, before[0], well):
            reading.parts[before[0]] = "protein"
        elif before and before == list(range(before[0], well)) and "/" not in columns[well].before:
            reading.parts |= dict.fromkeys(before, "plate")
            return
    for place in free:
        letters = letters_of(reading.names, place)
        if letters and prefix_part(letters) == "plate" and not columns[place].letters:
            reading.parts[place] = "plate"
            return
    if well is None:
        return
    folders = [place for place in free if columns[place].folder and place not in reading.parts]
    for place in reversed(folders):
        column = columns[place]
        plain = column.constant and (
            _PLAIN_FOLDERS.fullmatch(column.distinct[0]) or not re.search(r"\d", column.distinct[0])
        )
        if place not in reading.ignored and not plain:
            reading.parts[place] = "plate"
            return


def _is_gene(column: Column) -> bool:
    """Whether the texts look like names of genes or proteins."""
    texts = column.distinct[:1000]
    return sum(map(bool, map(_GENE.fullmatch, texts))) > 0.8 * len(texts)


def _few_wells(reading: Reading, place: int, well: int) -> bool:
    """Whether each text of a column stands with two wells at most, as proteins do and plates do not."""
    columns = reading.names.columns
    pairs = len(set(zip(columns[place].values, columns[well].values, strict=True)))
    return len(columns[place].distinct) > 1 and pairs <= 2 * len(columns[place].distinct)


def _find_rest(reading: Reading, places: Sequence[int], *, cells: bool) -> None:
    """Name the columns that are left and vary: the protein, fields and cells by number, conditions."""
    columns = reading.names.columns
    left = [
        place
        for place in places
        if place not in reading.parts and place not in reading.ignored and not columns[place].constant
    ]
    numbers = [place for place in left if columns[place].numeric]
    in_well = reading.place("well") is not None or reading.place("row") is not None
    cells = cells and (len(numbers) > 1 or not in_well)  # small fields of a plate have one number
    wanted = ["cell", "field"] if cells else ["field"]
    wanted = [name for name in wanted if reading.place(name) is None]
    for name in wanted:
        if numbers:
            reading.parts[numbers.pop()] = f"{name}:d"
    texts = [place for place in left if place not in reading.parts and not columns[place].numeric]
    genes = [place for place in texts if _is_gene(columns[place])]
    if genes and reading.place("protein") is None:
        reading.parts[genes[0]] = "protein"
    count = 0
    for place in left:
        if place not in reading.parts:
            count += 1
            kind = ":d" if columns[place].numeric else ""
            reading.parts[place] = f"sample{'' if count == 1 else count}{kind}"
    if reading.place("field") is None and not cells:
        _constant_field(reading, places)


def _constant_field(reading: Reading, places: Sequence[int]) -> None:
    """Take a number that all files share, after the well, as the field: 57_F11_1_blue.png."""
    well = reading.place("well")
    for place in reversed(places):
        column = reading.names.columns[place]
        if (
            place not in reading.parts
            and place not in reading.ignored
            and column.numeric
            and not column.folder
        ):
            if well is not None and place > well and len(column.distinct[0]) <= 3:
                reading.parts[place] = "field:d"
            return


def _shown(column: Column) -> str:
    values = ", ".join(column.distinct[:4])
    return (
        f"{column.before.strip('/ _-') or 'the text'} ({values}{', ...' if len(column.distinct) > 4 else ''})"
    )
