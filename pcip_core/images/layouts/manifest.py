"""A table that lists the fields (CSV, TSV, Parquet or Excel): one row per field, or one row per file.

One row per field: each channel has a column `FileName_<channel>` and optionally `PathName_<channel>`, or
`URL_<channel>`, as in the LoadData tables of CellProfiler, or a column with the name of the channel. `Frame_<channel>`
is the plane of a file that holds several, and `Series_<channel>` the image. One row per file: the columns are
`channel`, `path` or `FileName`, and optionally `PathName`, `Frame` and `Series`. Paths are relative to the root
(`pcip_core.images.foreign_paths`). All other columns are parts; `Metadata_Plate`, `Metadata_Well` and `Metadata_Site`
are the parts plate, well and field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from pcip_core.errors import RootError, SpecError, StackError
from pcip_core.files import composed
from pcip_core.images.field import Field
from pcip_core.images.inside import Tree
from pcip_core.images.layouts.exports.names import contradictions
from pcip_core.images.layouts.foreign_paths import Paths
from pcip_core.images.layouts.grouping import Fields, plane_of
from pcip_core.images.reference import Reference
from pcip_core.spec.bounds import meant
from pcip_core.spec.screen import Channel, Screen
from pcip_core.user_tables.lines import row_labels
from pcip_core.user_tables.table import our_name, read_table, renamed
from pcip_core.user_tables.wells import well_name
from pcip_core.words import many

_FILE, _FOLDER = ("path", "filename", "file"), "pathname"
_OF_ANY = ("filename", "pathname", "url")  # and _<channel>, also of channels that the spec does not use
_OF_FILES = (*_OF_ANY, "frame", "series")
_MOST_COUNTED = 10_000  # rows in an error
_CELLPROFILER = "image_"  # before these names in what ExportToSpreadsheet writes
Row = Mapping[str, str]


def scan_manifest(screen: Screen, tree: Tree) -> tuple[list[Field], list[str]]:
    """List the fields of the table, whether or not their files exist.

    Raises:
        SpecError: the table does not exist or cannot be read, a plane contradicts the spec, or a well has two names.
        RootError: the table has no column of files for any channel, names folders of another machine that are not
            under the root, two rows name different files for one plane, or two fields have one file.
    """
    root = tree.root
    table = root / str(screen.files.table)
    listed = read_table(table)
    rows = renamed(table, listed, our_name).to_dicts()
    lowered = [{_lower(name): text for name, text in row.items()} for row in rows]
    paths = Paths(root, table)
    listed_files = tree.files()
    files_of_rows = _as_on_disk([_files(screen, paths, row) for row in lowered], listed_files)
    if not any(files_of_rows):
        names = [channel.named or name for name, channel in screen.channels.items()]
        columns = [_lower(name) for name in listed.columns]
        channels = [name.partition("_")[2] for name in columns if name.startswith("filename_")]
        at = next((name for name in listed.columns if name.lower() == "channel"), None)
        channels += [] if at is None else listed[at].unique().to_list()
        raise RootError(
            table,
            found=f"columns {', '.join(listed.columns)}",
            required=f"FileName_<channel> for {', '.join(name + meant(name, channels) for name in names)}, or channel "
            "and path",
            remedy="Rename the columns, or correct channels.*.named in the spec.",
        )
    _require_one_name(table, rows)
    _require_agreement(table, rows, files_of_rows)
    fields = Fields(screen, ("plate", "well", "field"))
    used = {str(screen.files.table)}
    for number, (row, files) in enumerate(zip(rows, files_of_rows, strict=True)):
        parts = {name: text for name, text in row.items() if not _names_file(name, screen, row)}
        if fields.wants(parts):
            planes = {
                name: _plane(table, number, name, screen.channels[name], path, lowered[number])
                for name, path in files.items()
            }
            _require_own_planes(screen, table, number, planes)
            _add(table, number, fields, parts, planes)
            used |= set(files.values())
    fields.add_unread(tree, lambda _: None)
    done = fields.done()
    _require_own_files(screen, table, done)
    return done, [path for path in listed_files if path not in used]


def _as_on_disk(files: list[dict[str, str]], listed: Sequence[str]) -> list[dict[str, str]]:
    """The paths of a table with the names that the files have, which may be in another form of Unicode."""
    if all(path.isascii() for row in files for path in row.values()):
        return files
    on_disk = {composed(path): path for path in listed if not path.isascii()}
    present = set(on_disk.values())
    return [
        {name: path if path in present else on_disk.get(composed(path), path) for name, path in row.items()}
        for row in files
    ]


def _lower(column: str) -> str:
    """The name of a column in lower case, without CellProfiler's `Image_`."""
    lower = column.lower()
    short = lower.removeprefix(_CELLPROFILER)
    return short if short.partition("_")[0] in _OF_FILES else lower


def _files(screen: Screen, paths: Paths, row: Row) -> dict[str, str]:
    """Channel -> path, for the channels with a file in this row, whose columns are in lower case."""
    files = {}
    for name, channel in screen.channels.items():
        named = (channel.named or name).lower()
        if "channel" in row:
            if row["channel"].lower() != named:
                continue
            file = next((row[column] for column in _FILE if row.get(column)), "")
            folder, url = row.get(_FOLDER, ""), row.get("url", "")
        else:
            file = row.get(f"filename_{named}") or row.get(named, "")
            folder, url = row.get(f"pathname_{named}", ""), row.get(f"url_{named}", "")
        if url and not (file and folder):
            files[name] = paths.of_url(url)
        elif file:
            files[name] = paths.relative(folder, file)
    return files


