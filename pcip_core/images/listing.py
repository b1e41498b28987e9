"""What is missing or doubtful in the listing of a screen's files: `pcip check` and `pcip run` say it in the same words.

`scan` asks this module for the files that the spec uses otherwise, and for the plates of which nothing is used.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pcip_core.files import natural_key
from pcip_core.images.annotations import read_platemap
from pcip_core.images.depths import compare
from pcip_core.images.field import Field
from pcip_core.images.inside import Tree
from pcip_core.images.layouts.grouping import channels_by_name, filled
from pcip_core.images.layouts.pattern import matches, parts_of_folder
from pcip_core.images.plate_map import LISTED, missing_wells, plates_of
from pcip_core.images.reference import Reference
from pcip_core.spec.screen import Screen
from pcip_core.spec.sections import PART
from pcip_core.user_tables.matching import shown
from pcip_core.words import many

_SHOWN = 5


@dataclass(frozen=True)
class Listing:
    """What is missing or doubtful among the files of a screen. A run goes on, without what cannot be read.

    Attributes:
        doubts: what may have been misunderstood, and stacks that are not alike.
        unreadable: images within files that lack the plane that the spec selects.
        missing: plate -> missing well -> the reason for which it is expected.
        short: wells with fewer fields than the others, in words.
    """

    doubts: list[str]
    unreadable: list[str]
    missing: Mapping[str, Mapping[str, str]]
    short: list[str]

    def missing_lines(self) -> list[str]:
        """The missing wells, one line per plate."""
        lines = []
        for plate, wells in list(self.missing.items())[:_SHOWN]:
            reasons = ", ".join(f"{well} ({reason})" for well, reason in list(wells.items())[:_SHOWN])
            more = "" if len(wells) <= _SHOWN else ", ..."
            remedy = (
                "; copy them, or remove the rows of wells without images" if LISTED in wells.values() else ""
            )
            lines.append(f"{_named(plate)}no images for {many(len(wells), 'well')}: {reasons}{more}{remedy}")
        if len(self.missing) > _SHOWN:
            lines.append(f"wells are missing on {many(len(self.missing) - _SHOWN, 'more plate')}")
        return lines

    def lines(self) -> list[str]:
        """Everything in words."""
        return [*self.doubts, *self.short, *self.missing_lines(), *self.unreadable]


def looked_over(
    screen: Screen, fields: Sequence[Field], left_out: Sequence[Field], doubts: Sequence[str]
) -> Listing:
    """What is missing or doubtful in a listing. Reads the platemap, and headers of stacks.

    Args:
        screen: the spec.
        fields: the fields found.
        left_out: fields of images that `images.only` leaves out; their wells are not missing.
        doubts: what may have been misunderstood, in words.

    Raises:
        SpecError: the platemap cannot be used (`match_tables`).
    """
    stacks, fields = compare(screen, fields), [*fields, *left_out]
    plates = plates_of(screen, fields)
    listed = [(key[0], key[1]) for key in read_platemap(screen, fields)] if plates else []
    missing = missing_wells(plates, listed)
    short = [plate for plate in plates if plate.short]
    lines = [
        f"{_named(plate.name)}fewer than the usual {many(plate.usual or 0, 'field')} in "
        + shown([f"{well} ({n})" for well, n in plate.short.items()])
        for plate in short[:_SHOWN]
    ]
    if len(short) > _SHOWN:
        lines.append(f"wells with fewer fields than usual on {many(len(short) - _SHOWN, 'more plate')}")
    return Listing([*doubts, *stacks.warnings], stacks.problems, missing, lines)


def _named(plate: str) -> str:
    return f"plate {plate}: " if plate else ""


def without_used(screen: Screen, unclaimed: Sequence[str], fields: Sequence[Field]) -> list[str]:
    """The files that belong to no field, without the tables and the images of illumination that the spec names."""
    used = set(_used(screen, fields)) if unclaimed else set()
    return [path for path in unclaimed if path not in used]


def _used(screen: Screen, fields: Sequence[Field]) -> Iterator[str]:
    """The paths of the files that the spec names, relative to the root."""
    root = screen.folder()
    tables = [screen.images.platemap, screen.images.table, screen.images.annotations, screen.files.table]
    tables += [screen.baselines.cellprofiler.table, *screen.segmentation.options.values()]
    sections = (screen.analyses.clusters, screen.analyses.ontology)
    keys = ("picks", "obo", "gaf", "names")
    tables += [getattr(section, key, None) for section in sections for key in keys]
    tables += screen.analyses.annotations.values()
    for table in tables:
        if isinstance(table, str) and (root / table).is_relative_to(root):
            yield (root / table).relative_to(root).as_posix()
    if (template := screen.illumination.images) is not None:
        names = [name for name in PART.findall(template) if name != "channel"]
        for values in {tuple(field.parts.get(name, "") for name in names) for field in fields}:
            for channel in screen.channels:
                parts = {**dict(zip(names, values, strict=True)), "channel": channel}
                yield filled(template, parts, "illumination.images")


def plates_left_out(screen: Screen, tree: Tree, fields: Sequence[Field]) -> list[str]:
    """The plates of which `files.only` or `files.exclude` leaves nothing, with counts.

    Without a pattern that names the plate of an excluded file, its uppermost folder is taken for the plate.
    """
    known = {field.parts["plate"] for field in fields if "plate" in field.parts}
    lines = {
        plate: f"plate {plate}: files.only leaves out all of it, "
        + ("1 file or image" if count == 1 else f"{count} files or images")
        for plate, count in tree.refused.items()
        if plate not in known
    }
    by_plate: dict[str, list[str]] = defaultdict(list)
    for path, plate in _excluded(screen, tree):
        by_plate[plate].append(path)
    if by_plate:
        known |= {
            Reference.parse(file).path.partition("/")[0] for each in fields for file in each.files.values()
        }
    for plate, paths in by_plate.items():
        if plate not in known and plate not in lines:
            kinds = Counter("folder" if path.endswith("/") else "file" for path in paths)
            counted = " and ".join(f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in kinds.items())
            names = shown(sorted(paths, key=natural_key))
            lines[plate] = f"plate {plate}: files.exclude leaves out all of it, {counted}: {names}"
    return [lines[plate] for plate in sorted(lines, key=natural_key)]


def _excluded(screen: Screen, tree: Tree) -> Iterator[tuple[str, str]]:
    """The path and the plate of each file and folder that `files.exclude` leaves out."""
    if not screen.files.exclude:
        return
    kept = set(Tree(tree.root, screen.files.exclude).without_excluded(tree.excluded))
    paths = [path for path in tree.excluded if path not in kept]
    names, patterns = channels_by_name(screen), screen.files.patterns
    parts: dict[str, Mapping[str, str]] = {}
    for pattern in patterns:
        found = zip(paths, matches(pattern, paths, names), strict=True)
        parts |= {path: of_path for path, of_path in found if of_path is not None}
    for path in paths:
        folder = path if path.endswith("/") else path[: path.rfind("/") + 1]
        of_path = parts.get(path) or (patterns and folder and parts_of_folder(patterns, folder, names)) or {}
        if plate := of_path.get("plate") or path.partition("/")[0] * ("/" in path):
            yield path, plate
