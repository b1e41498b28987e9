"""`pcip check`: what pcip finds in a screen and what is wrong with it; no result is written."""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import click

from pcip_assets.cli.simulated import ensure_simulated
from pcip_assets.workspace import Workspace
from pcip_core.errors import ImageFileError, PcipError
from pcip_core.images.annotations import unlisted
from pcip_core.images.field import Field
from pcip_core.images.layout import Layout, scan
from pcip_core.images.localization import annotated_images
from pcip_core.spec.screen import Screen
from pcip_core.spec.training import START_CHANNELS

_SHOWN = 5  # files or images named in one line
_SAMPLED_SHARDS = 10  # evenly spaced
_SAMPLED_FIELDS = 3  # at least, also of a single shard: one well may be empty
_SAMPLED_IMAGES = 40  # of a shard whose images are single cells


@click.command("check")
@click.argument("screen")
@click.option("--root", metavar="FOLDER", help="Folder of the screen's images, for this check only.")
def command(screen: str, root: str | None) -> None:
    """Report what pcip finds in SCREEN, and what is wrong, before any work.

    SCREEN is the path of a spec, or the name of a known screen. The report counts channels, fields, images,
    shards and localization terms, names files that belong to no field, and segments one field of some shards.
    The exit code is 1 if the screen cannot be run, or if no cell of these fields can be used.
    """
    workspace = Workspace.current()
    path = workspace.spec_path(screen)
    loaded = workspace.load(path, root=root)
    workspace.check_unique(loaded.name, path)
    ensure_simulated(loaded)
    if not print_check(loaded):
        sys.exit(1)


def print_check(screen: Screen) -> bool:
    """Print the report; return False if the screen cannot be run."""
    layout = scan(screen)
    annotated = annotated_images(screen, layout.fields)
    missing = Counter(name for field in layout.fields for name in screen.channels if name not in field.files)
    absent = [name for name, n in missing.items() if n == len(layout.fields)]
    click.secho(f"{screen.name}: {screen.description}", bold=True)
    _print_line("root", screen.root)
    _print_line("layout", screen.files.layout)
    for name, channel in screen.channels.items():
        _print_line("channel", f"{name} ({channel.role}): {len(layout.fields) - missing[name]} planes")
    if (start := screen.encoder.start) != "none":
        new = [name for name in screen.structural if name not in START_CHANNELS[start]]
        unknown = (
            f"; {', '.join(new)}: not among its channels {', '.join(START_CHANNELS[start])}" if new else ""
        )
        _print_line("encoder", f"starts from that of {start}{unknown}")
    n_images, n_shards = len(annotated.records), len(layout.shards())
    _print_line("fields", f"{len(layout.fields)} in {n_images} images, {n_shards} shards")
    terms = Counter(term for image in annotated.records for term in image.localization)
    _print_line("terms", ", ".join(f"{term} ({n})" for term, n in terms.most_common()) or "none")
    if screen.images.annotations is not None:
        _print_line("annotations", annotated)
    if layout.unclaimed:
        shown = ", ".join(layout.unclaimed[:_SHOWN])
        _print_line("unclaimed", f"{len(layout.unclaimed)} files belong to no field: {shown}")
    folders = [path for path in layout.unclaimed if path.endswith("/")]
    problems = _unlisted_problems(screen, layout, n_images)
    if folders:
        shown = ", ".join(folders[:_SHOWN])
        problems.append(f"{len(folders)} folders are links or must not be read, and are left out: {shown}")
    problems += [
        f"channel {name}: no file for {n} of {len(layout.fields)} fields" for name, n in missing.items()
    ]
    problems += layout.problems()[:_SHOWN] + _program_problems(screen)
    n_cells = 0
    if not absent:
        sampled, n_cells = _sample(screen, layout)
        problems += sampled
    for problem in problems:
        _print_line("problem", problem, fg="yellow")
    if absent:
        click.secho(f"  cannot run: channel {', '.join(absent)} has no files at all", fg="red")
    elif not n_cells:
        click.secho("  cannot run: no cell of the sampled fields can be used", fg="red")
    elif not problems:
        click.secho("  no problem found", fg="green")
    return n_cells > 0


