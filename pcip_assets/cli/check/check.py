"""What the sections of `pcip check` look at, and the lines that they yield."""

from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from tqdm import tqdm

from pcip_assets.records.settings import Trained
from pcip_assets.workspace import Workspace
from pcip_core.crops.sample import SampledField, Sampler, choose_fields
from pcip_core.images.annotations import ImageTables, match_tables
from pcip_core.images.illumination.correction import estimated_beforehand
from pcip_core.images.illumination.described import estimate_lines
from pcip_core.images.layout import Layout
from pcip_core.images.listing import Listing
from pcip_core.images.localization import Annotated, annotated_images
from pcip_core.images.plate_map import Plate, plates_of
from pcip_core.segmentation import check_segmentation
from pcip_core.spec.screen import Screen

if TYPE_CHECKING:
    from pcip_core.plots.cells.contact_sheet import Panel

WARNING, PROBLEM, FAILURE = "warning", "problem", "failure"
_PANELS = 9  # fields on the picture


class Line(NamedTuple):
    """One line of the report. With the label WARNING, PROBLEM or FAILURE it is printed at the end, in its colour.

    Attributes:
        label: at the left.
        text: what is said. A line break within it, as of a name, is printed as an escape.
        below: further lines without a label.
    """

    label: str
    text: object
    below: tuple[str, ...] = ()


@dataclass
class Check:
    """What the sections of the report look at.

    Attributes:
        screen, layout: the spec, and the fields and files under its root.
        trained: how the encoder of the screen was trained; None without one.
        workspace: of the screens that the spec names; None if it names none.
        at_most: number of fields to read of all; None for the usual sample.
        estimates: filled with lines on the estimates of illumination of the sampled shards.
        panels: filled with the first, last and evenly spaced fields of the sample if `with_panels`.
    """

    screen: Screen
    layout: Layout
    at_most: int | None = None
    trained: Trained | None = None
    workspace: Workspace | None = None
    with_panels: bool = False
    estimates: list[str] = field(default_factory=list)
    panels: list["Panel"] = field(default_factory=list)

    @cached_property
    def annotated(self) -> Annotated:
        """The images and their annotations."""
        return annotated_images(self.screen, self.layout.fields, self.tables)

    @cached_property
    def tables(self) -> ImageTables:
        """The tables that describe images, matched to all fields, those that are left out included."""
        return match_tables(self.screen, self.layout.with_left_out())

    @cached_property
    def names_proteins(self) -> bool:
        """Whether the names of files, the spec or a table give the protein, or its gene, of some image."""
        of_files = any(member.parts.get("protein") for member in self.layout.fields)
        named = any(image.values["protein"] != image.image_id for image in self.annotated.records)
        return of_files or "protein" in self.screen.images.values or named

    @cached_property
    def plates(self) -> list[Plate]:
        """The plates, with the number of fields of each well, those that are left out included."""
        return plates_of(self.screen, self.layout.with_left_out())

    @cached_property
    def listing(self) -> Listing:
        """What is missing or doubtful among the files."""
        return self.layout.listing(self.screen)

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
        fields = []
        for shard, members in groupby(
            choose_fields(self.screen, self.layout, at_most=self.at_most), lambda member: member.shard
        ):
            of_shard = self.layout.of_shard(shard)
            corrected, estimates = estimated_beforehand(self.screen, of_shard, list(members))
            fields += corrected
            self.estimates += estimate_lines(shard, estimates)
        drawn = {number * len(fields) // _PANELS for number in range(_PANELS)} if self.with_panels else set()
        sampler, sample = Sampler(self.screen, self.layout), []
        for number, member in enumerate(tqdm(fields, "  reading fields", leave=False, disable=None)):
            summary, cut = sampler.sample(member)
            sample.append(summary)
            if number in drawn and cut is not None:
                from pcip_core.plots.cells.contact_sheet import panel

                self.panels.append(panel(self.screen, cut, summary.passing))
        return sample
