"""The command `pcip init` and its options."""

import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from pcip_assets.cli.init.propose import Answers, proposal_options, propose_spec
from pcip_assets.cli.init.workspace import add_template, create, described
from pcip_assets.workspace import Workspace
from pcip_core.errors import PcipError
from pcip_core.images.proposal.listing import holds_images
from pcip_core.spec.loading import load_screen
from pcip_core.spec.templates import TEMPLATES


@click.command("init")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option(
    "--from",
    "templates",
    multiple=True,
    metavar="TEMPLATE",
    type=click.Choice(list(TEMPLATES)),
    help="Add the spec of this screen, which comes with pcip; may be repeated.",
)
@click.option("--list", "listed", is_flag=True, help="List the screens whose specs come with pcip.")
@proposal_options
def command(folder: Path | None, templates: tuple[str, ...], *, listed: bool, **options: Any) -> None:
    """Make a workspace, or propose a spec for a folder of images.

    If FOLDER holds images, pcip looks at the names of the files, their headers and tables, and recognizes the layout,
    the parts of the names, the channels, the size of a pixel and of the cells. It asks what it cannot know; without a
    terminal, or with --yes, the options answer. It writes the spec into data/screens/ of the current folder, checks it
    and draws the contact sheet.

    Otherwise FOLDER, by default the current folder, becomes a workspace. It has the specs of its screens in
    data/screens/, and everything that pcip makes of them in data/. Run all other commands in it. What is there already
    is kept.
    """
    if listed:
        for name in TEMPLATES:
            click.echo(f"{name:<29} {described(name)}")
        return
    answers = Answers(**options)
    if templates and answers != Answers():
        raise click.UsageError(
            "--from copies a spec as it is; the options of a proposal belong to a folder of images"
        )
    if folder is not None and _is_to_be_read(folder, answers):
        if templates:
            raise click.UsageError(
                f"{folder} holds images; name a new folder for a screen that comes with pcip, or none for this folder"
            )
        sound = propose_spec(Workspace.current(), folder, answers)
        create()  # what a workspace has besides the spec
        if not sound:
            sys.exit(1)
        return
    _make_workspace(folder, templates)


def _is_to_be_read(folder: Path, answers: Answers) -> bool:
    """Whether a spec is to be proposed for a folder; otherwise it becomes a workspace.

    Raises:
        PcipError: it holds other files only.
    """
    folder = folder.expanduser()
    if (folder / "data" / "screens").is_dir():
        return False
    if replace(answers, force=False) != Answers():
        return True
    if not folder.is_dir() or folder.resolve() == Path.cwd():
        return False
    if holds_images(folder):
        return True
    if any(folder.iterdir()):
        raise PcipError(
            folder,
            found="files, and no image among the first of them",
            required="a folder of images, to propose a spec for; or a new or empty folder, to become a workspace",
            remedy=f"Name the folder of the images, or a new folder: pcip init {shlex.quote(f'{folder}_workspace')}",
        )
    return False


def _make_workspace(folder: Path | None, templates: tuple[str, ...]) -> None:
    workspace, made = create(folder)
    kept = [name for name in templates if (workspace.screens_folder / f"{name}.yaml").exists()]
    for name in templates:
        made += add_template(workspace, name)
    click.echo(f"workspace: {workspace.data.parent if not os.environ.get('PCIP_DATA') else workspace.data}")
    for path in made:
        click.echo(f"  new: {os.path.relpath(path, workspace.data.parent)}")
    for name in kept:
        click.echo(
            f"  kept as it was: {os.path.relpath(workspace.screens_folder, workspace.data.parent)}/{name}.yaml"
        )
    _print_next_steps(workspace, folder, templates)


def _print_next_steps(workspace: Workspace, folder: Path | None, templates: tuple[str, ...]) -> None:
    click.secho("Next:", bold=True)
    if folder is not None and folder.resolve() != Path.cwd():
        click.echo(f"  cd {shlex.quote(str(folder))}")
    for name in templates:
        screen = load_screen(workspace.screens_folder / f"{name}.yaml")
        images = "" if screen.simulation or screen.root else " --root FOLDER_OF_ITS_IMAGES"
        click.echo(f"  pcip run {name}{images}")
    if not templates:
        click.echo("  pcip init FOLDER_OF_IMAGES, to propose a spec; or pcip demo")
