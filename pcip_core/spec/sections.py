"""The sections of a spec as plain dataclasses, so that code that takes a section needs only Python.

`baselines.py`, `analyses.py`, `training.py` and `simulation.py` hold the other sections.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, ClassVar, Literal

from pcip_core.spec.bounds import Bounds, Share, meant

_STRICT = {"extra": "forbid"}
PART = re.compile(r"{([^{}:]+)}")
"""A part that a template names: `{plate}`."""

ALWAYS_EXCLUDED = (
    "._*",  # macOS: attributes of the file of that name
    ".DS_Store",
    "Thumbs.db",
    "ehthumbs*.db",
    "desktop.ini",
    "*_thumb*",  # MetaXpress: a small picture of each image
    "~$*",  # Office: a table that is open
    ".nfs*",  # NFS: a file that was deleted while it was open
    "__MACOSX/",
    ".Trash*/",
    "$RECYCLE.BIN/",
    "System Volume Information/",
    "@eaDir/",  # Synology
    ".ipynb_checkpoints/",
)
"""Names of files, and of folders with a `/` at the end, that never belong to a screen."""

Z_PARTS = (
    *("z", "plane", "slice", "zstep", "Metadata_Z", "Metadata_Plane"),
    *("Z", "zplane", "z_plane", "zslice", "z_slice", "zindex", "z_index"),
)
TIME_PARTS = (
    *("time", "t", "timepoint", "frame", "Metadata_T", "Metadata_Time", "Metadata_Timepoint"),
    *("T", "Time", "tp", "TP", "Timepoint", "TimePoint", "time_point", "timestep", "timeindex", "time_index"),
)
"""Names of the parts that are focal planes, and times. Those of one kind are the same thing in `files.only`."""

AreaFraction = Annotated[float, Bounds(0, 1000)]


@dataclass(frozen=True)
class Channel:
    """One named plane.

    Args:
        role: `structural` marks the same structure in every image; `protein` varies from image to image;
            `labels` is a label image, which is read for segmentation and is not part of a crop.
        named: name of the channel in file names, tables or metadata (default: the channel's name in the spec).
        plane: the plane to read if a file holds several: the number of a channel, from 0, or the colour of an
            RGB image (`red`, `green`, `blue`, or `max`, the maximum of the three).
        dtype: required pixel type of the files (`uint16`). By default all channels of a field must have the same.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    role: Literal["structural", "protein", "labels"]
    named: str | None = None
    plane: Annotated[int, Bounds(0, 10_000)] | Literal["red", "green", "blue", "max"] | None = None
    dtype: str | None = None


@dataclass(frozen=True)
class Files:
    """Paths of the planes of a field, and the grouping of fields into images.

    Args:
        image_id: template over the parts. Fields with the same `image_id` form one image.
        layout: how files are grouped into fields; each is a module of `pcip_core.images.layouts`.
        pattern: paths relative to the root, with named parts: `{plate}/{well}_f{field}_{channel}.tif`. A part
            that is named twice must have the same text both times. `{field:d}` matches digits only, `{well:well}`
            the name of a well, `{_:hex}` a GUID that is not kept, `*` any text within a name, `**/` any folders.
            Alternatively one pattern per channel.
        table: layout `manifest` only: path of the table that lists the fields, relative to the root.
        only: part -> the single value to use, if there are several (a focal plane, a time), in file names or within
            files. Numbers are compared as numbers. Planes and times within a file count from 1.
        project: `{z: max}`: one plane of all focal planes: `max`, `mean`, `sharpest` or `middle`.
        exclude: names or paths of files to leave out, in addition to `ALWAYS_EXCLUDED`.
        parts: part -> template over the parts of the layout, or a constant: `{well: "{row}{column}", plate: P1}`.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    image_id: str
    layout: Literal[
        "pattern",
        "opera",
        "imagexpress",
        "cv8000",
        "incell",
        "ome_tiff",
        "ome_zarr",
        "vendor",
        "hdf5",
        "manifest",
    ] = "pattern"
    pattern: str | dict[str, str] | None = None
    table: str | None = None
    only: dict[str, str | int] = field(default_factory=dict)
    project: dict[Literal["z", "plane"], Literal["max", "mean", "sharpest", "middle"]] = field(
        default_factory=dict
    )
    exclude: list[str] = field(default_factory=list)
    parts: dict[str, str] = field(default_factory=dict)

    @property
    def reader(self) -> str:
        """The layout; `ome_zarr` also for a pattern of OME-Zarr images, which are folders."""
        folders = any(pattern.rstrip("*").endswith(".zarr") for pattern in self.patterns)
        return "ome_zarr" if folders and self.layout == "pattern" else self.layout

    @property
    def excluded(self) -> list[str]:
        """The names of all files to leave out."""
        return [*ALWAYS_EXCLUDED, *self.exclude]

    @property
    def patterns(self) -> list[str]:
        """The pattern, or the patterns of all channels."""
        if isinstance(self.pattern, dict):
            return list(self.pattern.values())
        return [] if self.pattern is None else [self.pattern]


@dataclass(frozen=True)
class Images:
    """Annotations of each image: templates over the parts, and tables relative to the root.

    Later keys take precedence over earlier ones, except that `annotations` never replaces terms.

    Args:
        values: column -> template (`protein: "{protein}"`) or constant.
        platemap: table with one row per well, and a plate column if the plates differ.
        table: table with one row per image, joined by its column `key`, which holds the image id. Several
            localization terms are separated by `;` or `|`.
        key: name of this column.
        annotations: table of localization terms by protein (see `pcip_core.images.localization`), for images
            without terms from the other sources.
        terms: localization term -> its replacement.
        only: column -> the single value to use. Images with another value, or none, are left out: silenced cells,
            failed wells.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    values: dict[str, str] = field(default_factory=dict)
    platemap: str | None = None
    table: str | None = None
    key: str = "image_id"
    annotations: str | None = None
    terms: dict[str, str] = field(default_factory=dict)
    only: dict[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True)
class Shards:
    """The partitions of a screen: `by` a template over the parts (a plate), or a number of `buckets` of images."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    by: str | None = None
    buckets: Annotated[int, Bounds(1, 100_000)] | None = None


@dataclass(frozen=True)
class Segmentation:
    """The segmentation: a method of `pcip_core.segmentation` or `module:function`, and its options."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    method: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Crops:
    """The conversion of a cell to a crop (paper, "Datasets, Preprocessing, and Training").

    Args:
        window_px: side of the square cut around the centre of mass; null takes the whole field.
        edge: a cell whose window reaches over the edge of the field is left out (`reject`), or its window is filled
            there with the least value of each plane within the window (`pad`).
        size_px: side of the stored crop after resizing.
        floor: channel -> threshold in [0, 1] of the rescaled crop; pixels below it are set to 0.
        area_fraction: smallest and largest area of a cell, as fractions of the window; other cells are rejected.
        min_cells: images with fewer cells are rejected.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    window_px: Annotated[int, Bounds(2, 20_000)] | None
    size_px: Annotated[int, Bounds(16, 512)] = 64
    floor: dict[str, Share] = field(default_factory=dict)
    area_fraction: tuple[AreaFraction, AreaFraction] | None = None
    min_cells: Annotated[int, Bounds(2, 1_000_000)] = 5
    edge: Literal["reject", "pad"] = "reject"


@dataclass(frozen=True)
class Benchmark:
    """Evaluation of feature sets by kNN.

    Args:
        label: column of `images` with the label to predict.
        protocols: `leave_image_out` is unbiased: cells of the same image are never neighbours. `leave_cell_out` is
            the paper's. `leave_field_out` is for screens with one image per label.
        ks: numbers of neighbours.
        cells: largest number of labelled cells that scores are of. Of more, each label keeps equally many, evenly
            spaced over the screen, or all that it has: kNN takes four times as long for twice the cells.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    label: str = "localization"
    protocols: tuple[Literal["leave_image_out", "leave_cell_out", "leave_field_out"], ...] = (
        "leave_image_out",
        "leave_cell_out",
    )
    ks: tuple[Annotated[int, Bounds(1, 10_000)], ...] = (1, 5, 11, 25, 50)
    cells: Annotated[int, Bounds(10_000, 10_000_000)] = 100_000

    def problems(self) -> Iterator[tuple[str, str]]:
        """Invalid settings: (found, required)."""
        for name in ("ks", "protocols"):
            values = getattr(self, name)
            if len(set(values)) < max(1, len(values)):
                yield f"benchmark.{name} {list(values)}", "at least one, and each once"


@dataclass(frozen=True)
class Illumination:
    """Correction of uneven illumination, a step of reading (`pcip_core.images.illumination`).

    Args:
        method: `none`; `harmony`: the profiles in the index of an Opera export; `images`: given images;
            `estimated`: the smoothed median of fields, per shard and channel.
        images: for `images`: template of their paths under the root, over the parts and `{channel}` (the name in
            the spec).
        offset: for `images` and `estimated`: grey level of the camera without light, which is not shaded.
        fields: for `estimated`: at most this many fields of a shard, drawn by their ids.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    method: Literal["none", "harmony", "images", "estimated"] = "none"
    images: str | None = None
    offset: Annotated[float, Bounds(0, 1_000_000)] = 0
    fields: Annotated[int, Bounds(16, 1000)] = 64

    def problems(self, layout: str) -> Iterator[tuple[str, str]]:
        """Invalid settings for a layout: (found, required)."""
        if (self.images is not None) != (self.method == "images"):
            found = "no illumination.images" if self.images is None else "illumination.images"
            yield (
                f"{found} with method {self.method}",
                "illumination.images for the method images, and only for it",
            )
        if self.method == "harmony" and layout != "opera":
            yield (
                f"illumination.method harmony with layout {layout}",
                "layout opera, whose index holds the profiles",
            )
        if self.offset and self.method not in ("images", "estimated"):
            yield (
                f"illumination.offset with method {self.method}",
                "it only for the methods images and estimated",
            )


Measured = Annotated[float, Bounds(-1_000_000_000, 1_000_000_000)]
_POSSIBLE = {"saturated": (0, 1), "focus_laplacian": (0, 64), "signal_to_noise": (0, float("inf"))}


@dataclass(frozen=True)
class Limits:
    """The least and the greatest accepted value of a measure of quality."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    at_least: Measured | None = None
    at_most: Measured | None = None


@dataclass(frozen=True)
class Quality:
    """Limits of the measures of `field_quality`. A field with a channel outside of them is not used.

    Without limits, fields are only flagged.

    Args:
        saturated, focus_slope, focus_laplacian, background, signal_to_noise: limits of the column of this name.
        channels: the channels that must keep them; by default all except label images.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    saturated: Limits | None = None
    focus_slope: Limits | None = None
    focus_laplacian: Limits | None = None
    background: Limits | None = None
    signal_to_noise: Limits | None = None
    channels: tuple[str, ...] | None = None

    @property
    def limits(self) -> dict[str, Limits]:
        """Measure -> its limits, for the measures that have limits."""
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in given.items() if isinstance(value, Limits)}

    def problems(self, channels: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Invalid settings for a screen with these channels: (found, required)."""
        if self.channels is not None and not self.channels:
            yield "quality.channels without a channel", f"some of {list(channels)}"
        for name in self.channels or ():
            if name not in channels:
                yield f"quality.channels names {name!r}{meant(name, channels)}", f"some of {list(channels)}"
        for name, value in self.limits.items():
            if value.at_least is None and value.at_most is None:
                yield f"quality.{name} without a limit", "at_least, at_most or both"
            elif value.at_least is not None and value.at_most is not None and value.at_least > value.at_most:
                yield (
                    f"quality.{name} from {value.at_least} to {value.at_most}",
                    "the smaller limit as at_least",
                )
            yield from self._impossible(name, value)

    @staticmethod
    def _impossible(name: str, value: Limits) -> Iterator[tuple[str, str]]:
        """Limits that no field can keep. The brightest pixel of a field is always at its maximum."""
        least, most = _POSSIBLE.get(name, (float("-inf"), float("inf")))
        if value.at_most is not None and (
            value.at_most < least or (name == "saturated" and not value.at_most)
        ):
            yield f"quality.{name}.at_most {value.at_most:g}, which no field keeps", f"more than {least:g}"
        if value.at_least is not None and value.at_least > most:
            yield f"quality.{name}.at_least {value.at_least:g}, which no field keeps", f"at most {most:g}"
