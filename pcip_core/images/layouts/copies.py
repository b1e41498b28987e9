"""Fields that stand twice under different names, so that their cells would count twice: refused while files are listed.

Copies of files and folders, one number or one well in two writings, several acquisitions of a well in one image, fields
beside processed ones.
"""

from __future__ import annotations

import filecmp
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from pcip_core.errors import PcipError, RootError
from pcip_core.files import natural_key
from pcip_core.images.field import Field
from pcip_core.images.inside import require_inside
from pcip_core.images.layouts.grouping import UNREADABLE
from pcip_core.spec.screen import Screen
from pcip_core.user_tables.wells import well_name
from pcip_core.words import many

_SHOWN = 5
_WORDS = "Copy|Kopie|Copie|Copia"
_COPY = re.compile(  # Windows, macOS, browsers
    rf"(?<![^/])Copy of |(?: - (?:{_WORDS})| copy| Kopie)?(?: ?\(\d+\))?(?: \d+)?(?=\.[^./]+$)"
    rf"|(?: - (?:{_WORDS})| copy| Kopie)(?: ?\(\d+\)| \d+)?(?=/)| ?\(\d+\)(?=/)",
    re.IGNORECASE,
)
_ACQUISITIONS = ("acquisition", "measurement")  # parts


def require_once(screen: Screen, fields: Sequence[Field]) -> None:
    """Refuse fields that stand twice under different names.

    Args:
        screen: the spec.
        fields: sorted by image.

    Raises:
        RootError: files are copies of others byte for byte; a well or the number of a field is written in two ways; an
            image holds several acquisitions of its well, or fields beside processed ones.
    """
    known = [field for field in fields if field.problem is None]
    for found, remedy in (
        *_true_copies(screen.folder(), known),
        *_wells_in_two_writings(known),
        *_numbers_in_two_writings(known),
        *_acquired_again(screen, known),
        *_processed(known),
    ):
        raise RootError(
            screen.folder(),
            found=found,
            required="each field once, so that no cell counts twice",
            remedy=remedy,
        )


def copies(fields: Sequence[Field]) -> dict[str, str]:
    """Path of what seems to be a copy, by a mark that systems give to copies -> path of its original."""
    originals = {}
    for field in fields:
        for file in field.files.values():
            path = file.partition("#")[0]
            if (" " in path or "(" in path) and (name := _COPY.sub("", path)) != path:
                originals[path] = name
    named = set(originals.values())
    present = {file.partition("#")[0] for field in fields for file in field.files.values() if named}
    return {path: name for path, name in originals.items() if name in present}


def excluding(paths: Sequence[str]) -> str:
    """A line for the spec that leaves out copies: patterns of their marks, or names where a mark is a number alone."""
    patterns = dict.fromkeys(map(_pattern, sorted(paths, key=natural_key)))
    return f"exclude: {json.dumps(list(patterns), ensure_ascii=False)}"


def _pattern(path: str) -> str:
    match = next(match for match in _COPY.finditer(path) if match[0])
    mark, rest = match[0], path[match.end() :]
    if rest.startswith("/"):
        return f"{path[: match.end()]}/"
    if mark.strip().isdecimal():
        return path
    return f"{mark}*" if mark.lower().startswith("copy of") else f"*{mark}{rest}"


def _true_copies(root: Path, fields: Sequence[Field]) -> Iterator[tuple[str, str]]:
    """What seems to be copies, if one has the bytes of its original."""
    originals = copies(fields)
    same = next(
        (path for path in sorted(originals, key=natural_key) if _same(root, path, originals[path])), None
    )
    if same is not None:
        count = (
            "a file that is a copy of another"
            if len(originals) == 1
            else f"{len(originals)} files that are copies"
        )
        yield (
            f"{count}: {same!r} has the bytes of {originals[same]!r}",
            f"Remove the copies, or leave them out: `{excluding(list(originals))}` in files of the spec.",
        )


def _same(root: Path, first: str, second: str) -> bool:
    """Whether two files under the root have the same bytes."""
    one, other = root / first, root / second
    try:
        for path in (one, other):
            require_inside(root, path)
        return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)
    except (OSError, PcipError):
        return False


def _wells_in_two_writings(fields: Sequence[Field]) -> Iterator[tuple[str, str]]:
    """Wells of one plate as A1 and as A01, which would be two images."""
    writings: dict[tuple[str, str], set[str]] = defaultdict(set)
    for field in fields:
        text = field.parts.get("well", UNREADABLE)
        if text != UNREADABLE:
            writings[field.parts.get("plate", ""), well_name(text)].add(text)
    double = [" and ".join(sorted(texts)) for texts in writings.values() if len(texts) > 1]
    if double:
        yield (
            f"{many(len(double), 'well')} in two writings, each taken for two: {', '.join(double[:_SHOWN])}",
            "Write {well:well} in files.pattern to make them one.",
        )


def _numbers_in_two_writings(fields: Sequence[Field]) -> Iterator[tuple[str, str]]:
    """Fields of one well as 1 and as 01."""
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
            f"{many(len(double), 'field number')} in two writings, each taken for two fields: "
            f"{', '.join(double[:_SHOWN])}",
            "Rename the files, or name those of one writing in files.exclude.",
        )


def _acquired_again(screen: Screen, fields: Sequence[Field]) -> Iterator[tuple[str, str]]:
    """Images that hold several acquisitions of their wells."""
    for part in _ACQUISITIONS:
        again: dict[str, list[str]] = {}
        for image_id, members in groupby(fields, lambda field: field.image_id):
            values = {field.parts[part] for field in members if field.parts.get(part)}
            if len(values) > 1:
                again[image_id] = sorted(values, key=natural_key)
        if again:
            shown = [
                f"{image_id} ({', '.join(values[:_SHOWN])})"
                for image_id, values in list(again.items())[:_SHOWN]
            ]
            value = next(iter(again.values()))[0]
            yield (
                f"{many(len(again), 'image')} with fields of several values of {{{part}}}, whose cells would count "
                f"twice where they show the same places: {', '.join(shown)}",
                f'Use one of them, `only: {{{part}: "{value}"}}`, or make one image of each, '
                f'`image_id: "{screen.files.image_id}_{{{part}}}"`, in files of the spec.',
            )


def _processed(fields: Sequence[Field]) -> Iterator[tuple[str, str]]:
    """Fields beside processed ones: `0` and `0_registered`."""
    processed = []
    for image_id, members in groupby(fields, lambda field: field.image_id):
        numbers = {field.parts["field"] for field in members if "field" in field.parts}
        processed += [
            (number.partition("_")[2], f"{number} of {image_id}")
            for number in numbers
            if (first := number.partition("_")[0]) != number and first.isdecimal() and first in numbers
        ]
    if processed:
        shown = sorted((text for _, text in processed), key=natural_key)[:_SHOWN]
        yield (
            f"{many(len(processed), 'field')} beside originals of which they seem to be processed copies: "
            f"{', '.join(shown)}",
            f"Leave one kind out: `exclude: ['*_{processed[0][0]}/']` in files of the spec, for folders of OME-Zarr "
            f"images; `exclude: ['*_{processed[0][0]}*']` for files.",
        )
