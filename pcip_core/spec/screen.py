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
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pcip_core.errors import RootError, SpecError
from pcip_core.spec.analyses import Analyses
from pcip_core.spec.baselines import Baselines
from pcip_core.spec.bounds import shown
from pcip_core.spec.reading import read_yaml
from pcip_core.spec.sections import PART, Benchmark, Channel, Crops, Files, Images, Segmentation, Shards
from pcip_core.spec.simulation import Simulation
from pcip_core.spec.training import EncoderConfig

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_STRICT = {"extra": "forbid"}
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_LONGEST_NAME = 60
_RESERVED = {"main", "temp", "system", "information_schema", "pg_catalog", "feature_store"}
_INSTANCE = re.compile(r" or an instance of \w+")  # in pydantic's messages: no concern of a spec
_TYPE = re.compile(
    r"Screen|int|str|(function-after|literal|dict)\[.*"
)  # in pydantic's path to a value: no key
_MOST_PROBLEMS = 10
_LONGEST_PATTERN = 1000
_PATTERN_PART = re.compile(r"{(\w+)(?::d)?}")
_WITH_PATTERN = ("pattern", "ome_tiff", "hdf5")
_RENAMED = {"yardsticks": "baselines"}  # former key -> key
_PARTS = {  # parts of each layout, in addition to those of a pattern
    "opera": ("plate", "well", "row", "column", "field", "plane", "time"),
    "ome_zarr": ("plate", "well", "row", "column", "field", "acquisition"),
    "hdf5": ("row", "class"),
}


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
    def encoder_screen(self) -> str:
        """The screen whose champion encoder computes the features of this screen."""
        return self.encoder_from or self.name

    @property
    def feature_set(self) -> str:
        """The feature set of the analyses: of the spec, or a layer of the encoder.

        Paired cell inpainting describes localization best in its middle (paper, human cells: conv3). The vectors that
        shall agree are computed from the last layer.
        """
        layer = self.encoder.layers[-1 if "agreement" in self.encoder.tasks else -3]
        return self.analyses.feature_set or f"{self.encoder.method}_{layer}"

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
        screen = _adapter().validate_python(values)
    except ValidationError as error:
        found, required = _validation_message(error)
        raise SpecError(path, found=found, required=required, remedy="Correct the spec.") from error
    screen = _with_absolute_paths(screen, path, root)
    _validate(screen, path)
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

    def within(section: Any, key: str) -> Any:
        part_name, name = key.split(".")
        part = getattr(section, part_name)
        if part is None or getattr(part, name) is None:
            return section
        changed = dataclasses.replace(part, **{name: absolute(key, getattr(part, name))})
        return dataclasses.replace(section, **{part_name: changed})

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
        analyses=analyses,
    )


def _validation_message(error: Any) -> tuple[str, str]:
    """What pydantic found, with the key of each problem, and what is required."""
    found: list[str] = []
    required: list[str] = []
    for problem in error.errors()[:_MOST_PROBLEMS]:
        key = ".".join(str(step)[:_LONGEST_NAME] for step in problem["loc"] if not _is_type(step))
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


