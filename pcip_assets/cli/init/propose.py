"""The part of `pcip init` that proposes a spec for a folder of images, asks what names do not tell, and writes it."""

import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from pcip_assets.cli.check import print_check
from pcip_assets.cli.init.asking import asked_channels, asked_name
from pcip_assets.workspace import Workspace
from pcip_core.errors import DuplicateScreenError, SpecError
from pcip_core.files import replacing
from pcip_core.images.proposal.arrangement import Arrangement
from pcip_core.images.proposal.channels import chosen_channels
from pcip_core.images.proposal.inspection import LAYOUTS, inspect_folder
from pcip_core.images.proposal.naming.words import name_of_folder, screen_name
from pcip_core.images.proposal.proposal import likely_organism, propose
from pcip_core.spec.validation import RESERVED
from pcip_core.words import escaped, many

_SHOWN = 5


@dataclass(frozen=True)
class Answers:
    """What the options of the command say; None or empty for what pcip proposes or asks.

    Attributes:
        name: of the screen.
        protein, structural: channels in the files, or `NAME=CHANNEL`.
        organism: for the tables, and for the choice of the segmentation.
        diameter: of a cell or nucleus, px.
        layout, pattern, exclude: how the folder is arranged.
        picture: PNG file of the contact sheet.
        yes: ask nothing.
        force: replace a spec of that name.
    """

    name: str | None = None
    protein: tuple[str, ...] = ()
    structural: tuple[str, ...] = ()
    organism: str | None = None
    diameter: float | None = None
    layout: str | None = None
    pattern: str | None = None
    exclude: tuple[str, ...] = ()
    picture: Path | None = None
    yes: bool = False
    force: bool = False


