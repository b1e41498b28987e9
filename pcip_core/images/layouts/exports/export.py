"""What the exports of all plate microscopes share: one folder per measurement, one file per plane.

Parts: plate, well (A01), row, column, field, plane (the focal plane), time, and folder: the path of the measurement's
folder under the root, its names joined by `_`, so that two measurements of one plate can be told apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pcip_core.errors import ImageFileError, RootError
from pcip_core.files import composed
from pcip_core.images.field import Field
from pcip_core.images.inside import Tree
from pcip_core.images.layouts.grouping import Fields, plane_of
from pcip_core.spec.bounds import meant
from pcip_core.spec.screen import Screen
from pcip_core.user_tables.wells import well_at
from pcip_core.words import many, share, verb

LONGEST_PLATE = 150  # characters; the name is part of ids and of the names of folders
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Plane:
    """One image file: the number of its channel, and the parts of its field except plate and folder.

    `projection`: the microscope has made it from focal planes that are files themselves.
    """

    channel: str
    parts: dict[str, str]
    plate: str | None = None
    projection: bool = False


class Measurement(Protocol):
    """One measurement of a plate.

    Attributes:
        plate: the name that the export gives to the plate, if any.
        channels: number of a channel -> the names by which a spec may call it.
        listed: names of the image files that a list of the export names; empty without such a list.
        lists: the paths of the lists that have been read.
    """

    plate: str | None
    channels: Mapping[str, Iterable[str]]
    listed: Iterable[str]
    lists: Collection[str]

    def plane(self, name: str, inside: str) -> Plane | None:
        """Read the name of a file, in the folder `inside` below that of the measurement; None: not an image."""


def scan_export(
    screen: Screen,
    tree: Tree,
    folder_of: Callable[[str], str],
    opened: Callable[[Tree, list[str]], Measurement],
) -> tuple[list[Field], list[str]]:
    """Find the fields of all measurements. One whose lists cannot be read (yet) becomes one unreadable field.

    Args:
        screen: the spec.
        tree: the files.
        folder_of: the folder of the measurement, of the folder of a file.
        opened: reads the lists among the files of a measurement.

    Raises:
        RootError: none of the images has a channel of the spec, or two files hold the same plane.
    """
    by_folder: dict[str, list[str]] = defaultdict(list)
    for path in tree.files():
        by_folder[folder_of(path.rpartition("/")[0])].append(path)
    fields = Fields(screen, ("plate", "well", "field"))
    unclaimed: list[str] = []
    seen: set[str] = set()
    known: set[str] = set()  # channels of the spec with images
    names: set[str] = set()  # of all channels with images
    for folder, paths in by_folder.items():
        try:
            measurement = opened(tree, paths)
        except ImageFileError as problem:
            listed = Path(problem.where).relative_to(tree.root).as_posix()
            fields.add_unreadable(_place(tree, folder), listed, problem)
            unclaimed += [path for path in paths if path != listed]
            continue
        place = _place(tree, folder, measurement.plate)
        channels = _chosen(screen, tree.root / folder, measurement.channels)
        labels: dict[str, str] = {}  # of the channels of this measurement
        for path in paths:
            inside, _, name = path.rpartition("/")
            plane = measurement.plane(name, inside[len(folder) :].strip("/"))
            if plane is None:
                if path not in measurement.lists:
                    unclaimed.append(path)
                continue
            if plane.channel not in channels:
                channels |= _chosen(screen, tree.root / folder, {plane.channel: [plane.channel]})
            if plane.channel not in labels:
                labels[plane.channel] = _label(list(measurement.channels.get(plane.channel, [plane.channel])))
            parts = {**place, **plane.parts}
            if plane.plate and not measurement.plate:
                parts["plate"] = plane.plate
            chosen = channels[plane.channel]
            if chosen and not (plane.projection and screen.files.project) and fields.wants(parts):
                fields.add(parts, {name: plane_of(path, screen.channels[name]) for name in chosen})
            else:
                unclaimed.append(path)
        seen.update(labels.values())
        for number in labels:
            known.update(channels[number])
            names.update([labels[number], *measurement.channels.get(number, ())])
        _note_absent(tree, folder, measurement, paths)
    if seen and not fields.refused_by_only:
        _require_channels(screen, tree.root, seen, known, names, any_used=bool(fields))
    fields.add_unread(tree, lambda folder: _place(tree, folder_of(folder.rstrip("/"))))
    return fields.done(), sorted(unclaimed)


def _require_channels(
    screen: Screen, root: Path, seen: set[str], known: set[str], names: set[str], *, any_used: bool
) -> None:
    """Raise a RootError if channels of the spec have no image.

    Args:
        screen: the spec.
        root: for the error.
        seen: the channels with images, as labels.
        known: channels of the spec with images.
        names: all names of the channels with images.
        any_used: whether any image is used.
    """
    named = {name: channel.named or name for name, channel in screen.channels.items()}
    lacking = [text for name, text in named.items() if name not in known]
    if lacking:
        none = "" if any_used else ", none of them used"
        like = "".join(f"; {text!r}{text_like}" for text in lacking if (text_like := meant(text, names)))
        raise RootError(
            root,
            found=f"images of channels {', '.join(sorted(seen))}{none}, and no {', '.join(lacking)}{like}",
            required=f"channels {', '.join(named.values())}",
            remedy="Set channels.*.named in the spec to one of these names.",
        )


def place_of(row: int, column: int) -> dict[str, str]:
    """The parts of a well, from its row and column, both from 1."""
    return {"well": well_at(row, column), "row": str(row), "column": str(column)}


def require_agreement(path: Path, name: str, listed: Plane, named: Mapping[str, str]) -> None:
    """Raise if a list of the export contradicts the name of an image.

    Args:
        path: the list.
        name: of the image.
        listed: what the list says of it.
        named: the parts that the name gives, and its `channel`.

    Raises:
        ImageFileError: they differ.
    """
    ours = {**listed.parts, "channel": listed.channel}
    differ = [part for part, text in named.items() if part in ours and ours[part].lower() != text.lower()]
    if differ:
        first, second = (", ".join(f"{part} {values[part]}" for part in differ) for values in (ours, named))
        raise ImageFileError(
            path,
            found=f"the image {name} listed as {first}, although its name says {second}",
            required="a list and names that agree",
            remedy="Correct the list or the name of the image. Or leave the list out: "
            f'`exclude: ["{path.name}"]` in files of the spec; pcip then uses the names of the images.',
        )


def named_plate(name: str) -> str | None:
    """The name that a list gives to its plate, if any.

    Raises:
        ValueError: it is too long, or not printable.
    """
    if len(name) > LONGEST_PLATE or not name.isprintable():
        raise ValueError(f"the plate's name {name!r:.60}")
    return name.strip() or None


def row_number(letters: str) -> int:
    """The number of a row, from 1: A, ..., Z, AA, ..."""
    number = 0
    for letter in letters.upper():
        number = 26 * number + ord(letter) - ord("A") + 1
    return number


def _place(tree: Tree, folder: str, plate: str | None = None) -> dict[str, str]:
    """The parts of all fields of a measurement. Its plate is named by its folder, if nothing else names it."""
    top = folder.rpartition("/")[2] or tree.root.resolve().name
    return {"plate": plate or top, "folder": folder.replace("/", "_") or top}


def _chosen(screen: Screen, folder: Path, channels: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Number of a channel -> channels of the spec that name it.

    Raises:
        RootError: the spec has a name of two channels.
    """
    listed = {number: list(names) for number, names in channels.items()}
    by_name: dict[str, set[str]] = defaultdict(set)
    for number, names in listed.items():
        for name in (*names, _label(names)):
            by_name[name.lower()].add(number)
    chosen: dict[str, list[str]] = {number: [] for number in listed}
    for ours, channel in screen.channels.items():
        numbers = sorted(by_name.get((channel.named or ours).lower(), ()))
        if len(numbers) > 1:
            raise RootError(
                folder,
                found=f"several channels that the spec's {channel.named or ours!r} ({ours}) may mean: "
                f"{', '.join(_label(listed[number]) for number in numbers)}",
                required="a name of one channel",
                remedy=f'Write its whole name: `channels: {{{ours}: {{named: "{_label(listed[numbers[0]])}"}}}}`.',
            )
        for number in numbers:
            chosen[number].append(ours)
    return chosen


