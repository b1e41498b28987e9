"""A table that lists the fields (CSV, TSV, Parquet or Excel): one row a field, or one row a file.

One row a field: for each channel a column `FileName_<channel>` (with `PathName_<channel>` where there is one:
the LoadData tables of CellProfiler), or a column with the channel's own name. One row a file: a column
`channel`, and `path` or `FileName` (and `PathName`). Paths are relative to the root. All other columns are
parts, `Metadata_Plate`, `Metadata_Well` and `Metadata_Site` under the names plate, well and field.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pcip_core.errors import RootError
from pcip_core.images.field import Field
from pcip_core.images.layouts.grouping import Fields, files_under, plane_of
from pcip_core.spec.screen import Screen
from pcip_core.user_tables.table import our_name, read_table

_FILE, _FOLDER = ("path", "filename", "file"), "pathname"


def scan_manifest(screen: Screen, root: Path) -> tuple[list[Field], list[str]]:
    """The fields that the table lists, whether their files are there or not.

    Raises:
        SpecError: the table is not there or cannot be read.
        RootError: it has no columns of files for any channel.
    """
    table = root / str(screen.files.table)
    listed = read_table(table)
    rows = listed.rename({name: our_name(name) for name in listed.columns}).to_dicts()
    fields = Fields(screen, ("plate", "well", "field"))
    used = {str(screen.files.table)}
    found = False
    for row in rows:
        files = _files(screen, root, row)
        found = found or bool(files)
        parts = {name: text for name, text in row.items() if not _names_file(name, screen, row)}
        if not fields.wants(parts):
            continue
        fields.add(parts, {name: plane_of(path, screen.channels[name]) for name, path in files.items()})
        used |= set(files.values())
    if not found:
        names = [channel.named or name for name, channel in screen.channels.items()]
        raise RootError(
            table,
            found=f"columns {', '.join(listed.columns)}",
            required=f"FileName_<channel> for {', '.join(names)}, or channel and path",
            remedy="Rename the columns, or correct channels.*.named in the spec.",
        )
    return fields.done(), [path for path in files_under(root) if path not in used]


def _files(screen: Screen, root: Path, row: Mapping[str, str]) -> dict[str, str]:
    """Channel -> path, of the channels that this row has a file for."""
    lower = {name.lower(): text for name, text in row.items()}
    files = {}
    for name, channel in screen.channels.items():
        named = (channel.named or name).lower()
        if "channel" in lower:
            if lower["channel"].lower() != named:
                continue
            file, folder = next((lower[one] for one in _FILE if lower.get(one)), ""), lower.get(_FOLDER, "")
        else:
            file = lower.get(f"filename_{named}") or lower.get(named, "")
            folder = lower.get(f"pathname_{named}", "")
        if file:
            path = Path(folder, file)
            files[name] = (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
    return files


def _names_file(column: str, screen: Screen, row: Mapping[str, str]) -> bool:
    """Whether a column is about files and not about the field."""
    lower = column.lower()
    named = {(channel.named or name).lower() for name, channel in screen.channels.items()}
    if any(one.lower() == "channel" for one in row):
        return lower in ("channel", _FOLDER, *_FILE)
    return lower.startswith(("filename_", "pathname_", "url_")) or lower in named
