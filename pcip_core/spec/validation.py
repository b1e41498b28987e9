"""The rules that the sections of a screen spec must keep together."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from pcip_core.errors import SpecError
from pcip_core.spec.bounds import meant, shown
from pcip_core.spec.features import problems_of
from pcip_core.spec.screen import Screen
from pcip_core.spec.sections import PART

_NAME = re.compile(r"[a-z][a-z0-9_]*")
LONGEST_NAME = 60
_RESERVED = {"main", "temp", "system", "information_schema", "pg_catalog", "feature_store"}
_LONGEST_PATTERN = 1000
_PATTERN_PART = re.compile(r"{(\w+)(?::d)?}")
_WITH_PATTERN = ("pattern", "ome_tiff", "hdf5")
_PARTS = {  # parts of each layout, in addition to those of a pattern
    "opera": ("plate", "well", "row", "column", "field", "plane", "time"),
    "ome_zarr": ("plate", "well", "row", "column", "field", "acquisition"),
    "hdf5": ("row", "class"),
}


def validate(screen: Screen, path: Path) -> None:
    """Check a screen as read from a spec.

    Raises:
        SpecError: a value contradicts another, or is not possible for this screen.
    """

    def refuse(found: str, required: str, remedy: str = "Correct the spec.") -> None:
        raise SpecError(path, found=found, required=required, remedy=remedy)

    if not _NAME.fullmatch(screen.name) or len(screen.name) > LONGEST_NAME:
        refuse(
            f"name {screen.name!r}",
            f"lower-case letters, digits and _, at most {LONGEST_NAME} (it names the schema in SQL)",
        )
    if screen.name in _RESERVED:
        refuse(
            f"name {screen.name!r}", f"none of {', '.join(sorted(_RESERVED))} (it names the schema in SQL)"
        )
    if not screen.protein:
        refuse("no channel with `role: protein`", "one channel whose protein varies from image to image")
    if not screen.structural:
        refuse(
            "no channel with `role: structural`",
            "at least one channel that marks the same structure in all images",
        )
    _validate_files(screen, refuse)
    if (screen.shards.by is None) == (screen.shards.buckets is None):
        refuse("shards: neither or both of `by` and `buckets`", "exactly one of them")
    if screen.encoder_from == screen.name:
        refuse("encoder_from names the screen itself", "another screen, or no encoder_from")
    for found, required in (
        *screen.illumination.problems(screen.files.layout),
        *screen.quality.problems(screen.crop_channels),
        *screen.benchmark.problems(),
        *screen.baselines.problems(screen.crop_channels, screen.files.layout),
        *screen.analyses.problems(),
        *problems_of(screen.features, screen.crop_channels),
    ):
        refuse(found, required)
    for name in screen.crops.floor:
        if name not in screen.crop_channels:
            refuse(f"crops.floor names channel {name!r}", f"one of {list(screen.crop_channels)}")
    if screen.segmentation.method == "centres" and screen.crops.area_fraction is not None:
        refuse(
            "crops.area_fraction with segmentation.method centres", "no area_fraction: a centre has no area"
        )
    if screen.crops.size_px % (step := screen.encoder.size_step):
        refuse(f"crops.size_px {screen.crops.size_px}", f"a multiple of {step} (see encoder.stages)")
    least, most = screen.crops.area_fraction or (0, 0)
    if least > most:
        refuse(f"crops.area_fraction {least}, {most}", "the smallest area first")


def _validate_files(screen: Screen, refuse: Callable[..., None]) -> None:
    """Check that `files` has the keys of its layout and that templates name existing parts."""
    files = screen.files
    for key, layouts in (("pattern", _WITH_PATTERN), ("table", ("manifest",))):
        given = getattr(files, key) is not None
        if given != (files.layout in layouts):
            found = f"files.{key} with layout {files.layout}" if given else f"no files.{key}"
            refuse(found, f"files.{key} for the layouts {', '.join(layouts)}, and only for them")
    if isinstance(files.pattern, dict):
        if set(files.pattern) != set(screen.channels):
            refuse(f"files.pattern for {list(files.pattern)}", f"one for each of {list(screen.channels)}")
    elif files.layout == "pattern" and "{channel}" not in str(files.pattern):
        if any(channel.plane is None for channel in screen.channels.values()):
            refuse(f"files.pattern {files.pattern!r}", "a part {channel}, or a `plane` for every channel")
    elif files.layout != "pattern" and "{channel}" in str(files.pattern):
        refuse(f"files.pattern {files.pattern!r}", "no part {channel}, because each file holds all channels")
    for pattern in files.patterns:
        if set(_PATTERN_PART.sub("", pattern)) & set("{}"):
            refuse(f"files.pattern {shown(pattern)}", "parts as {name} or {name:d}, and no other braces")
        if len(pattern) > _LONGEST_PATTERN:
            refuse(f"files.pattern {shown(pattern)}", f"at most {_LONGEST_PATTERN} characters")
    parts = [set(_PATTERN_PART.findall(pattern)) - {"channel"} for pattern in files.patterns]
    if any(names != parts[0] for names in parts):
        refuse(
            f"patterns with the parts {[sorted(names) for names in parts]}", "the same parts in each pattern"
        )
    templates = {"files.image_id": files.image_id, "shards.by": screen.shards.by or ""}
    templates |= {f"images.values.{name}": value for name, value in screen.images.values.items()}
    profiler = screen.baselines.cellprofiler
    columns = {"image": profiler.image or "", "field": profiler.field or ""}
    for key, template in (templates | {f"baselines.cellprofiler.{k}": v for k, v in columns.items()}).items():
        if set(PART.sub("", template)) & set("{}"):
            refuse(f"{key} {shown(template)}", "parts as {name}, and no other braces")
    if files.layout == "manifest":
        return  # the parts are the columns of the table
    known = {*(parts[0] if parts else ()), *_PARTS.get(files.layout, ())}
    illumination = (screen.illumination.images or "").replace("{channel}", "")
    templates |= {"illumination.images": illumination}
    templates |= {"files.only": "".join(f"{{{name}}}" for name in files.only)}
    for key, template in templates.items():
        unknown = set(PART.findall(template)) - known
        if unknown:
            refuse(f"{key} names {{{shown(min(unknown))[1:-1]}}}", f"one of the parts {sorted(known)}")


def unmade_sets(screen: Screen) -> list[str]:
    """The feature sets that the spec names and that nothing in it makes, one sentence each."""
    encoder, baselines = screen.encoder, screen.baselines
    made = [f"{method}_{layer}" for method in (encoder.method, "untrained") for layer in encoder.layers]
    made += ["intensity", *baselines.designed, *screen.features]
    by_layer = tuple(f"{name}_" for name in ("autoencoder", "supervised", "vgg16") if name in baselines.sets)
    named = {f"features.{name}.combine": each.combine for name, each in screen.features.items()}
    named |= {
        "baselines.corrected": baselines.corrected or (),
        "baselines.classifiers": baselines.classifiers or (),
    }
    named["analyses.feature_set"] = (screen.analyses.feature_set,) if screen.analyses.feature_set else ()
    endings = tuple(f"_{name}" for name in baselines.corrections)
    problems = []
    for key, names in named.items():
        for name in names:
            plain = next((name.removesuffix(ending) for ending in endings if name.endswith(ending)), name)
            if plain not in made and not plain.startswith(by_layer):
                problems.append(f"{key} names {name}{meant(name, made)}; nothing in the spec makes it")
    return problems
