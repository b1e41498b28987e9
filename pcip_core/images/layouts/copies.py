"""Fields that stand twice under different names, so that their cells would count twice: refused while files are listed.

Copies of files and folders, one number or one well in two writings, several acquisitions of a well in one image, fields
beside processed ones.
"""

from __future__ import annotations

import filecmp
import json
import re
import stat
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
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
    rf"(?<![^/])Copy of |(?: - (?:{_WORDS})| copy| Kopie)?(?: ?\(\d+\))?(?: \d+)?(?=(?:\.ome|\.tiff?)?\.[^./]+(?:$|/))"
    rf"|(?: - (?:{_WORDS})| copy| Kopie)(?: ?\(\d+\)| \d+)?(?=/)| ?\(\d+\)(?=/)",
    re.IGNORECASE,
)
_SAMPLED = 20  # evenly spaced files of one mark that are compared first
_PARTS = 5  # evenly spaced files of an OME-Zarr image that are compared
_NAMED = 50  # files that one line of a spec may name
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
    originals = _marked(fields)
    present = set(_paths(fields)) if originals else set()
    return {path: name for path, name in originals.items() if name in present}


def _marked(fields: Sequence[Field]) -> dict[str, str]:
    """Path with the mark of a copy -> the path without it, whether there is such a file or not."""
    return {
        path: name
        for path in _paths(fields)
        if (" " in path or "(" in path) and (name := _COPY.sub("", path)) != path
    }


def _paths(fields: Sequence[Field]) -> Iterator[str]:
    return (file.partition("#")[0] for field in fields for file in field.files.values())


def _pattern(path: str) -> str:
    """A pattern of `files.exclude` for the copies with the mark of this one; its name if the mark is a number alone."""
    match = next(match for match in _COPY.finditer(path) if match[0])
    mark, rest = match[0], path[match.end() :]
    if (folder := path.find("/", match.end())) >= 0 and not mark.lower().startswith("copy of"):
        return path[: folder + 1]
    end = "/" if path.lower().endswith(".zarr") else ""
    if mark.strip().isdecimal():
        return path + end
    return f"{mark}*{end}" if mark.lower().startswith("copy of") else f"*{mark}{rest}{end}"


def _true_copies(root: Path, fields: Sequence[Field]) -> Iterator[tuple[str, str]]:
    """Copies with the bytes of their originals. Files that only have the name of a copy are not among them."""
    marked = _marked(fields)
    if not marked:
        return
    originals = copies(fields)
    by_pattern: dict[str, list[str]] = defaultdict(list)
    for path in sorted(marked, key=natural_key):
        by_pattern[_pattern(path)].append(path)
    found: list[str] = []
    excluded: list[str] = []
    for pattern, paths in by_pattern.items():
        same = _with_same_bytes(root, {path: originals[path] for path in paths if path in originals})
        found += same
        excluded += (
            [pattern] if same and len(same) == len(paths) else same
        )  # the pattern would leave out others
    if found:
        count = (
            "a file that is a copy of another" if len(found) == 1 else f"{len(found)} files that are copies"
        )
        line = f"`exclude: {json.dumps(excluded, ensure_ascii=False)}` in files of the spec"
        yield (
            f"{count}: {found[0]!r} has the bytes of {originals[found[0]]!r}",
            f"Remove the copies, or leave them out: {line}."
            if len(excluded) <= _NAMED
            else "Remove the copies.",
        )


def _with_same_bytes(root: Path, originals: Mapping[str, str]) -> list[str]:
    """The copies of one mark that have the bytes of their originals.

    If this holds for a sample, and all have the size of their originals, it is taken to hold for all.
    """
    paths = list(originals)
    sampled = paths[:: -(-len(paths) // _SAMPLED) or 1]
    alike = all(_same(root, path, originals[path]) for path in sampled)
    if alike and all(_size(root / path) == _size(root / name) for path, name in originals.items()):
        return paths
    return [path for path in paths if _same(root, path, originals[path])]


def _size(path: Path) -> int | None:
    try:
        status = path.stat()
        return status.st_size if stat.S_ISREG(status.st_mode) else None
    except OSError:
        return None


def _same(root: Path, first: str, second: str) -> bool:
    """Whether two files or OME-Zarr images under the root have the same bytes; of an image, some files are compared."""
    pair = root / first, root / second
    try:
        for path in pair:
            require_inside(root, path)
        if all(path.is_dir() for path in pair):
            parts = [
                sorted(file.relative_to(path) for file in path.rglob("*") if file.is_file()) for path in pair
            ]
            sampled = parts[0][:: -(-len(parts[0]) // _PARTS) or 1]
            return parts[0] == parts[1] and all(_equal(pair[0] / part, pair[1] / part) for part in sampled)
        return all(path.is_file() for path in pair) and _equal(*pair)
    except (OSError, PcipError):
        return False


def _equal(first: Path, second: Path) -> bool:
    return filecmp.cmp(first, second, shallow=False)


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
