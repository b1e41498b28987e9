"""The file or folder of an export: complete under its name, or not there."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pcip_core.errors import WriteError
from pcip_core.files import writing
from pcip_core.locks import owned, sweep

_MARKS = ("zarr.json", ".zgroup", ".pcip-export")  # of a folder that an export may replace
MARK = _MARKS[-1]
"""An empty file in the folder of an export, by which pcip knows its own folders."""


def check_target(path: Path, *, overwrite: bool, folder: bool = False) -> None:
    """Check, before any work, that an export may be written there.

    Args:
        path: of the export.
        overwrite: whether it may replace an earlier one.
        folder: whether the export is a folder.

    Raises:
        WriteError: there is something, and it must not be replaced.
    """
    if not path.exists() and not path.is_symlink():
        return
    kind = "folder" if path.is_dir() else "file"
    ours = any((path / mark).is_file() for mark in _MARKS) if folder else path.is_file()
    if not overwrite or not ours:
        raise WriteError(
            path,
            found=f"a {kind} of this name",
            required="a name that is free",
            remedy="Replace it with --overwrite, or give another name with --out."
            if ours
            else "Give another name with --out: this is no earlier export, and is not replaced.",
        )


@contextmanager
def new_target(path: Path, *, overwrite: bool, folder: bool = False) -> Iterator[Path]:
    """A temporary path beside the target, for the export, which takes the target's place at the end.

    After an error nothing is left, and an earlier export is still there. What a killed process left is removed by
    the next export to the same folder.

    Raises:
        WriteError: there is something that must not be replaced, or the export cannot be written.
    """
    check_target(path, overwrite=overwrite, folder=folder)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent.glob(".pcip_export_*"))
        with owned(path.parent / f".pcip_export_{uuid.uuid4().hex}_{path.name[:100]}") as beside:
            temporary = beside / path.name
            yield temporary
            check_target(path, overwrite=overwrite, folder=folder)
            if folder and path.is_dir():
                path.rename(beside / "replaced")
            temporary.replace(path)
