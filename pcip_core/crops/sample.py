"""Fields that are read, segmented and cut before a screen is processed, and what was found in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from dataclasses import field as attribute
from itertools import combinations

import numpy as np

from pcip_core.crops.shard import CutField, cut_field
from pcip_core.errors import ConstantError, ImageFileError
from pcip_core.images.field import Field
from pcip_core.images.layout import Layout
from pcip_core.images.reading import read_field
from pcip_core.segmentation.mask_fit import fits_better, misfit
from pcip_core.spec.screen import Screen

_SHARDS = 10  # evenly spaced
_FIELDS = 3  # at least in all, also of a single shard: one well may be empty
_PER_SHARD = 2  # at least
_NEIGHBOURS = 2  # before and after a field, whose label images are compared with its own
_IMAGES = 40  # of a shard whose images are single cells


@dataclass(frozen=True)
class Pixels:
    """The pixels of one plane: height and width in px, pixel type, and the lowest and highest value."""

    height: int
    width: int
    dtype: str
    low: float
    high: float

    @classmethod
    def of(cls, plane: np.ndarray) -> Pixels:
        """Describe a plane (H, W)."""
        height, width = plane.shape
        return cls(height, width, str(plane.dtype), float(plane.min()), float(plane.max()))

    @property
    def kind(self) -> tuple[int, int, str]:
        """Height, width and pixel type."""
        return self.height, self.width, self.dtype

    def joined(self, other: Pixels) -> Pixels:
        """The same kind with the range of both."""
        return replace(self, low=min(self.low, other.low), high=max(self.high, other.high))


@dataclass(frozen=True)
class SampledField:
    """One field of the sample.

    Attributes:
        field: the field.
        problem: the reason for which it cannot be used, or None.
        constant: the channel all of whose pixels are equal, if that is the reason.
        pixels: channel -> its pixels; empty if there is a problem.
        found: number of objects of the segmentation.
        passing: number of them that can be used as cells.
        small: number of further objects, which `min_area_px` leaves out (`CutField`).
        reasons: why the others cannot: an example of each kind of reason -> number of objects.
        warnings: what is unusual about label images of other programs.
        swapped: why the label image is that of another field, or None.
        repeats: the field of which all cells of this one have the pixels, if there are several, or None.
        equal: pairs of channels from different files or planes that have the same pixels.
    """

    field: Field
    problem: str | None = None
    constant: str | None = None
    pixels: Mapping[str, Pixels] = attribute(default_factory=dict)
    found: int = 0
    passing: int = 0
    small: int = 0
    reasons: Mapping[str, int] = attribute(default_factory=dict)
    warnings: Sequence[str] = ()
    swapped: str | None = None
    repeats: str | None = None
    equal: Sequence[tuple[str, str]] = ()


def choose_fields(screen: Screen, layout: Layout, *, at_most: int | None = None) -> list[Field]:
    """Choose the fields to look at, in the order of the layout.

    Args:
        screen: the spec.
        layout: the fields of the screen.
        at_most: choose all fields, or this number of evenly spaced ones. By default, two or three fields of up to
            ten shards, in different wells; of a screen whose images are single cells, 40 images of each.
    """
    if at_most is not None:
        fields = [member for shard in layout.shards() for member in layout.of_shard(shard)]
        return _evenly(fields, at_most)
    shards = layout.shards()
    chosen = shards[:: -(-len(shards) // _SHARDS)]
    each = max(_PER_SHARD, -(-_FIELDS // len(chosen)))
    sample: list[Field] = []
    for number, shard in enumerate(chosen):
        fields = layout.of_shard(shard)
        if screen.segmentation.method == "whole":
            sample += fields[:_IMAGES]
            continue
        places = [(number + part * len(chosen)) / (each * len(chosen)) for part in range(each)]
        sample += [fields[place] for place in sorted({int(len(fields) * place) for place in places})]
    return sample


def _evenly(fields: Sequence[Field], at_most: int) -> list[Field]:
    """All fields, or `at_most` evenly spaced ones."""
    if len(fields) <= at_most:
        return list(fields)
    return [fields[number * len(fields) // at_most] for number in range(at_most)]


class Sampler:
    """Read, segment and cut fields one by one; cells with the pixels of an earlier one do not pass.

    A label image that hardly fits its field is compared with those of the two fields before and after.
    """

    def __init__(self, screen: Screen, layout: Layout) -> None:
        self._screen, self._layout = screen, layout
        self._masks = [name for name, channel in screen.channels.items() if channel.role == "labels"]
        self._first_with: dict[str, tuple[str, str]] = {}  # pixels -> the first cell, and its field

    def sample(self, field: Field) -> tuple[SampledField, CutField | None]:
        """Look at one field.

        Returns:
            What was found, and the field itself, or None if it cannot be used.

        Raises:
            SpecError: the segmenter fails.
        """
        try:
            cut = cut_field(self._screen, field, count_small=True)
        except ImageFileError as error:
            return SampledField(field, str(error), self._constant(field, error)), None
        reasons = [reason for _, reason in cut.cells.rejected]
        repeated = []
        for label, pixels in zip(cut.cells.label, cut.cells.pixel_hash, strict=True):
            cell = f"{field.field_id}_{label:04d}", field.field_id
            if (first := self._first_with.setdefault(pixels, cell)) is not cell:
                reasons += [f"same pixels as cell {first[0]}"]
                repeated += [first[1]]
        found = len(cut.cells.label) + len(cut.cells.rejected)
        pixels_of = {name: Pixels.of(plane) for name, plane in cut.planes.items()}
        passing = found - len(reasons)
        swapped = next(filter(None, (self._swapped(cut, name) for name in self._masks)), None)
        summary = SampledField(
            field,
            pixels=pixels_of,
            found=found,
            passing=passing,
            small=cut.small,
            reasons=counted(reasons),
            warnings=cut.warnings,
            swapped=swapped,
            repeats=repeated[0] if 1 < len(repeated) == len(cut.cells.label) else None,
            equal=_equal(field, cut, self._screen.crop_channels),
        )
        return summary, cut

    def _constant(self, field: Field, error: ImageFileError) -> str | None:
        """The channel all of whose pixels are equal, if the error says so."""
        root = self._screen.folder()
        of_file = (name for name, file in field.files.items() if str(root / file) == error.where)
        return next(of_file, None) if isinstance(error, ConstantError) else None

    def _swapped(self, cut: CutField, channel: str) -> str | None:
        """Why a label image is that of another field, if its fit is poor and a neighbour's fits far better."""
        channels = {name: cut.planes[name] for name in self._screen.crop_channels}
        poor = misfit(cut.planes[channel] > 0, channels)
        if poor is None:
            return None
        field, masks = cut.planes.field, {}
        fields = self._layout.of_shard(field.shard)
        place = next(number for number, other in enumerate(fields) if other.field_id == field.field_id)
        for other in (
            *fields[max(place - _NEIGHBOURS, 0) : place],
            *fields[place + 1 : place + 1 + _NEIGHBOURS],
        ):
            with suppress(ImageFileError):
                masks[other.files[channel]] = read_field(self._screen, other)[channel] > 0
        better = fits_better(poor.of_mask, channels, masks)
        if better is None:
            return None
        return (
            f"{field.files[channel]} hardly fits its field {field.field_id} ({poor.of_mask:.2f}; 0.5 is chance, 1 a "
            f"perfect fit), and {better[0]} of another field does ({better[1]:.2f}): label images are mixed up"
        )


