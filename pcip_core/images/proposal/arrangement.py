"""How a folder is arranged: its layout, pattern and parts, the images that they form, and its channels."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pcip_core.errors import ImageFileError, PcipError, RootError
from pcip_core.files import natural_key
from pcip_core.images.proposal.channels import Candidate
from pcip_core.images.proposal.contents import Contents, contents_of
from pcip_core.images.proposal.exports import Export, plates_measured_twice
from pcip_core.images.proposal.listing import Listing, extension, word_of_mask
from pcip_core.images.proposal.naming.columns import read_columns
from pcip_core.images.proposal.naming.names import Names, groups_of_names
from pcip_core.images.proposal.naming.patterns import pattern_of, read_with
from pcip_core.spec.sections import TIME_PARTS, Z_PARTS
from pcip_core.words import many

_WITHIN = {"channel", "field", "cell", "scene", *Z_PARTS, *TIME_PARTS}  # parts that do not tell images apart
_COVERED = 0.98  # share of the images that one form of names must have
_CELL_PX = 256  # side of the greatest image of one cell
_MOST_EXCLUDED = 20  # patterns of label images
_RGB = ("red", "green", "blue")
_BY_HAND = "give one pattern per channel (docs/how-to/bring-your-own-cells.md)"


@dataclass
class Arrangement:
    """How a folder is arranged, in the keys of a spec.

    Attributes:
        layout, pattern, table, image_id, parts, only, project, exclude: keys of `files`.
        shards: `by` a template, or None for buckets.
        protein: template of the protein of an image, if names tell it.
        channels: the channels in the files.
        values: part -> its values.
        contents: what the first image holds.
        masks: pattern of label images, if each field can have one; `masks_plane`: their plane, if they have several.
        cells: whether the images are cropped cells.
        tables: tables among the files.
        notes: what the user should know, one sentence each.
    """

    layout: str
    contents: Contents
    channels: list[Candidate]
    image_id: str = ""
    pattern: str | None = None
    table: str | None = None
    shards: str | None = None
    protein: str | None = None
    masks: str | None = None
    masks_plane: int | None = None
    cells: bool = False
    tables: list[str] = field(default_factory=list)
    parts: dict[str, str] = field(default_factory=dict)
    only: dict[str, str | int] = field(default_factory=dict)
    project: dict[str, str] = field(default_factory=dict)
    exclude: list[str] = field(default_factory=list)
    values: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def of_export(listing: Listing, export: Export) -> Arrangement:
    """The arrangement of a microscope's export."""
    contents = first_contents(listing.root, sorted(export.claimed))
    arrangement = Arrangement(
        export.layout, contents, export.channels, image_id="{plate}_{well}", shards="{plate}"
    )
    arrangement.values = {
        "plate": sorted(export.folders, key=natural_key),
        **{name: sorted(values, key=natural_key) for name, values in export.values.items()},
    }
    if twice := plates_measured_twice(export):
        arrangement.image_id = "{plate}_{folder}_{well}"
        arrangement.notes.append(
            f"Plate {twice[0]} was measured {len(export.folders[twice[0]])} times; each measurement gives images of "
            'its own. For one of them, write only: {folder: "..."} in files.'
        )
    arrangement.notes += [
        f"A list of the export cannot be read: {problem}" for problem in export.problems[:3]
    ]
    _choose_planes(arrangement)
    if listing.masks:
        remedy = "read all names by a pattern: --layout pattern" if _pattern_has_masks(listing) else _BY_HAND
        _leave_out_masks(arrangement, listing, export.claimed, f"the layout {export.layout} has none", remedy)
    return arrangement


def of_names(listing: Listing, names: Names, *, pattern: str | None = None) -> Arrangement:
    """The arrangement of files whose paths name everything, or of multi-channel files.

    Args:
        listing: the files.
        names: those of one form.
        pattern: the user's pattern, which is used instead of one from the names.
    """
    contents = first_contents(listing.root, names.paths)
    small = max(contents.size) <= _CELL_PX
    notes: list[str] = []
    folders = bool(listing.groups)
    if pattern is None:
        reading = read_columns(names, cells=small)
        notes += reading.doubts
        pattern = pattern_of(reading)
        known = (
            None if reading.channel is None else sorted(set(_texts(names, reading.parts)), key=natural_key)
        )
        if contents.kind == "channels" and known and len(known) == 1:
            pattern, known = pattern.replace("{channel}", known[0]), None
        values, _ = read_with(pattern, names.paths, known or ())
    else:
        values, _ = read_with(pattern, names.paths)
    channels = _channels(listing.root, names.paths, values, contents)
    layout = "ome_zarr" if folders else "vendor" if _is_vendor(names.end) else "pattern"
    if layout == "pattern" and contents.kind == "channels":
        layout = "ome_tiff"
    if contents.kind == "archive":
        layout = "hdf5"
    cells = contents.kind == "archive" or (small and "cell" in values)
    arrangement = Arrangement(layout, contents, channels, pattern=pattern, cells=cells, notes=notes)
    arrangement.values = {
        name: sorted(set(texts), key=natural_key) for name, texts in values.items() if name != "channel"
    }
    _choose_images(arrangement, list(values))
    _choose_planes(arrangement)
    if listing.masks and layout == "pattern":
        _find_masks(arrangement, listing)
    if listing.masks and arrangement.masks is None:
        _leave_out_masks(
            arrangement,
            listing,
            names.paths,
            "their names have other parts than those of the images",
            _BY_HAND,
        )
    return arrangement