def _label(names: list[str]) -> str:
    """The number of a channel, and the name that the export gives to it."""
    return names[0] if names[-1] in names[0] else f"{names[0]} {names[-1]}"


def _note_absent(tree: Tree, folder: str, measurement: Measurement, paths: list[str]) -> None:
    """Note how many files of the list do not exist, and how many images it does not name."""
    listed = set(measurement.listed)
    absent = sorted(listed - {composed(path.rpartition("/")[2]) for path in paths}) if listed else []
    if absent and tree.excluded:
        excluded = {composed(path.rpartition("/")[2]) for path in tree.excluded}
        absent = [name for name in absent if name not in excluded]
    if listed:
        names = [composed(path.rpartition("/")[2]) for path in paths]
        further = sorted(
            name for name in names if name not in listed and measurement.plane(name, "") is not None
        )
        if further:
            tree.notes.append(
                f"{folder or tree.root.name}: {many(len(further), 'image', does='are')} not in the list of the export, "
                f"and {verb(len(further), 'are')} used by name: {', '.join(further[:_SHOWN])}"
            )
    if absent:
        shown = ", ".join(absent[:_SHOWN])
        tree.notes.append(
            f"{folder or tree.root.name}: {share(len(absent), len(listed), 'image')} in the list of the export "
            f"{verb(len(absent), 'are')} missing: {shown}"
        )
