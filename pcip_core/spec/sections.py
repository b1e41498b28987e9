"""The sections of a spec as plain dataclasses, so that code that takes a section needs only Python.

`baselines.py`, `analyses.py`, `training.py` and `simulation.py` hold the other sections.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pcip_core.spec.bounds import Bounds, Share

_STRICT = {"extra": "forbid"}
PART = re.compile(r"{([^{}:]+)}")
"""A part that a template names: `{plate}`."""

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
            that is named twice must have the same text both times. `{field:d}` matches digits only, `*` any text
            within a name, `**/` any folders. Alternatively one pattern per channel.
        table: layout `manifest` only: path of the table that lists the fields, relative to the root.
        only: part -> the single value to use, if the files have several (a focal plane, a time).
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    image_id: str
    layout: Literal["pattern", "opera", "ome_tiff", "ome_zarr", "hdf5", "manifest"] = "pattern"
    pattern: str | dict[str, str] | None = None
    table: str | None = None
    only: dict[str, str | int] = field(default_factory=dict)

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


@dataclass(frozen=True)
class Benchmark:
    """Evaluation of feature sets by kNN.

    Args:
        label: column of `images` with the label to predict.
        protocols: `leave_image_out` is unbiased: cells of the same image are never neighbours. `leave_cell_out` is
            the paper's. `leave_field_out` is for screens with one image per label.
        ks: numbers of neighbours.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    label: str = "localization"
    protocols: tuple[Literal["leave_image_out", "leave_cell_out", "leave_field_out"], ...] = (
        "leave_image_out",
        "leave_cell_out",
    )
    ks: tuple[Annotated[int, Bounds(1, 10_000)], ...] = (1, 5, 11, 25, 50)

    def problems(self) -> Iterator[tuple[str, str]]:
        """Invalid settings: (found, required)."""
        for name in ("ks", "protocols"):
            values = getattr(self, name)
            if len(set(values)) < max(1, len(values)):
                yield f"benchmark.{name} {list(values)}", "at least one, and each once"
