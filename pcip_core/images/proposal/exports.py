"""Exports of plate microscopes: which one a folder is, its channels, plates, focal planes and times."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pcip_core.errors import ImageFileError
from pcip_core.images.inside import Tree
from pcip_core.images.layouts.exports.cv8000 import CellVoyager
from pcip_core.images.layouts.exports.export import Measurement
from pcip_core.images.layouts.exports.imagexpress import ImageXpress
from pcip_core.images.layouts.exports.imagexpress import measurement_folder as _of_imagexpress
from pcip_core.images.layouts.exports.incell import InCell
from pcip_core.images.layouts.opera import Harmony
from pcip_core.images.layouts.opera import measurement_folder as _of_harmony
from pcip_core.images.proposal.channels import Candidate
from pcip_core.images.proposal.listing import Listing

EXPORTS: dict[str, tuple[Callable[[str], str], Callable[[Tree, list[str]], Measurement]]] = {
    "opera": (_of_harmony, Harmony),
    "cv8000": (str, CellVoyager),
    "incell": (str, InCell),
    "imagexpress": (_of_imagexpress, ImageXpress),
}
"""Layout -> the folder of a measurement, and what reads its lists."""
_WAVE = re.compile(r"_w\d", re.IGNORECASE)
_TRIED = 200  # names by which a layout is recognized


@dataclass
class Export:
    """What the names and lists of an export tell.

    Attributes:
        layout: its name in a spec.
        claimed: the images that it names.
        channels: its channels.
        folders: plate -> the folders of its measurements.
        values: part -> its values.
        problems: lists that cannot be read.
    """

    layout: str
    claimed: set[str] = field(default_factory=set)
    channels: list[Candidate] = field(default_factory=list)
    folders: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    values: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    problems: list[ImageFileError] = field(default_factory=list)


def exports_in(listing: Listing) -> list[Export]:
    """The exports of which a folder holds images, the one with the most images first."""
    surveyed = [_survey(listing, layout) for layout in EXPORTS if _is_likely(listing, layout)]
    return sorted((each for each in surveyed if each.claimed), key=lambda each: -len(each.claimed))


def _is_likely(listing: Listing, layout: str) -> bool:
    """Whether some names of a sample are of a layout."""
    step = max(1, len(listing.images) // _TRIED)
    paths = listing.images[::step]
    if layout == "imagexpress" and not any(_WAVE.search(path) for path in paths):
        return False  # every A01.tif could be one of its images
    if layout == "incell" and any(path.lower().endswith(".xdce") for path in listing.others):
        return True
    _, opened = EXPORTS[layout]
    names = opened(Tree(listing.root), [])
    return any(names.plane(path.rpartition("/")[2], path.rpartition("/")[0]) is not None for path in paths)


def _survey(listing: Listing, layout: str) -> Export:
    folder_of, opened = EXPORTS[layout]
    by_folder: dict[str, list[str]] = defaultdict(list)
    for path in (*listing.images, *listing.others):
        by_folder[folder_of(path.rpartition("/")[0])].append(path)
    export = Export(layout)
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    names: dict[str, list[str]] = {}
    images = set(listing.images)
    for folder, paths in by_folder.items():
        if not any(path in images for path in paths):
            continue
        try:
            measurement = opened(Tree(listing.root), paths)
        except ImageFileError as problem:
            export.problems.append(problem)
            measurement = opened(Tree(listing.root), [])
        for path in paths:
            inside, _, name = path.rpartition("/")
            plane = measurement.plane(name, inside[len(folder) :].strip("/")) if path in images else None
            if plane is None or (layout == "imagexpress" and not _WAVE.search(name)):
                continue
            export.claimed.add(path)
            counts[plane.channel] += 1
            examples.setdefault(plane.channel, path)
            plate = (
                measurement.plate or plane.plate or folder.rpartition("/")[2] or listing.root.resolve().name
            )
            export.folders[plate].add(folder)
            for part in ("well", "field", "plane", "time"):
                export.values[part].add(plane.parts[part])
        for number in counts:
            names.setdefault(number, [name for name in measurement.channels.get(number, [number]) if name])
    export.channels = [
        _candidate(number, names, counts[number], examples[number]) for number in sorted(counts, key=_order)
    ]
    return export


def _order(number: str) -> tuple[int, str]:
    return (int(number) if number.isdecimal() else 0, number)


def _candidate(number: str, names: dict[str, list[str]], files: int, example: str) -> Candidate:
    """A channel by its name in the lists if no other channel has it, otherwise by its number."""
    own = names.get(number) or [number]
    others = {name.lower() for other, each in names.items() if other != number for name in each}
    of_lists = [name for name in own[2:] if name.lower() not in others and not _is_number(name)]
    if of_lists and of_lists[0] not in own[0]:
        return Candidate(of_lists[0], (own[0],), None, files, example)
    return Candidate(own[0], (), None, files, example)


def _is_number(name: str) -> bool:
    return re.fullmatch(r"(?:ch|w|c)?0*\d+", name, re.IGNORECASE) is not None


def plates_measured_twice(export: Export) -> Sequence[str]:
    """The plates of which several measurements are there."""
    return [plate for plate, folders in export.folders.items() if len(folders) > 1]
