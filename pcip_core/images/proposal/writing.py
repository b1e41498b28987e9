"""The text of a proposed spec, with a comment wherever something was guessed or can be decided otherwise."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pcip_core.images.proposal.arrangement import Arrangement
from pcip_core.images.proposal.channels import Choice
from pcip_core.spec.sections import Images

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./ ()-]*")
_NOT_TEXT = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"}
_SHOWN = 5


@dataclass
class Plan:
    """What a spec says, beside what the arrangement and the channels say.

    Attributes:
        name, organism, root: keys of the spec.
        method, options: of the segmentation.
        window_px, area_fraction: of the crops.
        encoder: the section, as YAML text.
        benchmark: the same; None for the default.
        buckets: number of shards, if there are no plates.
        images: the section `images`.
        n_images, n_fields: counts, for comments.
        diameter: where the diameter comes from, for a comment.
        notes: what the user should know.
    """

    name: str
    organism: str
    root: str
    method: str = "whole"
    options: dict[str, object] = field(default_factory=dict)
    window_px: int | None = None
    area_fraction: tuple[float, float] | None = None
    encoder: str = "{recipe: agreement, width: 0.25}"
    benchmark: str | None = None
    buckets: int = 1
    images: Images = field(default_factory=Images)
    n_images: int = 0
    n_fields: int = 0
    diameter: str = ""
    notes: list[str] = field(default_factory=list)


def spec_text(plan: Plan, arrangement: Arrangement, choices: Sequence[Choice]) -> str:
    """The YAML text of a spec.

    Args:
        plan: the keys that are no matter of names.
        arrangement: how the folder is arranged.
        choices: the channels.
    """
    lines = [
        *_head(plan, arrangement),
        *_channels(arrangement, choices),
        *_files(plan, arrangement, choices),
        *_images(plan),
        _shards(plan, arrangement),
        *_segmentation(plan, arrangement),
        f"encoder: {plan.encoder}   # docs/explanation/encoders.md; {_of_encoder(plan)}",
        *_benchmark(plan),
    ]
    return "\n".join(lines) + "\n"


def _of_encoder(plan: Plan) -> str:
    """What to know of the encoder that is proposed."""
    if "start:" not in plan.encoder:
        return "with a GPU, width: 1.0 for a large screen"
    use = "takes" if "epochs: 0" in plan.encoder else "trains on from"
    return f"few images, so it {use} an encoder of simulated cells"


def _benchmark(plan: Plan) -> Iterator[str]:
    if plan.benchmark is not None:
        yield (
            f"benchmark: {plan.benchmark}   # predict the protein: too few images have a localization term"
        )


def _head(plan: Plan, arrangement: Arrangement) -> Iterator[str]:
    yield f"# Proposed by `pcip init`. Check it after each change: pcip check {plan.name} --picture cells.png"
    yield "# Every key: docs/reference/spec.md"
    for note in (*arrangement.notes, *plan.notes):
        yield from textwrap.wrap(
            re.sub(r"\s+", " ", note),
            110,
            initial_indent="# - ",
            subsequent_indent="#   ",
            break_on_hyphens=False,
        )
    yield f"name: {plan.name}"
    yield f"organism: {_value(plan.organism)}"
    yield f"description: {_value(f'Images of layout {arrangement.layout}, as pcip init has read them')}"
    yield f"root: {_value(plan.root)}"
    if (pixel := arrangement.contents.pixel_um) is not None:
        yield f"pixel_um: {pixel:.4g}   # side of a pixel, as the files say"


def _channels(arrangement: Arrangement, choices: Sequence[Choice]) -> Iterator[str]:
    yield "channels:   # structural: the same structure in every image; protein: varies from image to image"
    for choice in choices:
        candidate = choice.candidate
        keys = [f"role: {choice.role}"]
        if isinstance(candidate.plane, int):
            keys.append(f"plane: {candidate.plane}")
        elif candidate.named != choice.name and candidate.plane != candidate.named:
            keys.append(f"named: {_value(candidate.named)}")
        if isinstance(candidate.plane, str):
            keys.append(f"plane: {candidate.plane}")
        names = f"{', '.join(candidate.others)}; " if candidate.others else ""
        yield f"  {choice.name}: {{{', '.join(keys)}}}   # {names}{choice.reason or 'a guess'}"
    if arrangement.masks:
        plane = "" if arrangement.masks_plane is None else f", plane: {arrangement.masks_plane}"
        yield f"  mask: {{role: labels{plane}}}   # label images of another program"
    elif labels := arrangement.contents.labels:
        named = "" if labels[0] == "cells" else f", named: {_value(f'labels/{labels[0]}')}"
        yield f"  cells: {{role: labels{named}}}   # label images within each image"
    used = {choice.candidate.named for choice in choices}
    for candidate in arrangement.channels:
        if candidate.named not in used:
            yield f"  # {candidate.label} is left out"


def _files(plan: Plan, arrangement: Arrangement, choices: Sequence[Choice]) -> Iterator[str]:
    yield "files:"
    if arrangement.layout != "pattern":
        yield f"  layout: {arrangement.layout}"
    if arrangement.masks:
        yield "  pattern:"
        for choice in choices:
            text = str(arrangement.pattern).replace("{channel}", choice.candidate.named)
            yield f"    {choice.name}: {_quoted(text)}"
        yield f"    mask: {_quoted(arrangement.masks)}"
    elif arrangement.pattern is not None:
        yield f"  pattern: {_quoted(arrangement.pattern)}"
    if arrangement.table is not None:
        yield f"  table: {_value(arrangement.table)}"
    counts = f": images {plan.n_images}, fields {plan.n_fields}" if plan.n_images else ""
    yield f"  image_id: {_quoted(arrangement.image_id)}   # fields with one image_id show one protein{counts}"
    for name, values in arrangement.values.items():
        shown = ", ".join(values[:_SHOWN])
        yield f"  # {name}: {_comment(shown)}{f', ... ({len(values)} in all)' if len(values) > _SHOWN else ''}"
    for key, value in (
        ("parts", arrangement.parts),
        ("only", arrangement.only),
        ("project", arrangement.project),
    ):
        if value:
            yield f"  {key}: {_mapping(value)}"
    if arrangement.exclude:
        yield f"  exclude: [{', '.join(map(_quoted, arrangement.exclude))}]"


def _images(plan: Plan) -> Iterator[str]:
    images = plan.images
    if images.values or images.platemap or images.table:
        yield "images:"
    if images.values:
        yield f"  values: {_mapping(images.values)}"
    if images.platemap:
        yield f"  platemap: {_value(images.platemap)}   # one row per well"
    if images.table:
        yield f"  table: {_value(images.table)}   # one row per image"
        yield f"  key: {_value(images.key)}"
    if not (images.platemap or images.table):
        yield "# images: {platemap: platemap.csv}   # a table with columns well, protein, localization, under the root"


def _shards(plan: Plan, arrangement: Arrangement) -> str:
    if arrangement.shards is not None:
        return (
            f"shards: {{by: {_quoted(arrangement.shards)}}}   # the unit of work: a new plate costs one plate"
        )
    return f"shards: {{buckets: {plan.buckets}}}   # the unit of work"


def _segmentation(plan: Plan, arrangement: Arrangement) -> Iterator[str]:
    yield "segmentation:   # other methods: docs/reference/segmentation.md"
    yield f"  method: {plan.method}"
    if plan.options:
        yield f"  options: {_mapping(plan.options)}   # {plan.diameter}"
    elif plan.diameter:
        yield f"  # {plan.diameter}"
    yield "crops:"
    window = (
        "null   # the whole image" if plan.window_px is None else f"{plan.window_px}   # px around a cell"
    )
    yield f"  window_px: {window}"
    yield "  size_px: 64"
    if plan.area_fraction is not None:
        least, most = plan.area_fraction
        yield f"  area_fraction: [{least}, {most}]   # of the window; other objects are debris or clumps"
    yield "  min_cells: 5   # images with fewer cells are left out"


def _mapping(values: Mapping[str, object]) -> str:
    return "{" + ", ".join(f"{key}: {_value(value)}" for key, value in values.items()) + "}"


def _value(value: object) -> str:
    """A scalar: plain if that is certainly the same text, otherwise quoted."""
    if not isinstance(value, str):
        return str(value)
    safe = _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT and value == value.strip()
    return value if safe else _quoted(value)


def _quoted(text: str) -> str:
    """A text in double quotes; YAML reads what JSON writes."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _comment(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]", "?", text)
