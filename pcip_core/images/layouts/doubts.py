"""What may have been misunderstood in the names of files. Each doubt is one line for `pcip check`."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from pcip_core.files import natural_key
from pcip_core.images.field import Field
from pcip_core.images.layouts.grouping import UNREADABLE
from pcip_core.images.layouts.pattern import other_reading
from pcip_core.images.reference import Reference
from pcip_core.spec.screen import Screen
from pcip_core.spec.sections import PART
from pcip_core.user_tables.wells import is_well, well_name

_SHOWN = 5
_SAMPLED = 200  # paths, evenly spaced
_COPY = re.compile(  # Windows, macOS, browsers
    r"(?<![^/])Copy of |(?: - (?:Copy|Kopie|Copie|Copia)| copy| Kopie)?(?: ?\(\d+\))?(?: \d+)?(?=\.[^./]+$)",
    re.IGNORECASE,
)
_LONGEST_LINK = 1_000  # bytes of a file that may be the text of a link


def doubts(
    screen: Screen, fields: Sequence[Field], unclaimed: Sequence[str], notes: Sequence[str]
) -> list[str]:
    """The doubts about a screen's files.

    Args:
        screen: the spec.
        fields: the fields found, by image.
        unclaimed: the files that belong to no field.
        notes: what the listing of the files has noted.
    """
    known = [field for field in fields if field.problem is None]
    return [
        *notes,
        *_odd_wells(known),
        *_two_writings(known),
        *_copies(known),
        *_acquired_again(known),
        *_two_readings(screen, known),
        *_dividing_parts(screen, known),
        *_copied_links(screen.folder(), unclaimed),
    ]


def _odd_wells(fields: Sequence[Field]) -> Iterator[str]:
    """Wells that do not look like wells."""
    wells = {text: field for field in fields if (text := field.parts.get("well", UNREADABLE)) != UNREADABLE}
    odd = [text for text in wells if not is_well(text)]
    if odd:
        shown, path = ", ".join(map(_plain, odd[:_SHOWN])), _plain(_path(wells[odd[0]]))
        yield (
            f"{len(odd)} of {len(wells)} wells are not of the form A1 to AF48: {shown} (of {path}); to read only such "
            "names as wells, write {well:well} in files.pattern"
        )


def _two_writings(fields: Sequence[Field]) -> Iterator[str]:
    """Wells of one plate in two writings, A1 and A01."""
    writings: dict[tuple[str, str], set[str]] = defaultdict(set)
    for field in fields:
        if "well" in field.parts:
            text = field.parts["well"]
            writings[field.parts.get("plate", ""), well_name(text)].add(text)
    double = [" and ".join(sorted(texts)) for texts in writings.values() if len(texts) > 1]
    if double:
        yield (
            f"{len(double)} wells are written in two ways and taken for two: {', '.join(double[:_SHOWN])}; write "
            "{well:well} in files.pattern to make them one"
        )


def _copies(fields: Sequence[Field]) -> Iterator[str]:
    """Files that have the name of another file, and a mark that systems give to copies."""
    originals = {}  # path of what seems to be a copy -> path of its original
    for field in fields:
        for file in field.files.values():
            path = file.partition("#")[0]
            if (" " in path or "(" in path) and (name := _COPY.sub("", path)) != path:
                originals[path] = name
    named = set(originals.values())
    present = {file.partition("#")[0] for field in fields for file in field.files.values() if named}
    copies = [path for path, name in originals.items() if name in present]
    if copies:
        first = min(copies, key=natural_key)
        yield (
            f"{len(copies)} files seem to be copies of others, and their cells would count twice: {_plain(first)} of "
            f"{_plain(_COPY.sub('', first))}; remove them, or name them in files.exclude"
        )
    double = []
    for image_id, members in groupby(fields, lambda field: field.image_id):
        numbers: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for field in members:
            if (number := field.parts.get("field", "")).isdecimal():
                place = [field.parts.get(name, "") for name in ("plate", "well")]
                numbers[*place, str(int(number))].add(number)
        double += [
            f"{' and '.join(sorted(texts))} of {image_id}" for texts in numbers.values() if len(texts) > 1
        ]
    if double:
        yield (
            f"{len(double)} numbers of fields are written in two ways and taken for two fields: "
            f"{', '.join(double[:_SHOWN])}; rename the files, or name those of one writing in files.exclude"
        )


def _acquired_again(fields: Sequence[Field]) -> Iterator[str]:
    """Images that hold several acquisitions of their wells, or fields beside processed ones: `0` and `0_registered`."""
    again, processed = [], []
    for image_id, group in groupby(fields, lambda field: field.image_id):
        members = list(group)
        acquisitions = {field.parts.get("acquisition", "") for field in members}
        if len(acquisitions) > 1:
            again.append(f"{image_id} ({', '.join(sorted(acquisitions, key=natural_key)[:_SHOWN])})")
        numbers = {field.parts["field"] for field in members if "field" in field.parts}
        processed += [
            f"{number} of {image_id}"
            for number in numbers
            if (first := number.partition("_")[0]) != number and first.isdecimal() and first in numbers
        ]
    if again:
        yield (
            f"{len(again)} images hold fields of several acquisitions, and their cells would count twice if these show "
            f"the same places: {', '.join(again[:_SHOWN])}; use one, as only: {{acquisition: 0}}, or "
            "name {acquisition} in image_id, in files of the spec"
        )
    if processed:
        yield (
            f"{len(processed)} fields seem to be processed copies of others, and their cells would count twice: "
            f"{', '.join(sorted(processed, key=natural_key)[:_SHOWN])}; leave one kind out, as "
            "exclude: ['*_registered/'] in files of the spec"
        )


def _two_readings(screen: Screen, fields: Sequence[Field]) -> Iterator[str]:
    """Paths from which another well could be read."""
    patterns = screen.files.pattern
    if not patterns or isinstance(patterns, dict):
        return
    paths = [_path(field) for field in fields[:: -(-len(fields) // _SAMPLED) or 1]]
    names = [channel.named or name for name, channel in screen.channels.items()]
    readings = list(other_reading(patterns, paths, names))
    if readings:
        path, well, other = readings[0]
        yield (
            f"the well of {len(readings)} of {len(paths)} sampled files could be another, as {other} instead of {well} "
            f"in {_plain(path)}; write more of the text beside {{well}} in files.pattern"
        )


def _dividing_parts(screen: Screen, fields: Sequence[Field]) -> Iterator[str]:
    """Parts that differ between the channels of a field, so that each field has only some of its channels."""
    partial = [field for field in fields if len(field.files) < len(screen.channels)]
    if not partial or 2 * len(partial) < len(fields):
        return
    templates = screen.files.image_id + (screen.shards.by or "")
    for part in set(partial[0].parts) - set(PART.findall(templates)) - set(screen.files.parts):
        merged: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for field in partial:
            merged[tuple(text for name, text in field.parts.items() if name != part)].extend(field.files)
        whole = sum(sorted(names) == sorted(screen.channels) for names in merged.values())
        if 2 * whole > len(merged):
            values = Counter(field.parts[part] for field in partial)
            shown = ", ".join(sorted(values, key=natural_key)[:2])
            yield (
                f"{len(partial)} of {len(fields)} fields lack a channel, because the part {part} ({shown}, ...) "
                f"differs between the channels; without it there are {whole} whole fields: write _ for its name in "
                f"files.pattern, as {{_}} or {{_:d}}"
            )


def _copied_links(root: Path, unclaimed: Sequence[str]) -> Iterator[str]:
    """Files that hold the path of a folder: links that a program has copied as text."""
    for path in unclaimed:
        if "." in path.rpartition("/")[2] or path.endswith("/"):
            continue
        try:
            file = root / path
            if not file.is_file() or file.stat().st_size > _LONGEST_LINK:
                continue
            target = file.read_text().strip()
            if target and "\n" not in target and (file.parent / target).is_dir():
                yield (
                    f"{_plain(path)} is not a folder, but a file with the path of one, {target}: a link that was "
                    "copied as text; replace it by the link or by the folder"
                )
        except (OSError, ValueError):
            continue


def _path(field: Field) -> str:
    return Reference.parse(next(iter(field.files.values()))).path


def _plain(text: str) -> str:
    """Text without characters that would break a line."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
