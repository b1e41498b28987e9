"""A screen spec: one YAML file that describes a screen and how its features are computed.

The spec determines everything that the platform does with a screen; `docs/reference/spec.md` documents each key. The
sections are plain dataclasses, so code that takes a section needs only Python. pydantic is imported only when a
file is read.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pcip_core.errors import RootError
from pcip_core.spec.analyses import Analyses
from pcip_core.spec.baselines import Baselines
from pcip_core.spec.bounds import Bounds
from pcip_core.spec.features import FeatureSet
from pcip_core.spec.sections import (
    Benchmark,
    Channel,
    Crops,
    Files,
    Illumination,
    Images,
    Quality,
    Segmentation,
    Shards,
)
from pcip_core.spec.simulation import Simulation
from pcip_core.spec.training import EncoderConfig

if TYPE_CHECKING:
    pass

_STRICT = {"extra": "forbid"}


@dataclass(frozen=True)
class Screen:
    """A collection of images with the same channels and optics.

    Args:
        name: lower-case letters, digits and `_`; it names the schema in SQL.
        organism: `human`, `yeast` or any other text.
        channels: name -> channel.
        files: paths of the planes, and the grouping of fields into images.
        segmentation: the method that detects cells.
        crops: the conversion of a cell to a crop.
        shards: the partitions of the screen.
        description: free text.
        root: folder of the images; a relative path starts at the folder of the spec.
        pixel_um: side of a pixel of the fields in µm, for the scale bars of figures.
        images: annotations of the images.
        illumination: correction of uneven illumination.
        quality: limits of measures of quality; fields outside of them are not used.
        encoder: training of the encoder.
        encoder_from: another screen with the same channels, whose encoder describes the cells of this screen. Its
            settings of `encoder` replace those of this screen.
        benchmark: labels and protocols by which features are evaluated.
        baselines: feature sets to compare with those of paired cell inpainting.
        features: name -> a further feature set, by a program of the user or combined from other sets.
        analyses: clusters, enrichment, compartments and phenotypes.
        simulation: parameters, if the images are simulated.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    name: str
    organism: str
    channels: dict[str, Channel]
    files: Files
    segmentation: Segmentation
    crops: Crops
    shards: Shards
    description: str = ""
    root: str | None = None
    pixel_um: Annotated[float, Bounds(0, 1000, above=True)] | None = None
    images: Images = field(default_factory=Images)
    illumination: Illumination = field(default_factory=Illumination)
    quality: Quality = field(default_factory=Quality)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    encoder_from: str | None = None
    benchmark: Benchmark = field(default_factory=Benchmark)
    baselines: Baselines = field(default_factory=Baselines)
    features: dict[str, FeatureSet] = field(default_factory=dict)
    analyses: Analyses = field(default_factory=Analyses)
    simulation: Simulation | None = None

    @property
    def simulated(self) -> bool:
        """True if the images are simulated by `pcip_core.simulate`; all figures state it."""
        return self.simulation is not None

    @property
    def title(self) -> str:
        """The name of the screen for figures, which states whether the images are simulated."""
        return f"{self.name} (simulated images)" if self.simulated else self.name

    @property
    def compares(self) -> bool:
        """Whether the spec names feature sets to compare with those of paired cell inpainting."""
        return bool(self.baselines.sets or self.features)

    @property
    def encoder_screen(self) -> str:
        """The screen whose champion encoder computes the features of this screen."""
        return self.encoder_from or self.name

    @property
    def feature_set(self) -> str:
        """The feature set of the analyses: of the spec, or the layer of the encoder that fits its tasks."""
        return self.analyses.feature_set or f"{self.encoder.method}_{self.encoder.layer}"

    @property
    def corrected(self) -> tuple[str, ...]:
        """The feature sets that `baselines.corrections` correct."""
        layers = tuple(f"{self.encoder.method}_{layer}" for layer in self.encoder.layers[-3:-1])
        return layers if self.baselines.corrected is None else self.baselines.corrected

    @property
    def structural(self) -> tuple[str, ...]:
        """Names of the structural channels, in the order of the spec."""
        return tuple(name for name, channel in self.channels.items() if channel.role == "structural")

    @property
    def protein(self) -> tuple[str, ...]:
        """Names of the protein channels, in the order of the spec."""
        return tuple(name for name, channel in self.channels.items() if channel.role == "protein")

    @property
    def crop_channels(self) -> tuple[str, ...]:
        """Names of the channels of the crops: all except label images, in the order of the spec."""
        return tuple(name for name, channel in self.channels.items() if channel.role != "labels")

    def folder(self) -> Path:
        """The root folder of the images.

        Raises:
            RootError: the spec names no root, or the folder does not exist.
        """
        if self.root is None:
            raise RootError(
                f"screen {self.name}",
                found="no root",
                required="the folder with its images",
                remedy=f"Set it once: pcip run {self.name} --root FOLDER (or write `root:` in the spec).",
            )
        folder = Path(self.root)
        if not os.path.isdir(folder):  # noqa: PTH112, as Path.is_dir raises for a name that is too long
            raise RootError(
                folder,
                found="no such folder",
                required=f"the root of screen {self.name}",
                remedy="Correct `root:` in the spec, or pass --root FOLDER.",
            )
        return folder

    def folder_to_make(self) -> Path:
        """The root of a simulated screen, which need not exist yet.

        Raises:
            RootError: the spec names no root.
        """
        if self.root is None:
            raise RootError(
                f"screen {self.name}",
                found="no root",
                required="a folder for its simulated images",
                remedy="Load the spec through the workspace.",
            )
        return Path(self.root)

    def section(self, *names: str) -> dict[str, Any]:
        """The named sections as plain values, for hashes and logs."""
        return {name: _plain(getattr(self, name)) for name in names}

    def resolved(self) -> dict[str, Any]:
        """The complete spec with all defaults filled in."""
        return self.section(*(field.name for field in dataclasses.fields(self)))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
