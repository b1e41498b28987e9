"""Prints the report of `pcip check`: the lines of each section, then the problems, then the verdict."""

from collections.abc import Iterator
from pathlib import Path

import click

from pcip_assets.cli.check.check import FAILURE, PROBLEM, WARNING, Check, Line
from pcip_assets.cli.check.sections import SECTIONS, refusal
from pcip_assets.records.settings import Trained
from pcip_assets.workspace import Workspace
from pcip_core.images.decoding import forget_warnings
from pcip_core.images.layout import scan
from pcip_core.spec.screen import Screen
from pcip_core.words import escaped, many

_COLOURS = {WARNING: "yellow", PROBLEM: "yellow", FAILURE: "red"}
_INDENT = " " * 14


def print_check(
    screen: Screen,
    *,
    at_most: int | None = None,
    picture: Path | None = None,
    trained: Trained | None = None,
    workspace: Workspace | None = None,
) -> bool:
    """Print the report, and draw the picture.

    Args:
        screen: the spec.
        at_most: read all fields, or this number of them; by default a few of some shards.
        picture: the PNG file to draw fields of the sample into.
        trained: how the encoder of the screen was trained; None without one.
        workspace: of the screens that the spec names; None if it names none.

    Returns:
        False if the screen cannot be run, a field of the sample cannot be read, or a well is missing.
    """
    forget_warnings()  # those of other screens
    check = Check(screen, scan(screen), at_most, trained, workspace, with_panels=picture is not None)
    click.secho(f"{screen.name}: {escaped(' '.join(screen.description.split()))}", bold=True)
    grave: list[Line] = []
    for section in SECTIONS:
        for line in section(check):
            if line.label in _COLOURS:
                grave.append(line)
            else:
                _print(line)
    if picture is not None:
        for line in _draw(check, picture):
            _print(line)
    order = list(_COLOURS)
    for line in sorted(grave, key=lambda line: order.index(line.label)):  # failures last
        _print(line, fg=_COLOURS[line.label])
    stop = refusal(check)
    if stop is not None:
        click.secho(f"  cannot run: {escaped(stop)}", fg="red")
    elif not grave:
        click.secho("  no problem found", fg="green")
    return stop is None and not any(line.label == FAILURE for line in grave)


def _print(line: Line, **style: str) -> None:
    text = f"\n{_INDENT}".join(map(escaped, (str(line.text), *line.below)))
    click.secho(f"  {line.label:<11} {text}", **style)  # type: ignore[arg-type]


def _draw(check: Check, picture: Path) -> Iterator[Line]:
    """Draw the sampled fields into a file, if any can be read."""
    from pcip_core.plots.cells.contact_sheet import contact_sheet
    from pcip_core.plots.pictures import save_png

    if not check.panels:
        yield Line("picture", "none: no field of the sample can be read")
        return
    save_png(contact_sheet(check.screen, check.panels), picture)
    yield Line("picture", f"{picture}: {len(check.panels)} of {many(len(check.sample), 'sampled field')}")
