"""The sections of a spec: plain dataclasses, so that code which takes one needs nothing but Python.

`baselines.py`, `analyses.py` and `training.py` hold the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

_STRICT = {"extra": "forbid"}


@dataclass(frozen=True)
class Channel:
    """One named plane.

    Args:
        role: `structural` marks the same in every image, `protein` varies from image to image; `labels` is a
            label image that is read with the field, for segmentation, and is no part of a crop.
        named: how file names, tables or the files' own metadata call it (default: the channel's own name).
        plane: which plane, where a file holds several: the number of a channel, from 0, or the colour of an
            RGB picture (`red`, `green`, `blue`, or `max`, the greatest of the three).
        dtype: pixel type that its files must have (`uint16`); by default the channels of a field must agree.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    role: Literal["structural", "protein", "labels"]
    named: str | None = None
    plane: int | Literal["red", "green", "blue", "max"] | None = None
    dtype: str | None = None


@dataclass(frozen=True)
class Files:
    """Where the planes of a field lie, and which fields make one image.

    Args:
        image_id: template over the parts: fields with one `image_id` are one image.
        layout: how files become fields; a module of `pcip_core.images.layouts` each.
        pattern: how paths under the root name the parts: `{plate}/{well}_f{field}_{channel}.tif`. A part
            named twice must read the same both times; `{field:d}` is digits only; `*` is any text within a
            name, `**/` any folders. Or one pattern a channel, where they are named differently.
        table: `manifest` only: the CSV, TSV or Parquet file under the root that lists the fields.
        only: part -> the one value that is used, where files hold more (a focal plane, a time).
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    image_id: str
    layout: Literal["pattern", "opera", "ome_tiff", "ome_zarr", "hdf5", "manifest"] = "pattern"
    pattern: str | dict[str, str] | None = None
    table: str | None = None
    only: dict[str, str | int] = field(default_factory=dict)

    @property
    def patterns(self) -> list[str]:
        """The pattern, or those of all channels."""
        if isinstance(self.pattern, dict):
            return list(self.pattern.values())
        return [] if self.pattern is None else [self.pattern]


@dataclass(frozen=True)
class Images:
    """What is known of each image: templates over the parts, and tables under the root; later ones win.

    Args:
        values: column -> template (`protein: "{protein}"`) or constant.
        platemap: CSV or TSV with one row a well, and a column of plates where plates differ.
        table: CSV with one row an image, joined where its column `key` equals the image id. Several
            localization terms are separated by `;`.
        key: that column.
        annotations: table of localization terms by protein, as `pcip_core.images.localization` reads it, for
            images that have no terms of their own.
        terms: localization term -> the term to use in its place.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    values: dict[str, str] = field(default_factory=dict)
    platemap: str | None = None
    table: str | None = None
    key: str = "image_id"
    annotations: str | None = None
    terms: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Shards:
    """The partitions: `by` a template over the parts (a plate), or that many `buckets` of images."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    by: str | None = None
    buckets: int | None = None


@dataclass(frozen=True)
class Segmentation:
    """How cells are found: a method of `pcip_core.segmentation` or `module:function`, and its options."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    method: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Crops:
    """How a cell becomes a crop (paper, "Datasets, Preprocessing, and Training").

    Args:
        window_px: side of the square cut around the centre of mass; null takes the whole picture.
        size_px: side of the stored crop, after resizing.
        floor: channel -> value in [0, 1] of the rescaled crop under which pixels become 0.
        area_fraction: cells smaller or larger than these fractions of the window are left out.
        min_cells: images with fewer cells are left out.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    window_px: int | None
    size_px: int = 64
    floor: dict[str, float] = field(default_factory=dict)
    area_fraction: tuple[float, float] | None = None
    min_cells: int = 5


@dataclass(frozen=True)
class Benchmark:
    """Which column of `images` is the label that feature sets are scored by, and under which protocols.

    `leave_image_out` is the honest one: cells of one image are never each other's neighbours.
    `leave_cell_out` is the paper's. `leave_field_out` is for screens with one image a label.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    label: str = "localization"
    protocols: tuple[Literal["leave_image_out", "leave_cell_out", "leave_field_out"], ...] = (
        "leave_image_out",
        "leave_cell_out",
    )
    ks: tuple[int, ...] = (1, 5, 11, 25, 50)