def _plane(table: Path, number: int, name: str, channel: Channel, path: str, row: Row) -> str:
    """The reference to the plane that a row gives in `Frame_`, of the image in `Series_`; both count from 0.

    Raises:
        SpecError: `Frame_` contradicts the spec's plane, or one of them is no number.
    """
    end = "" if "channel" in row else f"_{(channel.named or name).lower()}"
    frame, series = row.get(f"frame{end}", ""), row.get(f"series{end}", "")

    def refused(found: str, required: str, remedy: str) -> SpecError:
        (label,) = row_labels(table, [number])
        return SpecError(f"{table}, {label}", found=found, required=required, remedy=remedy)

    for kind, text in (("Frame", frame), ("Series", series)):
        if text and not (text.isdecimal() and len(text) < 6):
            raise refused(f"{kind} {text!r} for channel {name}", "a number from 0", "Correct the table.")
    if frame and channel.plane is None:
        channel = replace(channel, plane=int(frame))
    elif frame and channel.plane != int(frame) and not (isinstance(channel.plane, str) and int(frame) == 0):
        raise refused(
            f"Frame {int(frame)} for channel {name}, of which the spec says plane: {channel.plane}",
            "the same plane in both",
            f"Remove `plane: {channel.plane}` from the channel {name} in the spec: the table gives the plane of each "
            "row. Or correct the column.",
        )
    reference = plane_of(path, channel)
    if not series:
        return reference
    select = Reference.parse(reference).select if channel.plane is not None else {}
    return str(Reference(path, {"scene": str(int(series) + 1), **select}))


def _add(table: Path, number: int, fields: Fields, parts: Row, planes: Mapping[str, str]) -> None:
    """Add the planes of a row; an error names the row."""
    try:
        fields.add(parts, planes)
    except StackError:
        raise  # its remedy is a line of the spec
    except RootError as error:
        (label,) = row_labels(table, [number])
        raise RootError(
            f"{table}, {label}",
            found=error.found,
            required=error.required,
            remedy=f"Remove one of the rows. Or, if both are meant: {error.remedy}",
        ) from error


def _require_agreement(table: Path, rows: Sequence[Row], files: Sequence[Row]) -> None:
    """Raise a RootError if a row contradicts the well, the field or the channel in the name of its file."""
    differ = list(islice(contradictions(rows, files), _MOST_COUNTED))
    if differ:
        number, ours, theirs = differ[0]
        (label,) = row_labels(table, [number])
        others = len({row for row, _, _ in differ}) - 1
        more = (
            f"; {'at least ' * (len(differ) == _MOST_COUNTED)}{many(others, 'more row', does='contradict')} names"
            if others
            else ""
        )
        raise RootError(
            f"{table}, {label}",
            found=f"{ours} for the file {theirs}{more}",
            required="a table that agrees with the names of the files",
            remedy="Correct the row, or rename the file.",
        )


def _require_own_planes(screen: Screen, table: Path, number: int, planes: Row) -> None:
    """Raise a RootError if two channels of a row have one plane: an encoder would see the target in the source.

    Two channels of the spec that have one name are one plane on purpose.
    """
    named = {name: (channel.named or name).lower() for name, channel in screen.channels.items()}
    first: dict[str, str] = {}
    for name, plane in planes.items():
        other = first.setdefault(plane, name)
        if named[other] != named[name]:
            (label,) = row_labels(table, [number])
            frames = [f"Frame_{screen.channels[each].named or each}" for each in (other, name)]
            raise RootError(
                f"{table}, {label}",
                found=f"{plane} for both channels {other} and {name}",
                required="a file, or a plane of it (Frame), for each channel",
                remedy="Correct the file of one of them; if the file holds both channels, add the columns "
                f"{' and '.join(frames)} with the numbers of the planes, from 0.",
            )


def _require_own_files(screen: Screen, table: Path, fields: list[Field]) -> None:
    """Raise a RootError if two fields have the same plane of a protein: their cells would count twice."""
    proteins = [name for name, channel in screen.channels.items() if channel.role == "protein"]
    seen: dict[str, str] = {}  # reference -> id of its field
    for field in fields:
        for name in proteins:
            file = field.files.get(name)
            first = field.field_id if file is None else seen.setdefault(file, field.field_id)
            if first != field.field_id:
                raise RootError(
                    table,
                    found=f"{file} as channel {name} of the fields {first} and {field.field_id}",
                    required="a file, or a plane of it (Frame, Series), for each field",
                    remedy="Correct the row of one of the fields, or remove it.",
                )


def _require_one_name(table: Path, rows: list[dict[str, str]]) -> None:
    """Raise a SpecError if a well of a plate is written in two ways, which would make two images of it."""
    first: dict[tuple[str, str], int] = {}
    for number, row in enumerate(rows):
        well = row.get("well", "")
        other = first.setdefault((row.get("plate", ""), well_name(well)), number)
        if rows[other].get("well", "") != well:
            labels = row_labels(table, [other, number])
            raise SpecError(
                table,
                found=f"one well in two writings: {rows[other]['well']} ({labels[0]}) and {well} ({labels[1]})",
                required="one name for each well",
                remedy=f"Write {well_name(well)} in all rows of the well.",
            )


def _names_file(column: str, screen: Screen, row: Row) -> bool:
    """Whether a column describes files rather than the field."""
    lower = _lower(column)
    named = {(channel.named or name).lower() for name, channel in screen.channels.items()}
    if any(name.lower() == "channel" for name in row):
        return lower in ("channel", "url", "frame", "series", _FOLDER, *_FILE)
    kind, _, channel = lower.partition("_")
    return lower in named or (kind in _OF_FILES and (kind in _OF_ANY or channel in named))
