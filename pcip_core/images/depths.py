"""Stacks within files that differ in the number of their focal planes or time points, found from headers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pcip_core.errors import ImageFileError
from pcip_core.files import natural_key
from pcip_core.images.decoding import times_and_depth
from pcip_core.images.field import Field
from pcip_core.images.formats.stack import LABELS
from pcip_core.images.reference import Reference
from pcip_core.spec.screen import Screen
from pcip_core.spec.sections import PART, TIME_PARTS, Z_PARTS
from pcip_core.words import many, share, verb

MAX_IMAGES = 5_000  # whose headers are read
_MANY_TIMES = ("ome_tiff", "vendor", "ome_zarr")  # layouts in which each time point of a file can be a field
_SHOWN = 5
_KINDS = {"z": ("focal planes", "z"), "t": ("time points", "time")}


@dataclass(frozen=True)
class Differences:
    """How the stacks of a screen differ.

    Attributes:
        warnings: stacks that are used, although they are not alike, in words.
        problems: images that lack the plane that `files.only` selects, in words; none of them can be read.
    """

    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class _Image(NamedTuple):
    """An image within a file: the numbers of its times and focal planes, and how references select of them."""

    path: str
    plate: str
    select: Mapping[str, str]
    size: Mapping[str, int]


def compare(screen: Screen, fields: Sequence[Field], *, at_most: int = MAX_IMAGES) -> Differences:
    """Compare the stacks within files from which the spec selects or projects planes.

    Args:
        screen: the spec.
        fields: of the screen.
        at_most: read the headers of this many images, evenly spaced.
    """
    named = set(PART.findall(f"{screen.files.image_id} {screen.shards.by or ''}"))
    timed = bool(named & {*TIME_PARTS}) and screen.files.reader in _MANY_TIMES
    if not ({*screen.files.only} & {*Z_PARTS, *TIME_PARTS} or screen.files.project or timed):
        return Differences()
    images = _images(fields, every=timed)
    chosen = list(images)[:: -(-len(images) // at_most) or 1]
    by_channels: dict[str, list[_Image]] = defaultdict(list)
    for key in chosen:
        reference, plate = images[key][0]
        try:
            times, depth = times_and_depth(reference, screen.folder())
        except ImageFileError:
            continue  # reading its pixels reports the damage
        channels = ", ".join(name for name in screen.channels if name in images[key][1])
        by_channels[channels].append(
            _Image(reference.path, plate, reference.select, {"t": times, "z": depth})
        )
    differences = Differences()
    sampled = f" (of {len(chosen):,} images of {len(images):,} in files)" if len(chosen) < len(images) else ""
    for channels, members in by_channels.items():
        for kind in _KINDS:
            if timed if kind == "t" else _selects(members, "z"):
                differences.warnings.extend(_mixed(screen, kind, channels, members, sampled))
            differences.problems.extend(_beyond(kind, channels, members, sampled))
    return differences


def _images(
    fields: Iterable[Field], *, every: bool
) -> dict[tuple[str, str], tuple[tuple[Reference, str], set[str]]]:
    """(Path, scene) of images in files -> its reference and plate, and its channels.

    Args:
        fields: of the screen.
        every: all images, and not only those from which focal planes or times are selected.
    """
    images: dict[tuple[str, str], tuple[tuple[Reference, str], set[str]]] = {}
    for member in fields:
        for name, file in member.files.items() if member.problem is None else ():
            if "#" not in file and not every:
                continue
            reference = Reference.parse(file)
            if reference.further or not (every or reference.select.keys() & {"z", "t", "project"}):
                continue
            plate = member.parts.get("plate", "")
            key = reference.path, reference.select.get("scene", "")
            images.setdefault(key, ((reference, plate), set()))[1].add(name)
    return images


def _mixed(screen: Screen, kind: str, channels: str, images: Sequence[_Image], sampled: str) -> Iterator[str]:
    """The warning of stacks of different size."""
    what, _ = _KINDS[kind]
    if len({image.size[kind] for image in images}) < 2:
        return
    sizes: dict[str, set[int]] = defaultdict(set)
    for image in images:
        sizes[image.plate].add(image.size[kind])
    mixed = sorted((plate for plate, of_plate in sizes.items() if len(of_plate) > 1), key=natural_key)
    where = f"on plate {', '.join(mixed[:_SHOWN])}" if mixed and any(mixed) else "between files"
    if not mixed:
        where = "between plates"
    least = min(image.size[kind] for image in images)
    if kind == "z" and screen.files.project:
        how = next(iter(screen.files.project.values()))
        end = f"`project: {{z: {how}}}` takes as many as there are; for one plane that all have, write "
        end += "`only: {z: 1}`" + (f" (1 to {least})" if least > 1 else "") + " in place of it"
    elif kind == "z":
        end = "one number is not one depth in stacks of different depth"
    else:
        end = "each time point is a field of its own, so that images differ in their number of fields"
    yield f"{what} of {channels} differ {where}{sampled}: {_counted(images, kind)}; {end}"


def _beyond(kind: str, channels: str, images: Sequence[_Image], sampled: str) -> Iterator[str]:
    """The problem of stacks without the plane that `files.only` selects."""
    what, part = _KINDS[kind]
    lacking = [
        image
        for image in images
        if int(image.select.get(kind, 0)) > image.size[kind] and image.select.get("project") != LABELS
    ]
    if lacking:
        number = lacking[0].select[kind]
        least = min(image.size[kind] for image in images)
        yield (
            f"{share(len(lacking), len(images), 'image')} of {channels}{sampled} {verb(len(lacking), 'do not have')} "
            f"number {number} of the {what}, as files.only says, and cannot be read: {_counted(lacking, kind)}; the "
            f"highest number that all have is {least}: `only: {{{part}: {least}}}`"
        )


def _selects(images: Sequence[_Image], key: str) -> bool:
    return any(image.select.keys() & {key, "project"} for image in images)


def _counted(images: Sequence[_Image], kind: str) -> str:
    """How many images have which size, with an example of each."""
    by_size: dict[int, list[str]] = defaultdict(list)
    for image in images:
        by_size[image.size[kind]].append(image.path)
    texts = [
        f"{size} in {many(len(paths), 'file')} ({paths[0]})"
        for size, paths in sorted(by_size.items(), key=lambda item: -len(item[1]))
    ]
    return ", ".join(texts[:_SHOWN]) + (", ..." if len(texts) > _SHOWN else "")
