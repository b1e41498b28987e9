"""The rules that the sections of a screen spec must keep together."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from pcip_core.errors import SpecError
from pcip_core.spec.bounds import meant, shown
from pcip_core.spec.features import problems_of
from pcip_core.spec.screen import Screen
from pcip_core.spec.sections import PART, TIME_PARTS, Z_PARTS, Files

_NAME = re.compile(r"[a-z][a-z0-9_]*")
LONGEST_NAME = 60
RESERVED = frozenset({"main", "temp", "system", "information_schema", "pg_catalog", "feature_store"})
"""Names that no screen can have: of schemas and databases in SQL."""
_LONGEST_PATTERN = 1000
_PATTERN_PART = re.compile(r"{(\w+)(?::(?:d|[1-9][0-9]?d|well|hex))?}")
_TOUCHING = re.compile(r"({(\w+):(?:d|well)})({(\w+):d})")
_WITH_PATTERN, _MAY_HAVE_PATTERN = ("pattern", "ome_tiff", "vendor", "hdf5"), ("ome_zarr",)
_OF_EXPORTS = ("plate", "well", "row", "column", "field", "plane", "time", "folder")
_PARTS = {  # parts of each layout, in addition to those of a pattern
    "opera": (*_OF_EXPORTS, "kinetic", "flim"),
    "imagexpress": _OF_EXPORTS,
    "cv8000": (*_OF_EXPORTS, "timeline", "action"),
    "incell": _OF_EXPORTS,
    "ome_tiff": ("scene", "field", "time"),
    "vendor": ("scene", "field", "time"),
    "ome_zarr": ("plate", "well", "row", "column", "field", "acquisition", "image", "time"),
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
    if screen.name in RESERVED:
        refuse(f"name {screen.name!r}", f"none of {', '.join(sorted(RESERVED))} (it names the schema in SQL)")
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
    _validate_other_screens(screen, refuse)
    for found, required in (
        *screen.illumination.problems(screen.files.layout),
        *screen.quality.problems(screen.crop_channels),
        *screen.benchmark.problems(),
        *screen.baselines.problems(screen.crop_channels, screen.files.layout),
        *screen.analyses.problems(),
        *problems_of(screen.features, screen.crop_channels),
    ):
        refuse(found, required)
    if screen.crops.edge == "pad" and screen.crops.window_px is None:
        refuse(
            "crops.edge pad with window_px null", "a window_px: the whole image has no window over its edge"
        )
    for name in screen.crops.floor:
        if name not in screen.crop_channels:
            refuse(
                f"crops.floor names channel {name!r}{meant(name, screen.crop_channels)}",
                f"one of {list(screen.crop_channels)}",
            )
    if screen.segmentation.method == "centres" and screen.crops.area_fraction is not None:
        refuse(
            "crops.area_fraction with segmentation.method centres", "no area_fraction: a centre has no area"
        )
    if screen.crops.size_px % (step := screen.encoder.size_step):
        refuse(f"crops.size_px {screen.crops.size_px}", f"a multiple of {step} (see encoder.stages)")
    least, most = screen.crops.area_fraction or (0, 0)
    if least > most:
        refuse(f"crops.area_fraction {least}, {most}", "the smallest area first")


def _validate_other_screens(screen: Screen, refuse: Callable[..., None]) -> None:
    """Check that the other screens that the encoder depends on are others."""
    if screen.encoder_from == screen.name:
        refuse("encoder_from names the screen itself", "another screen, or no encoder_from")
    leave_out = screen.encoder.leave_out
    if leave_out is not None and not _NAME.fullmatch(leave_out.variable_in):
        refuse(f"encoder.leave_out.variable_in {shown(leave_out.variable_in)}", "the name of another screen")
    if leave_out is not None and leave_out.variable_in == screen.name:
        refuse(
            "encoder.leave_out.variable_in names the screen itself",
            "another screen, because the scores of a screen are made from the features of its encoder",
            "Give this spec another name (`name:`), and name the former screen here: it is the first round.",
        )


def _validate_files(screen: Screen, refuse: Callable[..., None]) -> None:
    """Check that `files` has the keys of its layout and that templates name existing parts."""
    files = screen.files
    _validate_patterns(files.patterns, refuse)
    for key, layouts in (("pattern", _WITH_PATTERN), ("table", ("manifest",))):
        given = getattr(files, key) is not None
        may_have = key == "pattern" and files.layout in _MAY_HAVE_PATTERN
        if given != (files.layout in layouts) and not may_have:
            found = f"files.{key} with layout {files.layout}" if given else f"no files.{key}"
            refuse(found, f"files.{key} for the layouts {', '.join(layouts)}, and only for them")
    if isinstance(files.pattern, dict):
        if set(files.pattern) != set(screen.channels):
            names = sorted(set(files.pattern) - set(screen.channels))
            like = f" ({names[0]}{meant(names[0], screen.channels)})" if names else ""
            refuse(
                f"files.pattern for {list(files.pattern)}{like}", f"one for each of {list(screen.channels)}"
            )
    elif files.layout == "pattern" and "{channel}" not in str(files.pattern):
        if files.reader != "ome_zarr" and any(channel.plane is None for channel in screen.channels.values()):
            refuse(f"files.pattern {files.pattern!r}", "a part {channel}, or a `plane` for every channel")
    elif files.reader not in ("pattern", "ome_zarr") and "{channel}" in str(files.pattern):
        refuse(f"files.pattern {files.pattern!r}", "no part {channel}, because each file holds all channels")
    parts = [set(_PATTERN_PART.findall(pattern)) - {"channel", "_"} for pattern in files.patterns]
    if any(names != parts[0] for names in parts):
        refuse(
            f"patterns with the parts {[sorted(names) for names in parts]}", "the same parts in each pattern"
        )
    templates = {"files.image_id": files.image_id, "shards.by": screen.shards.by or ""}
    templates |= {f"images.values.{name}": value for name, value in screen.images.values.items()}
    built = {f"files.parts.{name}": value for name, value in files.parts.items()}
    profiler = screen.baselines.cellprofiler
    columns = {"image": profiler.image or "", "field": profiler.field or ""}
    lights = {"illumination.images": screen.illumination.images or ""}
    for key, template in (
        templates | built | lights | {f"baselines.cellprofiler.{k}": v for k, v in columns.items()}
    ).items():
        if set(PART.sub("", template)) & set("{}"):
            refuse(f"{key} {shown(template)}", "parts as {name}, and no other braces")
    _validate_names(files, refuse)
    _validate_stacks(screen, refuse)
    if files.layout == "manifest":
        return  # the parts are the columns of the table
    known = {*(parts[0] if parts else ()), *_PARTS.get(files.reader, ())}
    within = {*Z_PARTS, *TIME_PARTS}  # planes of a file need not be parts
    illumination = (screen.illumination.images or "").replace("{channel}", "")
    templates |= {"illumination.images": illumination}
    templates |= {"files.only": "".join(f"{{{name}}}" for name in files.only if name not in within)}
    for key, template in (templates | built).items():
        allowed = known if key in built else known | set(files.parts)
        unknown = set(PART.findall(template)) - allowed
        if unknown:
            like = meant(min(unknown), allowed)
            refuse(
                f"{key} names {{{shown(min(unknown))[1:-1]}}}{like}", f"one of the parts {sorted(allowed)}"
            )


def _validate_patterns(patterns: list[str], refuse: Callable[..., None]) -> None:
    """Check the parts that patterns name."""
    for pattern in patterns:
        if "{channel:" in pattern:
            refuse(f"files.pattern {shown(pattern)}", "{channel} without a type")
        if set(_PATTERN_PART.sub("", pattern)) & set("{}"):
            refuse(
                f"files.pattern {shown(pattern)}",
                "parts as {name}, {name:d}, {name:3d}, {name:well} or {name:hex}, and no other braces",
            )
        if touching := _TOUCHING.search(pattern):
            first, name, second, other = touching.groups()
            widths = f"{{{other}:2d}}" if first.endswith(":well}") else f"{{{name}:3d}}{{{other}:3d}}"
            refuse(
                f"files.pattern {shown(pattern)}, in which {first} and {second} touch",
                "text between two numbers, or a fixed number of digits",
                f"Write the number of digits: {widths}, if there are {3 - first.endswith(':well}')}.",
            )
        if len(pattern) > _LONGEST_PATTERN:
            refuse(f"files.pattern {shown(pattern)}", f"at most {_LONGEST_PATTERN} characters")


def _validate_names(files: Files, refuse: Callable[..., None]) -> None:
    """Check the names of built parts, and the patterns of excluded files."""
    for name in files.parts:
        if not re.fullmatch(r"[^\W\d]\w*", name) or name in ("channel", "_") or len(name) > LONGEST_NAME:
            refuse(f"files.parts names {shown(name)}", "letters, digits and _, not channel")
    for pattern in files.exclude:
        if not pattern.strip("/* ") or len(pattern) > _LONGEST_PATTERN or set(pattern) & set("{}"):
            refuse(
                f"files.exclude {shown(pattern)}",
                f"a name or a path under the root, of at most {_LONGEST_PATTERN} characters, without braces",
                "Write the name with * for any text, as *_mask.tif, or a folder as masks/.",
            )
        if pattern.startswith("/") or ".." in pattern.split("/"):
            refuse(f"files.exclude {shown(pattern)}", "a path relative to the root, below it")


def _validate_stacks(screen: Screen, refuse: Callable[..., None]) -> None:
    """Check that the spec gives one rule for the focal planes, and one for the times."""
    files = screen.files
    for names in (Z_PARTS, TIME_PARTS):
        if len(given := [name for name in names if name in files.only]) > 1:
            refuse(f"files.only for {' and '.join(given)}, which are the same", "one of them")
    if len(files.project) > 1:
        refuse("files.project for z and plane, which are the same", "one of them")
    if files.project and set(Z_PARTS) & files.only.keys():
        refuse("both files.project and files.only for focal planes", "one of them")
    named = {*PART.findall(files.image_id), *PART.findall(screen.shards.by or "")} & set(Z_PARTS)
    if files.project and named:
        refuse(f"files.project, and a template that names {{{min(named)}}}", "one of them")
    if files.project and files.layout == "hdf5":
        refuse("files.project with layout hdf5", "no projection: these archives hold cells of one plane")


def problem_among(screens: Mapping[str, Screen], name: str) -> SpecError | None:
    """An error if the other screens that the encoder of a screen depends on cannot give what it needs."""
    return _borrowed_twice(screens, name) or _circle(screens, name)


def _borrowed_twice(screens: Mapping[str, Screen], name: str) -> SpecError | None:
    """An error if a screen borrows the encoder of a screen that trains none, because it borrows one itself."""
    path = [name]
    while (screen := screens.get(path[-1])) is not None and screen.encoder_from is not None:
        if screen.encoder_from in path:
            path.append(screen.encoder_from)
            remedy = (
                f"Remove encoder_from from the spec of the screen that shall train: {' or '.join(path[:-1])}."
            )
            break
        path.append(screen.encoder_from)
    else:
        remedy = f"Write `encoder_from: {path[-1]}`."
    if len(path) < 3:  # the screen, and one that trains
        return None
    return SpecError(
        f"screen {name}",
        found=f"encoder_from {path[1]}, which trains no encoder: {' borrows from '.join(path)}",
        required="a screen that trains its own encoder",
        remedy=remedy,
    )


def _circle(screens: Mapping[str, Screen], name: str) -> SpecError | None:
    """An error if the training of a screen's own encoder depends on this encoder, through other screens.

    A training that leaves out variable proteins depends on the features that ranked them, and thus on their encoder.
    """
    path, following = [name], None
    while (screen := screens.get(path[-1])) is not None:
        leave_out = screen.encoder.leave_out
        following = screen.encoder_from or (leave_out.variable_in if leave_out is not None else None)
        if following is None or following in path:
            break
        path.append(following)
    if following != name or screens[name].encoder_from is not None:
        return None
    return SpecError(
        f"screen {name}",
        found=f"an encoder that depends on itself: {' needs '.join([*path, name])}",
        required="a first round, whose encoder leaves nothing out",
        remedy="Remove encoder.leave_out from the spec of the first round.",
    )


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
