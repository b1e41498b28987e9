"""Prints the report of `pcip check`: the lines of each section, then the problems, then the verdict."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
from tqdm import tqdm

from pcip_core.crops.sample import SampledField, Sampler, choose_fields
from pcip_core.images.layout import Layout, scan
from pcip_core.images.localization import Annotated, annotated_images
from pcip_core.images.plate_map import Plate, plates_of
from pcip_core.segmentation import check_segmentation
from pcip_core.spec.screen import Screen

if TYPE_CHECKING:
    from pcip_core.plots.cells.contact_sheet import Panel

PROBLEM, FAILURE = "problem", "failure"
_COLOURS = {PROBLEM: "yellow", FAILURE: "red"}
_PANELS = 9  # fields on the picture
_INDENT = " " * 14


class Line(NamedTuple):
    """One line of the report. With the label PROBLEM or FAILURE it is printed at the end, in its colour."""

    label: str
    text: object


@dataclass
class Check:
    """What the sections of the report look at.

    Attributes:
        screen, layout: the spec, and the fields and files under its root.
        at_most: number of fields to read of all; None for the usual sample.
        panels: filled with the first, last and evenly spaced fields of the sample if `with_panels`.
    """

    screen: Screen
    layout: Layout
    at_most: int | None = None
    with_panels: bool = False
    panels: list["Panel"] = field(default_factory=list)

    @cached_property
    def annotated(self) -> Annotated:
        """The images and their annotations."""
        return annotated_images(self.screen, self.layout.fields)

    @cached_property
    def plates(self) -> list[Plate]:
        """The plates, with the number of fields of each well."""
        return plates_of(self.screen, self.layout.fields)

    @cached_property
    def absent(self) -> list[str]:
        """Channels without any file."""
        present = {name for member in self.layout.fields for name in member.files}
        return [name for name in self.screen.channels if name not in present]

    @cached_property
    def sample(self) -> list[SampledField]:
        """The fields that are read, segmented and cut; none if a channel has no files."""
        if self.absent:
            return []
        check_segmentation(self.screen)
        fields = choose_fields(self.screen, self.layout, at_most=self.at_most)
        drawn = {number * len(fields) // _PANELS for number in range(_PANELS)} if self.with_panels else set()
        sampler, sample = Sampler(self.screen), []
        for number, member in enumerate(tqdm(fields, "  reading fields", leave=False, disable=None)):
            summary, cut = sampler.sample(member)
            sample.append(summary)
            if number in drawn and cut is not None:
                from pcip_core.plots.cells.contact_sheet import panel

                self.panels.append(panel(self.screen, cut, summary.passing))
        return sample


def print_check(screen: Screen, *, at_most: int | None = None, picture: Path | None = None) -> bool:
    """Print the report, and draw the picture.

    Args:
        screen: the spec.
        at_most: read all fields, or this number of them; by default a few of some shards.
        picture: the PNG file to draw fields of the sample into.

    Returns:
        False if the screen cannot be run, a field of the sample cannot be read, or a well is missing.
    """
    from pcip_assets.cli.check.sections import SECTIONS, refusal

    check = Check(screen, scan(screen), at_most, with_panels=picture is not None)
    click.secho(f"{screen.name}: {screen.description}", bold=True)
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
    for line in sorted(grave, key=lambda line: line.label, reverse=True):  # failures last
        _print(line, fg=_COLOURS[line.label])
    stop = refusal(check)
    if stop is not None:
        click.secho(f"  cannot run: {stop}", fg="red")
    elif not grave:
        click.secho("  no problem found", fg="green")
    return stop is None and not any(line.label == FAILURE for line in grave)


def _print(line: Line, **style: str) -> None:
    text = str(line.text).replace("\n", f"\n{_INDENT}")
    click.secho(f"  {line.label:<11} {text}", **style)  # type: ignore[arg-type]


def _draw(check: Check, picture: Path) -> Iterator[Line]:
    """Draw the sampled fields into a file, if any can be read."""
    from pcip_core.plots.cells.contact_sheet import contact_sheet
    from pcip_core.plots.pictures import save_png

    if not check.panels:
        yield Line("picture", "none: no field of the sample can be read")
        return
    save_png(contact_sheet(check.screen, check.panels), picture)
    yield Line("picture", f"{picture}: {len(check.panels)} of {len(check.sample)} sampled fields")