def first_contents(root: Path, paths: Sequence[str]) -> Contents:
    """What the first, middle or last image holds, the first of these that can be read.

    Raises:
        ImageFileError: none of them can be read.
    """
    tried = list(dict.fromkeys([paths[0], paths[len(paths) // 2], paths[-1]]))
    problem: ImageFileError | None = None
    for path in tried:
        try:
            return contents_of(root / path)
        except ImageFileError as error:
            problem = problem or error
    assert problem is not None
    raise ImageFileError(
        problem.where,
        found=problem.found
        + (f"; {many(len(tried) - 1, 'other')} cannot be read either" if len(tried) > 1 else ""),
        required=problem.required,
        remedy=problem.remedy,
    ) from problem


def one_form(listing: Listing, paths: Sequence[str]) -> Names:
    """The form of names that nearly all files have.

    Raises:
        RootError: there are several forms.
    """
    groups = groups_of_names(paths)
    if len(groups[0].paths) < _COVERED * len(paths):
        raise mixed(listing.root, [(many(len(group.paths), "file"), group.paths) for group in groups])
    return groups[0]


def mixed(root: Path, groups: Sequence[tuple[str, Sequence[str]]]) -> RootError:
    """The error for a folder that holds several arrangements of images.

    Args:
        root: the folder.
        groups: what each is, and its files.
    """
    shown = "; ".join(f"{what} such as {_printed(paths[0])}" for what, paths in groups[:3])
    more = f"; and {len(groups) - 3} more" if len(groups) > 3 else ""
    tops = [{path.partition("/")[0] if "/" in path else "" for path in paths} for _, paths in groups]
    rest = set().union(*tops[1:])
    if rest and "" not in rest and not rest & tops[0] and len(rest) <= 5:
        options = " ".join(f'--exclude "{name}/"' for name in sorted(rest))
        first = groups[0][1][0].partition("/")[0]
        remedy = f"For those of {first}/ alone, add {options}; or pass the folder of the others."
    else:
        remedy = (
            "Pass a subfolder that holds images of one kind, leave the others out with --exclude "
            '"NAME*", or name the files with --pattern "{plate}/{well}_f{field:d}_{channel}.tif".'
        )
    return RootError(
        root,
        found=f"{many(len(groups), 'arrangement')} of images: {shown}{more}",
        required="images of one arrangement: one microscope's export, or files named alike",
        remedy=remedy,
    )


def _printed(path: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", "?", path)


def _is_vendor(end: str) -> bool:
    return end.lower().endswith((".czi", ".nd2", ".lif"))


def _texts(names: Names, parts: dict[int, str]) -> list[str]:
    """The text of the channel in each path."""
    places = [place for place, part in parts.items() if part == "channel"]
    out = []
    for number in range(len(names.paths)):
        pieces = [
            (names.columns[place].before if at else "") + names.columns[place].values[number]
            for at, place in enumerate(sorted(places))
        ]
        out.append("".join(pieces))
    return out


def _channels(
    root: Path, paths: Sequence[str], values: dict[str, list[str]], contents: Contents
) -> list[Candidate]:
    """The channels that names tell, otherwise those within each file."""
    if contents.kind == "archive":
        return [Candidate("0", ("protein",), 0), Candidate("1", ("cytosol",), 1)]
    if contents.kind == "channels":
        if contents.names and len(set(contents.names)) == len(contents.names):
            return [Candidate(name, (), None, len(paths), paths[0]) for name in contents.names]
        return [
            Candidate(f"plane_{number}", (), number, len(paths), paths[0])
            for number in range(contents.channels)
        ]
    named = values.get("channel", [])
    plane = "max" if contents.kind == "rgb" else None
    if named:
        first: dict[str, str] = {}
        for path, name in zip(paths, named, strict=False):
            first.setdefault(name, path)
        return [
            Candidate(name, (), plane, named.count(name), first[name])
            for name in sorted(first, key=natural_key)
        ]
    if contents.kind == "rgb":
        return [Candidate(colour, (), colour, len(paths), paths[0]) for colour in _RGB]
    return [Candidate("image", (), 0, len(paths), paths[0])]


def _choose_images(arrangement: Arrangement, parts: Sequence[str]) -> None:
    """Choose what one image is, the protein, and the shards, from the parts."""
    if {"row", "column"} <= set(parts) and "well" not in parts:
        arrangement.parts["well"] = "{row}{column}"
    identity = [name for name in parts if name not in _WITHIN and name not in ("row", "column")]
    if "well" in arrangement.parts:
        identity.append("well")
    if arrangement.layout == "ome_zarr" and not parts:
        identity = ["image"]
    if arrangement.layout == "hdf5":
        identity = ["class"]
    order = {"plate": 0, "well": 1}
    identity.sort(key=lambda name: order.get(name, 2))
    if identity == ["plate"] or not identity:
        identity = [*identity, *(name for name in ("field", "scene") if name in parts)][:2]
        if not identity:
            identity = (
                ["scene"]
                if arrangement.layout in ("ome_tiff", "vendor")
                else [name for name in parts if name != "channel"][:1]
            )
        arrangement.notes.append(
            "Nothing in the names tells which fields show one protein: each field is an image of its own. Correct "
            "files.image_id if several fields belong together."
        )
    arrangement.image_id = "_".join(f"{{{name}}}" for name in identity) or "image"
    arrangement.protein = (
        "{protein}" if "protein" in parts else "{class}" if arrangement.layout == "hdf5" else None
    )
    arrangement.shards = "{plate}" if "plate" in parts else None


def _choose_planes(arrangement: Arrangement) -> None:
    """Choose a rule for focal planes and times, if there are several."""
    values, contents = arrangement.values, arrangement.contents
    z = next((values[name] for name in Z_PARTS if name in values), [])
    depth = max(len(z), contents.depth)
    if depth > 1:
        arrangement.project = {"z": "max"}
        arrangement.notes.append(
            f"{depth} focal planes are projected to their maximum; or take one: only: {{z: {z[0] if z else 1}}}, or "
            "project: {z: sharpest}."
        )
    time = next((name for name in TIME_PARTS if len(values.get(name, [])) > 1), None)
    if time is not None or contents.times > 1:
        first = values[time][0] if time else "1"
        arrangement.only = {time or "time": int(first) if first.isdecimal() else first}
        count = len(values[time]) if time else contents.times
        arrangement.notes.append(
            f"Of {many(count, 'time')}, only the first is used. For each time as an image of its own, remove `only` "
            f"and add {{{time or 'time'}}} to image_id."
        )


def _find_masks(arrangement: Arrangement, listing: Listing) -> None:
    """Use label images, if their pattern has the parts of the images' pattern."""
    names = groups_of_names(listing.masks)[0]
    reading = read_columns(names, cells=arrangement.cells)
    if reading.channel is not None:
        if not names.columns[reading.channel].constant:
            return
        reading.parts = {place: part for place, part in reading.parts.items() if part != "channel"}
    pattern = pattern_of(reading)
    values, _ = read_with(pattern, names.paths, ())
    if set(values) != set(arrangement.values) or len(names.paths) < _COVERED * len(listing.masks):
        return
    if not all(set(values[name]) & set(arrangement.values[name]) for name in values):
        return
    contents = first_contents(listing.root, names.paths)
    if contents.kind in ("plane", "alpha"):
        arrangement.masks = pattern
        arrangement.masks_plane = 0 if contents.kind == "alpha" else None


def _pattern_has_masks(listing: Listing) -> bool:
    """Whether the images of an export and its label images can be read by their names alone."""
    try:
        return of_names(listing, one_form(listing, listing.images)).masks is not None
    except PcipError:
        return False


def _leave_out_masks(
    arrangement: Arrangement, listing: Listing, images: Collection[str], reason: str, remedy: str
) -> None:
    """Exclude label images that are not used, by their folders, otherwise by the ends of their names."""
    folders = sorted({path.rpartition("/")[0] for path in listing.masks} - {""})
    if folders and not {path.rpartition("/")[0] for path in images}.intersection(folders):
        arrangement.exclude += [f"{name}/" for name in folders[:_MOST_EXCLUDED]]
    else:
        groups = groups_of_names(listing.masks)[:_MOST_EXCLUDED]
        ends = dict.fromkeys(
            f"*{word_of_mask(group.paths[0])}*{extension(group.paths[0])}" for group in groups
        )
        arrangement.exclude += [re.sub(r"[{}]", "*", end) for end in ends]
    arrangement.notes.append(
        f"Left out: {many(len(listing.masks), 'label image')}, such as {listing.masks[0]}, because {reason}. To use "
        f"them, {remedy}."
    )
