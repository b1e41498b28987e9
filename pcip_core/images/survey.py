"""The fields of one shard, each read once: which can be used, their quality, and their illumination."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from pcip_core.errors import ImageFileError
from pcip_core.images.field import Field
from pcip_core.images.illumination.correction import corrected, estimates_of, profiles_of
from pcip_core.images.illumination.estimated import BLOCKS, Estimate, block_means, sampled
from pcip_core.images.illumination.profile import Profile, over
from pcip_core.images.quality import flagged, outside, rows_of
from pcip_core.images.reading import Planes, read_field
from pcip_core.spec.screen import Screen

MeanFields = dict[str, tuple[np.ndarray, np.ndarray]]
"""Channel -> mean field before and after correction, each (BLOCKS, BLOCKS)."""


@dataclass
class Survey:
    """What reading the fields of a shard has shown.

    Attributes:
        used: usable fields, each with its (height, width).
        rejected: fields that are not used, each with the place and the reason.
        quality: one row per used field and channel: `field_id`, `channel`, the measures and `flags`; no rows
            where fields are single cells.
        illumination: one row per channel and profile, with the columns of the table `illumination` except `shard`.
        means: mean fields of the corrected channels.
    """

    used: list[tuple[Field, tuple[int, int]]] = field(default_factory=list)
    rejected: list[tuple[Field, str, str]] = field(default_factory=list)
    quality: pl.DataFrame = field(default_factory=lambda: flagged([], []))
    illumination: list[dict[str, Any]] = field(default_factory=list)
    means: MeanFields = field(default_factory=dict)


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
            if profiles and not light.seen(profiles):
                corrected(screen, planes)  # raises if a profile does not fit
            rows = rows_of(member.field_id, _measured(screen, planes)) if _measures(screen) else []
        except ImageFileError as error:
            result.rejected.append((member, error.where, str(error)))
            continue
        limits, channels = screen.quality.limits, screen.quality.channels or screen.crop_channels
        if (reason := outside(rows, limits, channels)) is not None:
            result.rejected.append((member, next(iter(member.files.values())), reason))
            continue
        measures += rows
        result.used.append((member, planes.shape))
        light.add(planes, profiles)
    result.quality = flagged(measures, screen.structural)
    result.illumination, result.means = light.rows(), light.means()
    return result


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
        self._blocks: dict[str, list[np.ndarray]] = {name: [] for name in screen.crop_channels}
        self._after: dict[str, list[np.ndarray]] = {name: [] for name in screen.crop_channels}
        self._profiles: dict[tuple[str, str], tuple[Profile, int]] = {}  # channel, digest -> profile, fields
        self._estimates: dict[str, Estimate] | None = None

    def seen(self, profiles: Mapping[str, Profile]) -> bool:
        """Whether these profiles have corrected a field before."""
        return all((name, profile.digest) in self._profiles for name, profile in profiles.items())

    def add(self, planes: Planes, profiles: Mapping[str, Profile]) -> None:
        """Count the profiles of a field, and keep the block means of a sampled one."""
        for name, profile in profiles.items():
            known, count = self._profiles.get((name, profile.digest), (profile, 0))
            self._profiles[name, profile.digest] = known, count + 1
        if planes.field.field_id not in self._sampled or min(planes.shape) < BLOCKS:
            return
        for name in self._channels:
            blocks = block_means(planes[name])
            self._blocks[name].append(blocks)
            if name in profiles:
                self._after[name].append(_corrected_blocks(profiles[name], blocks, planes.shape))

    def rows(self) -> list[dict[str, Any]]:
        """Rows of the table `illumination`."""
        if not self.estimated:
            return [
                _row(name, self._method, profile, n_fields=count)
                for (name, _), (profile, count) in sorted(
                    self._profiles.items(), key=lambda item: (self._channels.index(item[0][0]), item[0][1])
                )
            ]
        return [
            {
                **_row(name, self._method, each.profile(self._offset), n_fields=each.n_fields),
                "error": None if math.isnan(each.error) else each.error,
                "note": each.note or None,
                "coefficients": [value for row in each.gain.coefficients for value in row],
            }
            for name, each in self._estimate().items()
        ]

    def means(self) -> MeanFields:
        """The mean fields of the channels that are corrected."""
        after = dict(self._after)
        if self.estimated:
            for name, each in self._estimate().items():
                profile = each.profile(self._offset)
                if not each.note:
                    after[name] = [
                        _corrected_blocks(profile, blocks, (BLOCKS, BLOCKS)) for blocks in self._blocks[name]
                    ]
        return {
            name: (np.mean(self._blocks[name], axis=0), np.mean(corrected_blocks, axis=0))
            for name, corrected_blocks in after.items()
            if corrected_blocks
        }

    def _estimate(self) -> dict[str, Estimate]:
        if self._estimates is None:
            self._estimates = estimates_of(self._blocks, self._offset)
        return self._estimates


def _corrected_blocks(profile: Profile, blocks: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Block means of a plane, corrected by the block means of its profile."""
    gain = block_means(over(profile.gain, shape))
    level: float | np.ndarray = profile.level
    if profile.background is not None:
        level = level * block_means(over(profile.background, shape))
    return (blocks - level) / gain + profile.level


def _row(name: str, method: str, profile: Profile, *, n_fields: int) -> dict[str, Any]:
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
