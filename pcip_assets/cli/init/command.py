"""The command `pcip init` and its options."""

import os
import shlex
from pathlib import Path

import click

from pcip_assets.cli.init.workspace import add_template, create, described
from pcip_assets.workspace import Workspace
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
def command(folder: Path | None, templates: tuple[str, ...], *, listed: bool) -> None:
    """Make FOLDER a workspace, by default the current folder.

    A workspace has the specs of its screens in data/screens/, and everything that pcip makes of them in data/. Run
    all other commands in it. What is there already is kept.
    """
    if listed:
        for name in TEMPLATES:
            click.echo(f"{name:<29} {described(name)}")
        return
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
        click.echo("  pcip demo, or: write a spec into data/screens/, pcip check SPEC, pcip run SPEC")
