"""Sections of the report of `pcip check` on the fields that it reads: their cells, quality and label images."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

from pcip_assets.cli.check.check import FAILURE, PROBLEM, WARNING, Check, Line
from pcip_core.crops.sample import SampledField, summed
from pcip_core.crops.shard import smallest
from pcip_core.images.illumination.described import illumination_lines
from pcip_core.images.quality.survey import quality_lines
from pcip_core.segmentation import least_area
from pcip_core.words import many, share, verb

_SHOWN = 5  # fields, images or problems named
_REASONS = 3  # kinds of reasons named in one line
_SHARDS = 20  # with a line each
_MANY_SMALL, _SMALL = 5, 0.2  # objects below the least area that are a problem: number, and share of all


def sample(check: Check) -> Iterator[Line]:
    """The cells of the sampled fields by shard, and the fields that cannot be used."""
    total = len(check.layout.fields)
    if check.at_most is not None and check.sample:
        yield Line("sample", f"{len(check.sample)} of {many(total, 'field')}")
    by_shard = [
        (shard, list(members)) for shard, members in groupby(check.sample, lambda each: each.field.shard)
    ]
    for shard, members in by_shard[:_SHARDS]:
        yield Line("sample", f"{shard}: {_counted(members)}")
    if len(by_shard) > _SHARDS:
        rest = [each for _, members in by_shard[_SHARDS:] for each in members]
        yield Line("sample", f"{many(len(by_shard) - _SHARDS, 'more shard')}: {_counted(rest)}")
    yield from _unread(check)
    problems = [
        line
        for _, members in by_shard
        for line in _scarce_cells(check, [each for each in members if each.problem is None])
    ]
    yield from problems[:_SHARDS]
    if more := len(problems[_SHARDS:]):
        yield Line(PROBLEM, f"{many(more, 'more shard')} with too few cells")
    yield from _small_objects(check)
    yield from _same_pixels(check)


def _same_pixels(check: Check) -> Iterator[Line]:
    """The problems of fields with the pixels of others, and of channels with the pixels of others."""
    repeats = [(each.field.field_id, each.repeats) for each in check.sample if each.repeats is not None]
    if repeats:
        shown = ", ".join(f"{name} (as {first})" for name, first in repeats[:_SHOWN])
        text = share(len(repeats), len(check.sample), "sampled field", does="have")
        yield Line(PROBLEM, f"{text} the pixels of another, and no cell of its own: {shown}")
    equal = Counter(pair for each in check.sample for pair in each.equal)
    for (first, second), n in equal.items():
        text = f"channels {first} and {second} have the same pixels in {share(n, len(check.sample), 'sampled field')}"
        yield Line(PROBLEM, f"{text}: are the files of one channel copies of those of the other?")


def _counted(members: Sequence[SampledField]) -> str:
    found, passing = sum(each.found for each in members), sum(each.passing for each in members)
    return f"{many(found, 'cell')} in {many(len(members), 'field')}, {passing} {verb(passing, 'pass')}"


def _unread(check: Check) -> Iterator[Line]:
    """The sampled fields that cannot be used.

    A channel whose pixels are all equal is a warning if other fields can be read: it may be that of a blank well. The
    run does not use the field either, and continues without it.
    """
    unread = [each for each in check.sample if each.problem is not None and each.field.problem is None]
    if len(unread) < len(check.sample):
        blank: dict[str, list[str]] = {}
        for each in unread:
            if each.constant is not None:
                blank.setdefault(each.constant, []).append(each.field.field_id)
        for channel, names in blank.items():
            yield Line(
                WARNING,
                f"channel {channel}: all pixels are equal in {len(names)} of "
                f"{many(len(check.sample), 'sampled field')}, which {verb(len(names), 'are')} not used and will be in "
                f"quarantine: {', '.join(names[:_SHOWN])}{', ...' * (len(names) > _SHOWN)}",
            )
        unread = [each for each in unread if each.constant is None]
    yield from (Line(FAILURE, each.problem) for each in unread[:_SHOWN])
    if more := len(unread[_SHOWN:]):
        yield Line(FAILURE, f"{more} more of the sampled fields cannot be used")


def _small_objects(check: Check) -> Iterator[Line]:
    """The problem of fields of which the least area leaves out a large share of the objects."""
    shares = [
        (each.small / (each.small + each.found), each) for each in check.sample if each.small >= _MANY_SMALL
    ]
    worst = sorted((item for item in shares if item[0] >= _SMALL), key=lambda item: -item[0])
    if not worst or not any(each.found for each in check.sample):
        return
    shown = [
        f"{each.small} of {each.small + each.found} in {each.field.field_id}" for _, each in worst[:_SHOWN]
    ]
    yield Line(
        PROBLEM,
        f"many objects are left out as too small in {len(worst)} of {many(len(check.sample), 'sampled field')}: "
        f"{', '.join(shown)}{_lower(check)}",
    )


def _lower(check: Check) -> str:
    """What to write into the spec if the least area leaves out cells; nothing if the method has none."""
    segmentation = check.screen.segmentation
    least = least_area(segmentation)
    if least is None or least <= 1:
        return ""
    options = {**segmentation.options, "min_area_px": smallest(least)}
    return (
        f"; objects below {least:g} px in area are left out: if they are cells, write "
        f"`options: {json.dumps(options, ensure_ascii=False)}` in segmentation"
    )


def _scarce_cells(check: Check, members: list[SampledField]) -> Iterator[Line]:
    """The problem of a shard of which no cell passes, or whose images will have too few cells."""
    found, passing = sum(each.found for each in members), sum(each.passing for each in members)
    if members and not passing:
        reasons = summed(each.reasons for each in members)
        shown = "".join(f"; {n}: {reason}" for reason, n in list(reasons.items())[:_REASONS])
        names = ", ".join(each.field.field_id for each in members[:_SHOWN])
        none = f"none of {many(found, 'cell')} passes{shown}" if found else f"no cell found{_lower(check)}"
        yield Line(PROBLEM, f"{names}: {none}")
        return
    if not members:
        return
    least = check.screen.crops.min_cells
    fields = check.layout.of_shard(members[0].field.shard)
    in_image = Counter(field.image_id for field in fields)
    if check.screen.segmentation.method == "whole":
        scarce = [image_id for image_id, count in in_image.items() if count < least]
        if scarce:
            yield Line(
                PROBLEM,
                f"{len(scarce)} of {many(len(in_image), 'image')} of {fields[0].shard} "
                f"{verb(len(scarce), 'have')} fewer cells than "
                f"crops.min_cells ({least}): {', '.join(scarce[:_SHOWN])}",
            )
        return
    image_id = members[0].field.image_id
    expected = passing / len(members) * in_image[image_id]
    if expected < least:
        yield Line(
            PROBLEM,
            f"{image_id}: about {many(round(expected), 'cell')} in its fields, fewer than crops.min_cells ({least})",
        )


def quality(check: Check) -> Iterator[Line]:
    """Profiles of illumination, applied or not, and sampled fields that are flagged or outside of the limits."""
    for text in (*illumination_lines(check.screen, check.layout.fields), *check.estimates):
        yield Line("profiles", text)
    texts: list[str] = []
    for _, members in groupby(check.sample, lambda each: each.field.shard):
        texts += quality_lines(check.screen, [each.field for each in members])
    yield from (Line(PROBLEM, text) for text in texts[:_SHOWN])
    if len(texts) > _SHOWN:
        yield Line(
            PROBLEM,
            f"{many(len(texts) - _SHOWN, 'more field')} with flags of quality, or outside of its limits",
        )


def masks(check: Check) -> Iterator[Line]:
    """Label images of other programs that are unusual, or those of other fields."""
    swapped = [each.swapped for each in check.sample if each.swapped is not None]
    yield from (Line(FAILURE, text) for text in swapped[:_SHOWN])
    texts = [text for each in check.sample if each.swapped is None for text in each.warnings]
    yield from (Line(PROBLEM, text) for text in texts[:_SHOWN])
    if more := len(swapped[_SHOWN:]) + len(texts[_SHOWN:]):
        yield Line(PROBLEM, f"{many(more, 'more problem')} of label images")
