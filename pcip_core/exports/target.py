"""The file or folder of an export: complete under its name, or not there."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pcip_core.errors import WriteError
from pcip_core.files import writing
from pcip_core.locks import owned, sweep

MARK = ".pcip-export"
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
    ours = _is_export(path) if folder else path.is_file()
    if not overwrite or not ours:
        raise WriteError(
            path,
            found=f"a {kind} of this name",
            required="a name that is free",
            remedy="Replace it with --overwrite, or give another name with --out."
            if ours
            else "Give another name with --out: this is no earlier export, and is not replaced.",
        )


def require_outside(path: Path, *, data: Path, exports: Path) -> None:
    """Require a target that is not among the results of a workspace, which pcip replaces, and which it reads.

    Args:
        path: of the export.
        data: folder of the results.
        exports: the folder in it that is for exports.

    Raises:
        WriteError: it is.
    """
    place = path.parent.resolve() / path.name
    if place.is_relative_to(data.resolve()) and not place.is_relative_to(exports.resolve()):
        raise WriteError(
            path,
            found="a place among the results of the workspace",
            required=f"a name in {exports}, or outside of {data}",
            remedy="Give another name with --out.",
        )


def _is_export(folder: Path) -> bool:
    """Whether a folder is an export: it has pcip's mark, or it is an AnnData in Zarr."""
    if (folder / MARK).is_file():
        return True
    try:
        attributes = json.loads((folder / ".zattrs").read_text())
    except (OSError, ValueError):
        return False
    return isinstance(attributes, dict) and attributes.get("encoding-type") == "anndata"


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
