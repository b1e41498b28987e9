"""The fields of one shard, each read once: which can be used, their quality, and their illumination."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from pcip_core.errors import ImageFileError
from pcip_core.images.field import Field
from pcip_core.images.illumination.correction import corrected, estimates_of, profiles_of
from pcip_core.images.illumination.estimated import BLOCKS, block_means, sampled
from pcip_core.images.illumination.profile import Polynomial, Profile, over
from pcip_core.images.quality.measures import flagged, outside, rows_of
from pcip_core.images.reading import Planes, read_field
from pcip_core.spec.screen import Screen

_Key = tuple[str, str, tuple[int, int]]  # channel, hash of the profile, shape of the field


@dataclass
class Survey:
    """What reading the fields of a shard has shown.

    Attributes:
        used: usable fields, each with its (height, width).
        rejected: fields that are not used, each with the place and the reason.
        quality: one row per used field and channel: `field_id`, `channel`, the measures and `flags`; no rows
            where fields are single cells.
        illumination: one row per channel and profile, with the columns of the table `illumination` except `shard`.
    """

    used: list[tuple[Field, tuple[int, int]]] = field(default_factory=list)
    rejected: list[tuple[Field, str, str]] = field(default_factory=list)
    quality: pl.DataFrame = field(default_factory=lambda: flagged([], []))
    illumination: list[dict[str, Any]] = field(default_factory=list)


def survey(screen: Screen, fields: Iterable[Field]) -> Survey:
    """Read each field of a shard once.

    Quality is measured in the pixels of the files, so that a saturated pixel is one whatever the correction. A field
    outside of the limits of the spec is rejected. Of at most `illumination.fields` fields, block means are kept.

    Args:
        screen: the spec.
        fields: all fields of the shard.
    """
    members = list(fields)
    result = Survey()
    light = _Light(screen, members)
    measures: list[dict[str, Any]] = []
    for member in members:
        try:
            planes = read_field(screen, member)
            profiles = {} if light.estimated else profiles_of(screen, member)
            if profiles and not light.seen(profiles, planes.shape):
                corrected(screen, planes)  # raises if a profile does not fit
            rows = rows_of(member.field_id, _measured(screen, planes)) if _measures(screen) else []
        except ImageFileError as error:
            result.rejected.append((member, error.where, str(error)))
            continue
        if (reason := _outside(screen, rows)) is not None:
            result.rejected.append((member, next(iter(member.files.values())), reason))
            continue
        measures += rows
        result.used.append((member, planes.shape))
        light.add(planes, profiles)
    result.quality = flagged(measures, screen.structural)
    result.illumination = light.rows()
    return result


def quality_lines(screen: Screen, fields: Sequence[Field]) -> list[str]:
    """What is wrong with the quality of some fields: flags, and fields outside of the limits of the spec.

    Nothing is said of fields that cannot be read.
    """
    if not _measures(screen):
        return []
    rows: list[dict[str, Any]] = []
    refused = []
    for member in fields:
        try:
            measures = rows_of(member.field_id, _measured(screen, read_field(screen, member)))
        except ImageFileError:
            continue
        if (reason := _outside(screen, measures)) is not None:
            refused.append(f"{member.field_id} will not be used: {reason}")
        else:
            rows += measures
    table = flagged(rows, screen.structural).filter(pl.col("flags").list.len() > 0)
    flags = table.select("field_id", "channel", pl.col("flags").list.join(", ")).rows()
    return [f"{field_id}: {names} ({channel})" for field_id, channel, names in flags] + refused


def _outside(screen: Screen, rows: list[dict[str, Any]]) -> str | None:
    return outside(rows, screen.quality.limits, screen.quality.channels or screen.crop_channels)


def _measures(screen: Screen) -> bool:
    """Whether quality is measured: not of single cells, unless the spec sets limits."""
    return screen.segmentation.method != "whole" or bool(screen.quality.limits)


def _measured(screen: Screen, planes: Planes) -> Mapping[str, np.ndarray]:
    return {name: planes[name] for name in screen.crop_channels}


class _Light:
    """The illumination of the fields of a shard, gathered field by field."""

    def __init__(self, screen: Screen, members: list[Field]) -> None:
        spec = screen.illumination
        self.estimated = spec.method == "estimated"
        self._method, self._offset, self._channels = spec.method, spec.offset, screen.crop_channels
        self._sampled = sampled(members, spec.fields) if spec.method != "none" else set()
        self._profiles: dict[_Key, tuple[Profile, int]] = {}  # its fields are counted
        self._blocks: dict[_Key, list[np.ndarray]] = {}
        self._after: dict[_Key, list[np.ndarray]] = {}

    def seen(self, profiles: Mapping[str, Profile], shape: tuple[int, int]) -> bool:
        """Whether these profiles have corrected a field of this shape before."""
        return all((name, profile.digest, shape) in self._profiles for name, profile in profiles.items())

    def add(self, planes: Planes, profiles: Mapping[str, Profile]) -> None:
        """Count the profiles of a field, and keep the block means of a sampled one."""
        kept = planes.field.field_id in self._sampled and min(planes.shape) >= BLOCKS
        for name in self._channels if self.estimated else profiles:
            profile = profiles.get(name, Profile(Polynomial(((1.0,),))))
            key = (name, profile.digest, planes.shape)
            self._profiles[key] = profile, self._profiles.get(key, (profile, 0))[1] + 1
            if kept:
                blocks = block_means(planes[name])
                self._blocks.setdefault(key, []).append(blocks)
                if not self.estimated:
                    corrected_blocks = _corrected_blocks(profile, blocks, planes.shape)
                    self._after.setdefault(key, []).append(corrected_blocks)

    def rows(self) -> list[dict[str, Any]]:
        """Rows of the table `illumination`."""
        if self.estimated:
            return self._estimates()
        gathered: dict[tuple[str, str], list[_Key]] = {}
        for key in self._profiles:
            gathered.setdefault(key[:2], []).append(key)
        rows = []
        for (name, _), keys in sorted(
            gathered.items(), key=lambda item: (self._channels.index(item[0][0]), item[0][1])
        ):
            profile = self._profiles[keys[0]][0]
            row = _row(name, self._method, profile, sum(self._profiles[key][1] for key in keys))
            rows.append(row | _means(self._stacked(self._blocks, keys), self._stacked(self._after, keys)))
        return rows

    def _estimates(self) -> list[dict[str, Any]]:
        rows = []
        of_channel = {
            name: self._stacked(self._blocks, [key for key in self._blocks if key[0] == name])
            for name in self._channels
        }
        for name, each in estimates_of(of_channel, self._offset).items():
            profile = each.profile(self._offset)
            before = of_channel[name]
            after = [_corrected_blocks(profile, blocks, (BLOCKS, BLOCKS)) for blocks in before]
            further = {
                "error": None if math.isnan(each.error) else each.error,
                "note": each.note or None,
                "coefficients": [value for row in each.gain.coefficients for value in row],
            }
            rows.append(_row(name, self._method, profile, each.n_fields) | further | _means(before, after))
        return rows

    @staticmethod
    def _stacked(blocks: Mapping[_Key, list[np.ndarray]], keys: Iterable[_Key]) -> list[np.ndarray]:
        return [each for key in keys for each in blocks.get(key, ())]


def _corrected_blocks(profile: Profile, blocks: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Block means of a plane, corrected by the block means of its profile."""
    gain = block_means(over(profile.gain, shape))
    level: float | np.ndarray = profile.level
    if profile.background is not None:
        level = level * block_means(over(profile.background, shape))
    return (blocks - level) / gain + profile.level


def _means(before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> dict[str, list[float]]:
    """The mean fields, row after row."""
    pairs = {"mean_before": before, "mean_after": after}
    return {name: np.mean(blocks, axis=0).ravel().tolist() for name, blocks in pairs.items() if len(blocks)}


def _row(name: str, method: str, profile: Profile, n_fields: int) -> dict[str, Any]:
    least, greatest = profile.range()
    return {
        "channel": name,
        "method": method,
        "source": profile.source,
        "profile": profile.digest,
        "gain_min": least,
        "gain_max": greatest,
        "n_fields": n_fields,
    }
