"""The files of a new workspace: the folder of its specs, and the settings with which `dagster dev` works in it.

Nothing that exists is replaced.
"""

import os
from pathlib import Path

from pcip_assets.workspace import SETTINGS, Workspace
from pcip_core.errors import PcipError, WriteError
from pcip_core.files import replacing
from pcip_core.spec.loading import load_screen
from pcip_core.spec.reading import read_yaml
from pcip_core.spec.templates import TEMPLATES


def create(folder: Path | None = None) -> tuple[Workspace, list[Path]]:
    """Make a workspace, as far as it is not there; returns it and the new files and folders.

    Args:
        folder: the workspace; by default the current folder, or only the data folder where PCIP_DATA is set.

    Raises:
        PcipError: a folder is given, but PCIP_DATA names another place for its data.
        WriteError: it cannot be written.
    """
    moved = os.environ.get("PCIP_DATA")
    if folder is None:
        workspace = Workspace.current()
    elif moved:
        raise PcipError(
            f"PCIP_DATA={moved}",
            found=f"a data folder outside the workspace {folder}",
            required="one place for the workspace",
            remedy=f"Unset PCIP_DATA to make {folder}, or leave out {folder} to use {moved}.",
        )
    else:
        workspace = Workspace(folder.expanduser().resolve() / "data")
    workspace.require_writable()
    made = []
    if not workspace.screens_folder.is_dir():
        _make_folder(workspace.screens_folder)
        made.append(workspace.screens_folder)
    for source in sorted(SETTINGS.iterdir()) if not moved else ():  # their paths lead to `data/`
        target = workspace.data.parent / source.name
        if not target.exists():
            _copy(source, target)
            made.append(target)
    return workspace, made


def add_template(workspace: Workspace, name: str) -> list[Path]:
    """Copy the template of a screen, and of the one whose encoder it borrows, unless the workspace has them.

    Returns:
        The new files.

    Raises:
        DuplicateScreenError: another spec of the workspace has this name.
    """
    source, target = TEMPLATES[name], workspace.screens_folder / f"{name}.yaml"
    lender = load_screen(source).encoder_from
    made = add_template(workspace, lender) if lender in TEMPLATES else []
    if target.exists():
        return made
    workspace.check_unique(name, target)
    _copy(source, target)
    return [*made, target]


def described(name: str) -> str:
    """What a template is for: the description in its spec."""
    return str(read_yaml(TEMPLATES[name], "a screen spec")["description"])


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise WriteError.of(error) or WriteError(
            folder,
            found=f"{error.filename}: {str(error.strerror).lower()}",
            required="a folder, or a name that is free",
            remedy="Choose another folder.",
        ) from error


def _copy(source: Path, target: Path) -> None:
    with replacing(target) as temporary:
        temporary.write_bytes(source.read_bytes())