def proposal_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of `Answers` to a command."""
    options = (
        click.option("--name", help="Name of the screen, by default that of the folder."),
        click.option(
            "--protein",
            multiple=True,
            metavar="CHANNEL",
            help="The channel that is the protein, as in the files.",
        ),
        click.option(
            "--structural",
            multiple=True,
            metavar="[NAME=]CHANNEL",
            help="A channel that shows one structure in all images, and what: nucleus=ch2. May be repeated.",
        ),
        click.option("--organism", help="Organism; with `yeast` in it, cells are found as yeast."),
        click.option(
            "--diameter",
            type=click.FloatRange(3, 2000),
            metavar="PX",
            help="Diameter of a typical cell of yeast, or of a nucleus; by default it is measured.",
        ),
        click.option(
            "--layout", type=click.Choice(LAYOUTS), help="Layout of the files; by default it is recognized."
        ),
        click.option("--pattern", help="Pattern of the paths, if names are not read as you mean them."),
        click.option(
            "--exclude",
            multiple=True,
            metavar="NAME",
            help="Files or folders/ to leave out. May be repeated.",
        ),
        click.option(
            "--picture",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="PNG file of the contact sheet, by default in data/reports/.",
        ),
        click.option("--yes", is_flag=True, help="Ask nothing: take what is proposed, or end with an error."),
        click.option("--force", is_flag=True, help="Replace a spec of this name."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def propose_spec(workspace: Workspace, images: Path, answers: Answers) -> bool:
    """Write the spec of a folder of images into the workspace, check it, and draw the contact sheet.

    Returns:
        Whether the check found that the screen can be run.

    Raises:
        PcipError: there are no images, several arrangements of them, or channels whose role nothing tells; or a spec
            of this name exists. Nothing is written then.
    """
    if answers.picture is not None and answers.picture.suffix.lower() != ".png":
        raise click.BadParameter(f"{answers.picture} does not end with .png", param_hint="--picture")
    images = images.expanduser()
    asks = not answers.yes and _is_terminal()
    name = answers.name or name_of_folder(_named(images))
    if answers.name or not asks:
        _require_free(workspace, name, force=answers.force)
    with tqdm(desc="  listing files", unit="file", leave=False, disable=None) as bar:
        arrangement = inspect_folder(
            images,
            layout=answers.layout,
            pattern=answers.pattern,
            exclude=answers.exclude,
            progress=lambda count: _advance(bar, count),
        )
    _print_arrangement(images, arrangement)
    protein, structural = answers.protein, answers.structural
    if asks and not (protein and structural):
        protein, structural = asked_channels(arrangement, protein, structural)
    choices = chosen_channels(arrangement.channels, protein=protein, structural=structural)
    organism = answers.organism or likely_organism(choices)
    if asks:
        organism = answers.organism or click.prompt("  organism, by which cells are found", default=organism)
        name = answers.name or asked_name(
            name, lambda name: _require_free(workspace, name, force=answers.force)
        )
    click.echo("  reading some fields ...")
    text, _ = propose(
        images,
        arrangement,
        choices,
        name=name,
        organism=organism,
        shown_root=_shown_root(workspace, images),
        diameter_px=answers.diameter,
    )
    path = _path(workspace, name)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    click.echo(f"  written: {path}")
    return _checked(workspace, name, path, answers.picture)


def _checked(workspace: Workspace, name: str, path: Path, picture: Path | None) -> bool:
    """Check the new spec, and say what to do next."""
    picture = picture or workspace.reports(name) / "contact_sheet.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    click.echo("")
    passes = print_check(workspace.load(path, root=None), picture=picture)
    click.secho("\nNext:", bold=True)
    if passes:
        click.echo(f"  look at the outlines of the cells in {picture}")
        click.echo(f"  pcip run {name}")
    else:
        click.echo(f"  correct {path}: the lines above say what is wrong")
        click.echo(f"  pcip check {name} --picture {shlex.quote(str(picture))}")
    return passes


def _advance(bar: "tqdm[Any]", count: int) -> None:
    bar.update(count - bar.n)


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _path(workspace: Workspace, name: str) -> Path:
    return workspace.data / "screens" / f"{name}.yaml"


def _require_free(workspace: Workspace, name: str, *, force: bool) -> None:
    """Raise unless a spec of this name may be written.

    Raises:
        SpecError: the name is not valid, or the spec exists and must not be replaced.
        DuplicateScreenError: another spec has this name.
    """
    path = _path(workspace, name)
    if screen_name(name) != name:
        raise SpecError(
            "--name",
            found=repr(name),
            required="lower-case letters, digits and _, beginning with a letter, and none of "
            f"{', '.join(sorted(RESERVED))} (it names the schema in SQL)",
            remedy=f"Use --name {screen_name(name)}",
        )
    if path.exists() and not force:
        raise SpecError(
            path,
            found="a spec of that name",
            required="a new name, so that nothing is lost",
            remedy="Use --name OTHER_NAME, or --force to replace it.",
        )
    try:
        workspace.check_unique(name, path)
    except DuplicateScreenError as error:
        raise DuplicateScreenError(
            error.where, found=error.found, required=error.required, remedy="Use --name OTHER_NAME."
        ) from error


def _named(images: Path) -> Path:
    """The absolute path of a folder, with the name that a link gives it."""
    named = Path(os.path.normpath(images.absolute()))
    return (
        named if named.resolve() == images.resolve() else images.resolve()
    )  # `link/..` is not the link's folder


def _shown_root(workspace: Workspace, images: Path) -> str | None:
    """The folder relative to that of the spec if it, or the link to it, is in the workspace; otherwise None."""
    top, root = workspace.data.parent, _named(images)
    inside = next((path for path in (root, root.resolve()) if path.is_relative_to(top)), None)
    return None if inside is None else os.path.relpath(inside, workspace.data / "screens")


def _print_arrangement(images: Path, arrangement: Arrangement) -> None:
    click.secho(escaped(f"{images}: layout {arrangement.layout}"), bold=True)
    for label, text in (("pattern", arrangement.pattern), ("table", arrangement.table)):
        if text:
            click.echo(escaped(f"  {label:<11} {text}"))
    click.echo(escaped(f"  {'one image':<11} {arrangement.image_id}"))
    for name, values in arrangement.values.items():
        more = f", ... ({len(values)} in all)" if len(values) > _SHOWN else ""
        click.echo(escaped(f"  {name:<11} {', '.join(values[:_SHOWN])}{more}"))
    for candidate in arrangement.channels:
        count = f"{many(candidate.files, 'file')}, " if candidate.files else ""
        click.echo(escaped(f"  {'channel':<11} {candidate.label}: {count}such as {candidate.example}"))
    if arrangement.contents.pixel_um is not None:
        click.echo(f"  {'pixel':<11} {arrangement.contents.pixel_um:.4g} um")
    for note in arrangement.notes:
        click.secho(escaped(f"  {'note':<11} {note}"), fg="yellow")
