"""What `pcip check` prints about illumination: the profiles that are there, and what is done with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from pcip_core.errors import PcipError
from pcip_core.images.field import Field
from pcip_core.images.illumination.correction import profiles_of
from pcip_core.images.illumination.estimated import Estimate
from pcip_core.images.illumination.harmony import channel_number, profiles_beside
from pcip_core.images.reference import Reference
from pcip_core.spec.screen import Screen
from pcip_core.words import many


def illumination_lines(screen: Screen, fields: Iterable[Field]) -> Iterator[str]:
    """Lines on profiles that are not applied, or on the profiles of the first field; files are read, but no image.

    Args:
        screen: the spec.
        fields: the fields of the screen.
    """
    method = screen.illumination.method
    if method == "none":
        if screen.files.layout == "opera":
            yield from _unapplied(screen, fields)
        return
    if method == "estimated":
        return  # `estimate_lines`
    first = next((member for member in fields if member.problem is None), None)
    if first is None:
        return
    try:
        profiles = profiles_of(screen, first)
    except PcipError:
        return  # reading the field reports it
    texts = [f"{name}: gain {_range(profile.range())}" for name, profile in profiles.items()]
    texts += [f"{name}: no profile, not corrected" for name in screen.crop_channels if name not in profiles]
    yield f"{method}: {'; '.join(texts)} (field {first.field_id})"


def estimate_lines(shard: str, estimates: Mapping[str, Estimate]) -> Iterator[str]:
    """A line on the estimates of a shard before any run."""
    texts = [
        f"{name}: {each.note or f'gain {_range(each.profile(0).range())}, error {each.error:.3f}'}"
        for name, each in estimates.items()
    ]
    if texts:
        n = max(each.n_fields for each in estimates.values())
        yield f"estimated from {many(n, 'field')} of {shard}: {'; '.join(texts)}"


def _unapplied(screen: Screen, fields: Iterable[Field]) -> Iterator[str]:
    """A line on Harmony's profiles that the spec does not use."""
    places = {
        (str(PurePosixPath(path).parent), number)
        for member in fields
        for name in screen.crop_channels
        if name in member.files and (path := Reference.parse(member.files[name]).path)
        if (number := channel_number(path)) is not None
    }
    found: dict[str, list[str]] = {}
    for folder, number in sorted(places):
        try:
            profile = profiles_beside(screen.folder(), folder).get(number)
        except PcipError as error:
            found.setdefault(folder, []).append(str(error))
            continue
        if profile is not None:
            found.setdefault(folder, []).append(f"ch{number} gain {_range(profile.range())}")
    if found:
        folder, texts = next(iter(found.items()))
        more = f" and {many(len(found) - 1, 'other folder')}" if len(found) > 1 else ""
        yield (
            f"Harmony's profiles of uneven illumination are there and not applied: {folder} ({', '.join(texts)})"
            f"{more}. To apply them, add to the spec: illumination: {{method: harmony}}"
        )


def _range(limits: tuple[float, float]) -> str:
    return f"{limits[0]:.2f} to {limits[1]:.2f}"
