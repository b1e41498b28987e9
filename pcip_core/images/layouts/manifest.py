"""A table that lists the fields (CSV, TSV, Parquet or Excel): one row per field, or one row per file.

One row per field: each channel has a column `FileName_<channel>` and optionally `PathName_<channel>`, as in the
LoadData tables of CellProfiler, or a column with the name of the channel. One row per file: the columns are
`channel`, `path` or `FileName`, and optionally `PathName`. Paths are relative to the root. All other columns are
parts; `Metadata_Plate`, `Metadata_Well` and `Metadata_Site` are the parts plate, well and field.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pcip_core.errors import RootError
from pcip_core.images.field import Field
from pcip_core.images.inside import Tree
from pcip_core.images.layouts.grouping import Fields, plane_of
from pcip_core.spec.screen import Screen
from pcip_core.user_tables.table import our_name, read_table, renamed

_FILE, _FOLDER = ("path", "filename", "file"), "pathname"


def scan_manifest(screen: Screen, tree: Tree) -> tuple[list[Field], list[str]]:
    """List the fields of the table, whether or not their files exist.

    Raises:
        SpecError: the table does not exist or cannot be read.
        RootError: the table has no column of files for any channel.
    """
    root = tree.root
    table = root / str(screen.files.table)
    listed = read_table(table)
    rows = renamed(table, listed, our_name).to_dicts()
    files_of_rows = [_files(screen, root, row) for row in rows]
    if not any(files_of_rows):
        names = [channel.named or name for name, channel in screen.channels.items()]
        raise RootError(
            table,
            found=f"columns {', '.join(listed.columns)}",
            required=f"FileName_<channel> for {', '.join(names)}, or channel and path",
            remedy="Rename the columns, or correct channels.*.named in the spec.",
        )
    fields = Fields(screen, ("plate", "well", "field"))
    used = {str(screen.files.table)}
    for row, files in zip(rows, files_of_rows, strict=True):
        parts = {name: text for name, text in row.items() if not _names_file(name, screen, row)}
        if fields.wants(parts):
            fields.add(parts, {name: plane_of(path, screen.channels[name]) for name, path in files.items()})
            used |= set(files.values())
    return fields.done(), [path for path in tree.files() if path not in used]


def _files(screen: Screen, root: Path, row: Mapping[str, str]) -> dict[str, str]:
    """Channel -> path, for the channels with a file in this row."""
    lower = {name.lower(): text for name, text in row.items()}
    files = {}
    for name, channel in screen.channels.items():
        named = (channel.named or name).lower()
        if "channel" in lower:
            if lower["channel"].lower() != named:
                continue
            file = next((lower[column] for column in _FILE if lower.get(column)), "")
            folder = lower.get(_FOLDER, "")
        else:
            file = lower.get(f"filename_{named}") or lower.get(named, "")
            folder = lower.get(f"pathname_{named}", "")
        if file:
            path = Path(folder, file)
            files[name] = (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
    return files


def _names_file(column: str, screen: Screen, row: Mapping[str, str]) -> bool:
    """Whether a column describes files rather than the field."""
    lower = column.lower()
    named = {(channel.named or name).lower() for name, channel in screen.channels.items()}
    if any(name.lower() == "channel" for name in row):
        return lower in ("channel", _FOLDER, *_FILE)
    return lower.startswith(("filename_", "pathname_", "url_")) or lower in named