def _equal(field: Field, cut: CutField, channels: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of channels with the same pixels; a plane that the spec gives to two channels is so on purpose."""
    return [
        (first, second)
        for first, second in combinations(channels, 2)
        if field.files[first] != field.files[second] and np.array_equal(cut.planes[first], cut.planes[second])
    ]


def counted(reasons: Iterable[str]) -> dict[str, int]:
    """Count reasons, the most frequent first; those that differ in numbers only are one kind.

    >>> counted(["area 2% of the window", "window over the edge", "area 3% of the window"])
    {'area 2% of the window': 2, 'window over the edge': 1}
    """
    kinds: dict[str, list[str]] = {}
    for reason in reasons:
        kinds.setdefault(re.sub(r"[0-9.]+", "#", reason), []).append(reason)
    return {members[0]: len(members) for members in sorted(kinds.values(), key=len, reverse=True)}


def summed(reasons: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add the counts of several fields, the most frequent reason first; kinds as in `counted`."""
    kinds: dict[str, tuple[str, int]] = {}
    for of_field in reasons:
        for reason, n in of_field.items():
            kind = re.sub(r"[0-9.]+", "#", reason)
            first, before = kinds.get(kind, (reason, 0))
            kinds[kind] = first, before + n
    return dict(sorted(kinds.values(), key=lambda item: -item[1]))


def kinds_of_pixels(sample: Iterable[SampledField]) -> dict[str, list[tuple[Pixels, SampledField, int]]]:
    """The kinds of planes of each channel, the most frequent first.

    Returns:
        Channel -> for each size and pixel type: the pixels with the range of all, the first field, and the number
        of fields.
    """
    kinds: dict[str, dict[tuple[int, int, str], tuple[Pixels, SampledField, int]]] = {}
    for member in sample:
        for name, pixels in member.pixels.items():
            of_channel = kinds.setdefault(name, {})
            before = of_channel.get(pixels.kind)
            if before is None:
                of_channel[pixels.kind] = pixels, member, 1
            else:
                of_channel[pixels.kind] = before[0].joined(pixels), before[1], before[2] + 1
    return {
        name: sorted(of_channel.values(), key=lambda item: -item[2]) for name, of_channel in kinds.items()
    }
