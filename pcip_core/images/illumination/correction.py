"""Corrected planes of a field, by the method of the spec. All analyses read fields with `read_corrected`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from pcip_core.errors import CropError, ImageFileError, PcipError
from pcip_core.images.field import Field
from pcip_core.images.illumination.estimated import BLOCKS, Estimate, block_means, estimate, sampled
from pcip_core.images.illumination.given import given_path, given_profile
from pcip_core.images.illumination.harmony import channel_number, profiles_beside
from pcip_core.images.illumination.profile import Polynomial, Profile
from pcip_core.images.inside import opened
from pcip_core.images.reading import Planes, read_field
from pcip_core.images.reference import Reference
from pcip_core.spec.screen import Screen

_PIECE = 1 << 20
_IN_A_CHECK = 16  # fields per shard that an estimate before any run uses


def read_corrected(screen: Screen, field: Field) -> Planes:
    """Read all channels of a field, and correct their illumination by the method of the spec.

    Args:
        screen: the spec.
        field: a field of this screen; with `gains` if they are estimated.

    Returns:
        Channel name -> (H, W), in the order of the spec: float32 where a channel is corrected, otherwise the pixel
        type of the files.

    Raises:
        ImageFileError: the field cannot be read, or a profile is missing or unusable.
    """
    return corrected(screen, read_field(screen, field))


def corrected(screen: Screen, planes: Planes) -> Planes:
    """Correct planes as the files hold them. Label images, and channels without a profile, are unchanged.

    Raises:
        ImageFileError: a profile is missing or unusable.
    """
    profiles = profiles_of(screen, planes.field)
    if not profiles:
        return planes
    changed = {name: profile.corrected(planes[name]) for name, profile in profiles.items()}
    return Planes(
        {name: changed.get(name, plane) for name, plane in planes.items()}, planes.field, planes.root
    )


def profiles_of(screen: Screen, field: Field) -> dict[str, Profile]:
    """The profile of each channel of a field that is corrected.

    Raises:
        ImageFileError: a profile is missing, or cannot be read.
        CropError: the illumination is estimated, and the field has no estimate.
    """
    spec, channels = screen.illumination, screen.crop_channels
    if spec.method == "none":
        return {}
    if spec.method == "harmony":
        return _harmony(screen, field)
    if spec.method == "images":
        paths = {name: given_path(screen.folder(), str(spec.images), field, name) for name in channels}
        return {name: given_profile(path, spec.offset) for name, path in paths.items()}
    if field.gains is None:
        raise CropError(
            f"{screen.name}: field {field.field_id}",
            found="no estimate of its illumination",
            required="the estimate of its shard",
            remedy=f"Run `pcip run {screen.name}`.",
        )
    gains = {name: gain for name, gain in field.gains.items() if len(gain.coefficients) > 1}
    return {name: Profile(gain, level=spec.offset, source="estimated") for name, gain in gains.items()}


def _harmony(screen: Screen, field: Field) -> dict[str, Profile]:
    """The profiles of the plate of a field, for the channels that are not flat."""
    root, profiles = screen.folder(), {}
    for name in screen.crop_channels:
        if name not in field.files:
            continue
        path = Reference.parse(field.files[name]).path
        folder = str(PurePosixPath(path).parent)
        of_plate = profiles_beside(root, folder)
        if not of_plate:
            raise ImageFileError(
                root / folder,
                found="no index with illumination profiles (FlatfieldProfile)",
                required="the profiles of the plate, in Index.xml or in FFC_Profile",
                remedy="Export the plate with its associated files, or set illumination.method in the spec to "
                "estimated or none.",
            )
        profile = of_plate.get(channel_number(path) or "")
        if profile is not None:
            profiles[name] = profile
    return profiles


def fingerprint(screen: Screen, fields: Iterable[Field]) -> list[str]:
    """Hashes of the profiles that correct these fields: of the profiles in an index, or of the given images.

    An estimate is determined by the fields themselves. What cannot be read has the name of its error.
    """
    found: dict[str, None] = {}
    for member in fields:
        try:
            for name, digest in _digests(screen, member).items():
                found[f"{name} {digest}"] = None
        except PcipError as error:  # reported when the field is read
            found[type(error).__name__] = None
    return sorted(found)


def _digests(screen: Screen, field: Field) -> dict[str, str]:
    spec = screen.illumination
    if field.problem is not None or spec.method not in ("harmony", "images"):
        return {}
    if spec.method == "harmony":
        return {name: profile.digest for name, profile in _harmony(screen, field).items()}
    paths = {
        name: given_path(screen.folder(), str(spec.images), field, name) for name in screen.crop_channels
    }
    return {name: f"{path} {_content(path)}" for name, path in paths.items()}


_contents: dict[tuple[Path, int, int], str] = {}


def _content(path: Path) -> str:
    """Hash of a file, computed once for each state of it."""
    try:
        stat = path.stat()
        key = (path, stat.st_mtime_ns, stat.st_size)
        if key not in _contents:
            digest = hashlib.blake2b(digest_size=12)
            with opened(path) as file:
                while piece := file.read(_PIECE):
                    digest.update(piece)
            _contents[key] = digest.hexdigest()
    except OSError as error:
        return type(error).__name__
    return _contents[key]


def with_gains(fields: Iterable[Field], gains: Mapping[str, Polynomial]) -> list[Field]:
    """The fields of one shard with its estimated gains: channel -> gain."""
    return [replace(member, gains=gains) for member in fields]


def estimated_beforehand(
    screen: Screen, members: Sequence[Field], chosen: Sequence[Field]
) -> tuple[list[Field], dict[str, Estimate]]:
    """The chosen fields of a shard with an estimate from a few of all its fields, before any run.

    Args:
        screen: the spec.
        members: all fields of the shard.
        chosen: the fields to return.

    Returns:
        The chosen fields, and channel -> estimate; unless the spec asks for an estimate, the same fields and none.
    """
    if screen.illumination.method != "estimated":
        return list(chosen), {}
    wanted = sampled(members, min(_IN_A_CHECK, screen.illumination.fields))
    blocks: dict[str, list[np.ndarray]] = {name: [] for name in screen.crop_channels}
    for member in members:
        if member.field_id not in wanted:
            continue
        try:
            planes = read_field(screen, member)
        except ImageFileError:
            continue  # reported by whoever needs this field
        for name, rows in blocks.items():
            if min(planes.shape) >= BLOCKS:
                rows.append(block_means(planes[name]))
    estimates = estimates_of(blocks, screen.illumination.offset)
    return with_gains(chosen, {name: each.gain for name, each in estimates.items()}), estimates


def estimates_of(blocks: Mapping[str, Sequence[np.ndarray]], offset: float) -> dict[str, Estimate]:
    """The estimate of each channel from the block means of its fields."""
    none = np.zeros((0, BLOCKS, BLOCKS), np.float32)
    return {name: estimate(np.stack(rows) if rows else none, offset) for name, rows in blocks.items()}