def _validate(screen: Screen, path: Path) -> None:
    def refuse(found: str, required: str, remedy: str = "Correct the spec.") -> None:
        raise SpecError(path, found=found, required=required, remedy=remedy)

    if not _NAME.fullmatch(screen.name) or len(screen.name) > _LONGEST_NAME:
        refuse(
            f"name {screen.name!r}",
            f"lower-case letters, digits and _, at most {_LONGEST_NAME} (it names the schema in SQL)",
        )
    if screen.name in _RESERVED:
        refuse(
            f"name {screen.name!r}", f"none of {', '.join(sorted(_RESERVED))} (it names the schema in SQL)"
        )
    if not screen.protein:
        refuse("no channel with `role: protein`", "one channel whose protein varies from image to image")
    if not screen.structural:
        refuse(
            "no channel with `role: structural`",
            "at least one channel that marks the same structure in all images",
        )
    _validate_files(screen, refuse)
    if (screen.shards.by is None) == (screen.shards.buckets is None):
        refuse("shards: neither or both of `by` and `buckets`", "exactly one of them")
    if screen.encoder_from == screen.name:
        refuse("encoder_from names the screen itself", "another screen, or no encoder_from")
    for found, required in (
        *screen.benchmark.problems(),
        *screen.baselines.problems(screen.crop_channels, screen.files.layout),
        *screen.analyses.problems(),
    ):
        refuse(found, required)
    for name in screen.crops.floor:
        if name not in screen.crop_channels:
            refuse(f"crops.floor names channel {name!r}", f"one of {list(screen.crop_channels)}")
    if screen.segmentation.method == "centres" and screen.crops.area_fraction is not None:
        refuse(
            "crops.area_fraction with segmentation.method centres", "no area_fraction: a centre has no area"
        )
    step = screen.encoder.size_step
    if screen.crops.size_px % step:
        refuse(f"crops.size_px {screen.crops.size_px}", f"a multiple of {step} with {screen.encoder.stages} stages")
    least, most = screen.crops.area_fraction or (0, 0)
    if least > most:
        refuse(f"crops.area_fraction {least}, {most}", "the smallest area first")


def _validate_files(screen: Screen, refuse: Callable[..., None]) -> None:
    """Check that `files` has the keys of its layout and that templates name existing parts."""
    files = screen.files
    for key, layouts in (("pattern", _WITH_PATTERN), ("table", ("manifest",))):
        given = getattr(files, key) is not None
        if given != (files.layout in layouts):
            found = f"files.{key} with layout {files.layout}" if given else f"no files.{key}"
            refuse(found, f"files.{key} for the layouts {', '.join(layouts)}, and only for them")
    if isinstance(files.pattern, dict):
        if set(files.pattern) != set(screen.channels):
            refuse(f"files.pattern for {list(files.pattern)}", f"one for each of {list(screen.channels)}")
    elif files.layout == "pattern" and "{channel}" not in str(files.pattern):
        if any(channel.plane is None for channel in screen.channels.values()):
            refuse(f"files.pattern {files.pattern!r}", "a part {channel}, or a `plane` for every channel")
    elif files.layout != "pattern" and "{channel}" in str(files.pattern):
        refuse(f"files.pattern {files.pattern!r}", "no part {channel}, because each file holds all channels")
    for pattern in files.patterns:
        if set(_PATTERN_PART.sub("", pattern)) & set("{}"):
            refuse(f"files.pattern {shown(pattern)}", "parts as {name} or {name:d}, and no other braces")
        if len(pattern) > _LONGEST_PATTERN:
            refuse(f"files.pattern {shown(pattern)}", f"at most {_LONGEST_PATTERN} characters")
    parts = [set(_PATTERN_PART.findall(pattern)) - {"channel"} for pattern in files.patterns]
    if any(names != parts[0] for names in parts):
        refuse(
            f"patterns with the parts {[sorted(names) for names in parts]}", "the same parts in each pattern"
        )
    templates = {"files.image_id": files.image_id, "shards.by": screen.shards.by or ""}
    templates |= {f"images.values.{name}": value for name, value in screen.images.values.items()}
    profiler = screen.baselines.cellprofiler
    columns = {"image": profiler.image or "", "field": profiler.field or ""}
    for key, template in (templates | {f"baselines.cellprofiler.{k}": v for k, v in columns.items()}).items():
        if set(PART.sub("", template)) & set("{}"):
            refuse(f"{key} {shown(template)}", "parts as {name}, and no other braces")
    if files.layout == "manifest":
        return  # the parts are the columns of the table
    known = {*(parts[0] if parts else ()), *_PARTS.get(files.layout, ())}
    templates |= {"files.only": "".join(f"{{{name}}}" for name in files.only)}
    for key, template in templates.items():
        unknown = set(PART.findall(template)) - known
        if unknown:
            refuse(f"{key} names {{{shown(min(unknown))[1:-1]}}}", f"one of the parts {sorted(known)}")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
