"""The command `pcip check` and its options."""

import sys
from pathlib import Path

import click

from pcip_assets.cli.check.report import print_check
from pcip_assets.cli.simulated import ensure_simulated
from pcip_assets.records.settings import trained_as
from pcip_assets.workspace import Workspace

LIMIT = 1000  # fields that --all reads


@click.command("check")
@click.argument("screen")
@click.option("--root", metavar="FOLDER", help="Folder of the screen's images, for this check only.")
@click.option(
    "--all", "every", is_flag=True, help="Read and segment every field, or --limit evenly spaced ones."
)
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    default=LIMIT,
    show_default=True,
    metavar="N",
    help="Fields that --all reads at most.",
)
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw fields of the sample with the outlines of their cells into this PNG file.",
)
def command(screen: str, root: str | None, *, every: bool, limit: int, picture: Path | None) -> None:
    """Report what pcip understands of SCREEN, and what is wrong, before any work.

    SCREEN is the path of a spec, or the name of a known screen. The report counts channels, fields, images, plates,
    wells and localization terms, shows what it read from one file of each channel, names files that belong to no
    field, and segments some fields of up to ten shards. The exit code is 1 if the screen cannot be run, if no cell
    of these fields can be used, if one of them cannot be read, or if a well is missing.
    """
    if picture is not None and picture.suffix.lower() != ".png":
        raise click.BadParameter(f"{picture} does not end with .png", param_hint="--picture")
    workspace = Workspace.current()
    path = workspace.spec_path(screen)
    loaded = workspace.load(path, root=root)
    workspace.check_among_others(loaded, path)
    ensure_simulated(loaded)
    trained = trained_as(workspace, loaded)
    if not print_check(
        loaded, at_most=limit if every else None, picture=picture, trained=trained, workspace=workspace
    ):
        sys.exit(1)