def _print_line(label: str, text: object, **style: str) -> None:
    click.secho(f"  {label:<11} {text}", **style)  # type: ignore[arg-type]


def _unlisted_problems(screen: Screen, layout: Layout, n_images: int) -> list[str]:
    """Print how many images the platemap and the table describe; return a problem for each that lacks some."""
    problems = []
    for table, images in unlisted(screen, layout.fields).items():
        label = "platemap" if table == screen.images.platemap else "table"
        _print_line(label, f"{n_images - len(images)} of {n_images} images have a row")
        if images:
            problems.append(f"{table}: no row for {len(images)} images: {', '.join(images[:_SHOWN])}")
    return problems


def _program_problems(screen: Screen) -> list[str]:
    """Print the feature sets by programs; return a problem for each program that cannot be used."""
    problems = []
    for name, features in screen.features.items():
        if features.program is None:
            _print_line("features", f"{name}: {' and '.join(features.combine)}")
            continue
        from pcip_core.features.programs import open_program

        checked = "" if features.reference is None else ", gives its reference"
        try:
            open_program(name, features)
            _print_line("features", f"{name}: {Path(features.program).name}{checked}")
        except PcipError as error:
            problems.append(str(error))
    return problems


def _sample(screen: Screen, layout: Layout) -> tuple[list[str], int]:
    """Segment and cut a few fields of some shards, in different wells, and print the number of cells.

    Returns:
        The problems, and the number of cells that pass.
    """
    from pcip_core.crops.shard import cut_shard

    single = replace(
        screen, crops=replace(screen.crops, min_cells=1)
    )  # cells are counted by image, not by field
    shards = layout.shards()
    chosen = shards[:: -(-len(shards) // _SAMPLED_SHARDS)]
    each = -(-_SAMPLED_FIELDS // len(chosen))
    problems, passing = [], 0
    for number, shard in enumerate(chosen):
        fields = layout.of_shard(shard)
        places = [(number + part * len(chosen)) / (each * len(chosen)) for part in range(each)]
        sample = [fields[place] for place in sorted({int(len(fields) * place) for place in places})]
        if screen.segmentation.method == "whole":
            sample = fields[:_SAMPLED_IMAGES]
        try:
            cells = cut_shard(single, sample)
        except ImageFileError as error:
            problems.append(str(error))
            continue
        files = [f"{row.file}: {row.reason}" for row in cells.rejected if row.what == "file"]
        n = len(cells.pixels)
        passing += n
        problems += files
        _print_line("sample", f"{shard}: {cells.found} cells in {len(sample)} field(s), {n} pass")
        if n:
            problems += _scarce(screen, sample, fields, n / len(sample))
        elif not files:
            reasons = _counted(row.reason for row in cells.rejected if row.what == "cell")
            names = ", ".join(field.field_id for field in sample[:_SHOWN])
            problems.append(f"{names}: none of {cells.found} cells passes{reasons}")
    return problems, passing


def _scarce(screen: Screen, sample: list[Field], fields: list[Field], per_field: float) -> Iterator[str]:
    """The problem of images that will have too few cells, if all fields have as many as the sample."""
    least = screen.crops.min_cells
    in_image = Counter(field.image_id for field in fields)
    if screen.segmentation.method == "whole":
        scarce = [image_id for image_id, count in in_image.items() if count < least]
        if scarce:
            yield (
                f"{len(scarce)} of {len(in_image)} images of {fields[0].shard} have fewer cells than crops.min_cells "
                f"({least}): {', '.join(scarce[:_SHOWN])}"
            )
    elif (about := per_field * in_image[sample[0].image_id]) < least:
        yield f"{sample[0].image_id}: about {about:.0f} cells in its fields, fewer than crops.min_cells ({least})"


def _counted(reasons: Iterable[str]) -> str:
    """The most frequent reasons, each with its count; those that differ in numbers only are one."""
    kinds: dict[str, list[str]] = {}
    for reason in reasons:
        kinds.setdefault(re.sub(r"[0-9.]+", "#", reason), []).append(reason)
    most = sorted(kinds.values(), key=len, reverse=True)[:3]
    return "".join(f"; {len(members)}: {members[0]}" for members in most)
