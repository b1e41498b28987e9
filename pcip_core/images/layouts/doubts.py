"""What may have been misunderstood in the names of files. Each doubt is one line for `pcip check`."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from pcip_core.files import natural_key
from pcip_core.images.field import Field
from pcip_core.images.layouts.copies import copies
from pcip_core.images.layouts.grouping import UNREADABLE, channels_by_name
from pcip_core.images.layouts.pattern import channels_of, matches, other_reading
from pcip_core.images.reference import Reference
from pcip_core.spec.bounds import meant
from pcip_core.spec.screen import Screen
from pcip_core.spec.sections import PART, TIME_PARTS, Z_PARTS
from pcip_core.user_tables.wells import is_well
from pcip_core.words import escaped, many, share, verb

_SHOWN = 5
_SAMPLED = 200  # paths, evenly spaced
_TIMES = {"hour", "hours", "hr", "hpi", "day", "days", "min", "minute", "minutes", "sec", "second", "seconds"}
_LIKE_DEPTH = re.compile(
    r"(?:z|z[ _-]?(?:step|slice|stack|plane|pos)|slice|focus|focal[ _-]?plane)[ _-]?\d+", re.I
)
_LIKE_TIME = re.compile(r"(?:t|tp|time|time[ _-]?point|frame|day|hour|min)[ _-]?\d+", re.I)
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
        *_other_channels(screen, known, unclaimed),
        *_copies(known),
        *_several_folders(known),
        *_times_as_fields(screen, known),
        *_depths_by_value(screen, known),
        *_plates_in_two_writings(known),
        *_other_levels(screen, unclaimed),
        *_two_readings(screen, known),
        *_dividing_parts(screen, known),
        *_copied_links(screen.folder(), unclaimed),
    ]


def _odd_wells(fields: Sequence[Field]) -> Iterator[str]:
    """Wells that do not look like wells."""
    wells = {text: field for field in fields if (text := field.parts.get("well", UNREADABLE)) != UNREADABLE}
    odd = [text for text in wells if not is_well(text)]
    if odd:
        shown, path = ", ".join(map(escaped, odd[:_SHOWN])), escaped(_path(wells[odd[0]]))
        yield (
            f"{share(len(odd), len(wells), 'well', does='are')} not of the form A1 to AF48: {shown} (of {path}); to "
            "read only such names as wells, write {well:well} in files.pattern"
        )


def _other_channels(screen: Screen, fields: Sequence[Field], unclaimed: Sequence[str]) -> Iterator[str]:
    """Channels without any file, where files match the pattern but for the name of the channel."""
    present = {name for field in fields for name in field.files}
    lacking = [name for name in screen.channels if name not in present]
    others = channels_of(screen, unclaimed) if lacking else {}
    for name in lacking if others else ():
        named = screen.channels[name].named or name
        there = ", ".join(
            f"{other} ({many(count, 'file')})" for other, count in list(others.items())[:_SHOWN]
        )
        yield (
            f"channel {name}: no file is called {named!r}{meant(named, others)}; files that match otherwise are "
            f"called {there}: correct channels.{name}.named"
        )


def _copies(fields: Sequence[Field]) -> Iterator[str]:
    """Files that have the name of another file and a mark that systems give to copies; true copies are refused."""
    originals = copies(fields)
    if originals:
        first, count = min(originals, key=natural_key), len(originals)
        yield (
            f"{many(count, 'file')} {verb(count, 'have')} the name of a copy but other bytes, and {verb(count, 'are')} "
            f"used: {escaped(first)} beside {escaped(originals[first])}"
        )


def _several_folders(fields: Sequence[Field]) -> Iterator[str]:
    """Images whose fields come from several folders of measurements."""
    mixed = []
    for image_id, members in groupby(fields, lambda field: field.image_id):
        folders = {field.parts["folder"] for field in members if "folder" in field.parts}
        if len(folders) > 1:
            mixed.append(f"{image_id} ({', '.join(sorted(folders, key=natural_key)[:_SHOWN])})")
    if mixed:
        yield (
            f"{many(len(mixed), 'image', does='have')} fields of several folders: {', '.join(mixed[:_SHOWN])}; if "
            "these are measurements of the same places, use one, as only: {folder: NAME}, or name {folder} in image_id"
        )


def _times_as_fields(screen: Screen, fields: Sequence[Field]) -> Iterator[str]:
    """Parts with the name of a time that tell the fields of an image apart, where no part is the field."""
    if not fields or "field" in fields[0].parts:
        return
    for part in sorted(_TIMES & fields[0].parts.keys() - set(PART.findall(screen.files.image_id))):
        values: dict[str, set[str]] = defaultdict(set)
        for field in fields:
            values[field.image_id].add(field.parts.get(part, ""))
        several = [image_id for image_id, texts in values.items() if len(texts) > 1]
        if several:
            shown = ", ".join(sorted(values[several[0]], key=natural_key)[:2])
            yield (
                f"{{{part}}} ({shown}, ...) is taken for the field of {many(len(several), 'image')}, such as "
                f"{several[0]}; if it is a time, write {{time}} for it in files.pattern"
            )


def _depths_by_value(screen: Screen, fields: Sequence[Field]) -> Iterator[str]:
    """Parts with values such as Z00, Z01, which say that they are focal planes, or times of one image."""
    patterns = screen.files.patterns
    in_image = set(PART.findall(screen.files.image_id))
    for name in fields[0].parts if fields and patterns else ():
        if name in ("well", *Z_PARTS, *TIME_PARTS):
            continue
        values = sorted({field.parts.get(name, "") for field in fields}, key=natural_key)
        for kind, what, like in (("z", "focal planes", _LIKE_DEPTH), ("time", "times", _LIKE_TIME)):
            if len(values) > 1 and all(map(like.fullmatch, values)) and (kind == "z" or name not in in_image):
                yield (
                    f"{{{name}}} is {', '.join(map(escaped, values[:3]))}{', ...' * (len(values) > 3)}: if these are "
                    f"{what} of one place, whose cells would count {many(len(values), 'time')}, write {{{kind}}} for "
                    "it in files.pattern"
                )


def _plates_in_two_writings(fields: Sequence[Field]) -> Iterator[str]:
    """Plates whose names differ in letter case only."""
    writings: dict[str, set[str]] = defaultdict(set)
    for field in fields:
        writings[field.parts.get("plate", "").casefold()].add(field.parts.get("plate", ""))
    double = [" and ".join(map(escaped, sorted(texts))) for texts in writings.values() if len(texts) > 1]
    if double:
        yield (
            f"{many(len(double), 'plate')} in two writings, each taken for two: {', '.join(double[:_SHOWN])}; if they "
            "are one plate, rename the folders or files"
        )


def _other_levels(screen: Screen, unclaimed: Sequence[str]) -> Iterator[str]:
    """Files that belong to no field, with names as in the pattern, in folders of another depth."""
    ends = {pattern.rpartition("/")[2]: pattern.count("/") for pattern in screen.files.patterns}
    for end, depth in ends.items():
        others = [path for path in unclaimed if path.count("/") != depth and not path.endswith("/")]
        names = [path.rpartition("/")[2] for path in others]
        found = matches(end, names, channels_by_name(screen)) if names else []
        lost = [path for path, parts in zip(others, found, strict=True) if parts is not None]
        if lost:
            yield (
                f"{many(len(lost), 'file', does='match')} the end of files.pattern, {end}, and "
                f"{verb(len(lost), 'belong')} to no field, because of other folders above: "
                f"{', '.join(map(escaped, lost[:_SHOWN]))}"
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
            f"the well of {share(len(readings), len(paths), 'sampled file')} could be another, as {other} instead of "
            f"{well} in {escaped(path)}; write more of the text beside {{well}} in files.pattern"
        )


def _dividing_parts(screen: Screen, fields: Sequence[Field]) -> Iterator[str]:
    """Parts that differ between the channels of a field, so that each field has only some of its channels."""
    partial = [field for field in fields if len(field.files) < len(screen.channels)]
    if not partial or 2 * len(partial) < len(fields):
        return
    templates = screen.files.image_id + (screen.shards.by or "")
    for name in set(partial[0].parts) - set(PART.findall(templates)) - set(screen.files.parts):
        merged: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for field in partial:
            merged[tuple(text for part_name, text in field.parts.items() if part_name != name)].extend(
                field.files
            )
        whole = sum(sorted(names) == sorted(screen.channels) for names in merged.values())
        if 2 * whole > len(merged):
            values = Counter(field.parts[name] for field in partial)
            shown = ", ".join(sorted(values, key=natural_key)[:2])
            yield (
                f"{share(len(partial), len(fields), 'field', does='lack')} a channel, because the part {name} "
                f"({shown}, ...) differs between the channels; without it there {verb(whole, 'are')} "
                f"{many(whole, 'whole field')}: write _ for its name in files.pattern, as {{_}} or {{_:d}}"
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
                    f"{escaped(path)} is not a folder, but a file with the path of one, {target}: a link that was "
                    "copied as text; replace it by the link or by the folder"
                )
        except (OSError, ValueError):
            continue


def _path(field: Field) -> str:
    return Reference.parse(next(iter(field.files.values()))).path
