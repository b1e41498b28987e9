"""A screen spec: one YAML file that describes a screen and how its features are computed.

The spec determines everything that the platform does with a screen; `docs/reference/spec.md` documents each key. The
sections are plain dataclasses, so code that takes a section needs only Python. pydantic is imported only when a
file is read.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pcip_core.errors import RootError, SpecError
from pcip_core.spec.analyses import Analyses
from pcip_core.spec.baselines import Baselines
from pcip_core.spec.bounds import shown
from pcip_core.spec.features import FeatureSet
from pcip_core.spec.reading import read_yaml
from pcip_core.spec.recipes import with_recipe
from pcip_core.spec.sections import Benchmark, Channel, Crops, Files, Images, Segmentation, Shards
from pcip_core.spec.simulation import Simulation
from pcip_core.spec.training import EncoderConfig
from pcip_core.spec.validation import LONGEST_NAME, validate

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_STRICT = {"extra": "forbid"}
_INSTANCE = re.compile(r" or an instance of \w+")  # in pydantic's messages: no concern of a spec
_TYPE = re.compile(
    r"Screen|int|str|(function-after|literal|dict)\[.*"
)  # in pydantic's path to a value: no key
_MOST_PROBLEMS = 10
_RENAMED = {"yardsticks": "baselines"}  # former key -> key


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
        images: annotations of the images.
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
    images: Images = field(default_factory=Images)
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


def load_screen(path: Path, *, root: str | None = None) -> Screen:
    """Read a spec and check it.

    Args:
        path: the YAML file.
        root: folder of the images; replaces the root in the spec. A relative root starts at the folder of the spec.

    Raises:
        SpecError: the file does not exist, is not YAML, has an unknown or missing key, or has an invalid value.

    >>> import tempfile
    >>> spec = '''
    ... name: example
    ... organism: yeast
    ... files: {pattern: "{plate}/{well}_{field}_{channel}.tif", image_id: "{plate}_{well}"}
    ... channels: {cytosol: {role: structural}, protein: {role: protein}}
    ... shards: {by: "{plate}"}
    ... segmentation: {method: yeast_cytosol, options: {channel: cytosol}}
    ... crops: {window_px: 64}
    ... '''
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "example.yaml").write_text(spec)
    ...     screen = load_screen(Path(folder) / "example.yaml")
    >>> screen.structural, screen.protein, screen.crops.min_cells, screen.encoder.epochs
    (('cytosol',), ('protein',), 5, 30)
    """
    from pydantic import ValidationError

    values = read_yaml(path, "a screen spec")
    if not isinstance(values, dict):
        raise SpecError(
            path,
            found="an empty file" if values is None else f"a {type(values).__name__}",
            required="a YAML mapping with name, organism, channels, files, ...",
            remedy="Start from a spec in data/screens/.",
        )
    for old, new in _RENAMED.items():
        if old in values:
            raise SpecError(
                path,
                found=f"the key `{old}`",
                required=f"the key `{new}`, as it is called now",
                remedy=f"Rename `{old}:` to `{new}:` in the spec.",
            )
    try:
        screen = _adapter().validate_python(with_recipe(values, path))
    except ValidationError as error:
        found, required = _validation_message(error)
        raise SpecError(path, found=found, required=required, remedy="Correct the spec.") from error
    screen = _with_absolute_paths(screen, path, root)
    validate(screen, path)
    return screen


@functools.cache
def _adapter() -> TypeAdapter[Screen]:
    """Validates a spec. Building it takes longer than validating with it."""
    from pydantic import TypeAdapter

    return TypeAdapter(Screen)


def _with_absolute_paths(screen: Screen, path: Path, root: str | None) -> Screen:
    """Make the root and the paths of the analyses and of the weights absolute; they start at the folder of the spec."""

    def absolute(name: str, text: str) -> str:
        try:
            return str((path.parent / Path(text).expanduser()).resolve())
        except (RuntimeError, ValueError, OSError) as error:  # no such user, a loop of links
            raise SpecError(
                path, found=f"{name} {shown(text)} ({error})", required="a path", remedy="Correct the spec."
            ) from error

    def changed(part: Any, key: str) -> Any:
        name = key.rpartition(".")[2]
        text = None if part is None else getattr(part, name)
        return part if text is None else dataclasses.replace(part, **{name: absolute(key, text)})

    def within(section: Any, key: str) -> Any:
        name = key.partition(".")[0]
        return dataclasses.replace(section, **{name: changed(getattr(section, name), key)})

    tables = screen.analyses.annotations.items()
    annotations = {name: absolute(f"analyses.annotations.{name}", table) for name, table in tables}
    analyses = dataclasses.replace(screen.analyses, annotations=annotations)
    for key in ("clusters.picks", "ontology.obo", "ontology.gaf", "ontology.names"):
        analyses = within(analyses, key)
    root = root or screen.root
    return dataclasses.replace(
        screen,
        root=None if root is None else absolute("root", root),
        baselines=within(screen.baselines, "vgg16.weights"),
        features={
            name: changed(changed(each, f"features.{name}.program"), f"features.{name}.reference")
            for name, each in screen.features.items()
        },
        analyses=analyses,
    )


def _validation_message(error: Any) -> tuple[str, str]:
    """What pydantic found, with the key of each problem, and what is required."""
    found: list[str] = []
    required: list[str] = []
    for problem in error.errors()[:_MOST_PROBLEMS]:
        key = ".".join(str(step)[:LONGEST_NAME] for step in problem["loc"] if not _is_type(step))
        if problem["type"] == "bounds":
            found.append(f"{key} {shown(problem['input'])}")
            required.append(f"{key} {problem['msg']}")
        elif problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            found.append(f"unknown key `{key}`")
        else:
            found.append(f"`{key}`: {_INSTANCE.sub('', problem['msg'].lower())}")
    if len(required) == len(found) == 1:
        return found[0], required[0].removeprefix(f"{key} ")
    return "; ".join(found), ", ".join(required or ["the keys of docs/reference/spec.md"])


def _is_type(step: object) -> bool:
    """Whether a step of pydantic's path to a value is a type that it tried, and not a key."""
    return isinstance(step, str) and _TYPE.fullmatch(step) is not None


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
