"""`pcip check`: what pcip finds in a screen and what is wrong with it; no result is written."""

import sys
from collections import Counter

import click

from pcip_assets.cli.simulated import ensure_simulated
from pcip_assets.workspace import Workspace
from pcip_core.errors import ImageFileError
from pcip_core.images.annotations import unlisted
from pcip_core.images.layout import Layout, scan
from pcip_core.images.localization import annotated_images
from pcip_core.spec.screen import Screen

_SHOWN = 5  # files or images named in one line
_SAMPLED_SHARDS = 10  # evenly spaced
_SAMPLED_IMAGES = 40  # of a shard whose images are single cells


@click.command("check")
@click.argument("screen")
@click.option("--root", metavar="FOLDER", help="Folder of the screen's images, for this check only.")
def command(screen: str, root: str | None) -> None:
    """Report what pcip finds in SCREEN, and what is wrong, before any work.

    SCREEN is the path of a spec, or the name of a known screen. The report counts channels, fields, images,
    shards and localization terms, names files that belong to no field, and segments one field of some shards.
    The exit code is 1 if the screen cannot be run.
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
    n_images, n_shards = len(annotated.records), len(layout.shards())
    _print_line("fields", f"{len(layout.fields)} in {n_images} images, {n_shards} shards")
    terms = Counter(term for image in annotated.records for term in image.localization)
    _print_line("terms", ", ".join(f"{term} ({n})" for term, n in terms.most_common()) or "none")
    if screen.images.annotations is not None:
        _print_line("annotations", annotated)
    if layout.unclaimed:
        shown = ", ".join(layout.unclaimed[:_SHOWN])
        _print_line("unclaimed", f"{len(layout.unclaimed)} files belong to no field: {shown}")
    problems = _unlisted_problems(screen, layout, n_images) + [
        f"channel {name}: no file for {n} of {len(layout.fields)} fields" for name, n in missing.items()
    ]
    problems += layout.problems()[:_SHOWN]
    if not absent:
        problems += _sample_problems(screen, layout)
    for problem in problems:
        _print_line("problem", problem, fg="yellow")
    if absent:
        click.secho(f"  cannot run: channel {', '.join(absent)} has no files at all", fg="red")
    elif not problems:
        click.secho("  no problem found", fg="green")
    return not absent


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


def _sample_problems(screen: Screen, layout: Layout) -> list[str]:
    """Segment and cut the first field of some shards; print the number of cells, return the problems."""
    from pcip_core.crops.shard import cut_shard

    problems, shards = [], layout.shards()
    for shard in shards[:: -(-len(shards) // _SAMPLED_SHARDS)]:
        fields = layout.of_shard(shard)
        sample = fields[:_SAMPLED_IMAGES] if screen.segmentation.method == "whole" else fields[:1]
        try:
            cells = cut_shard(screen, sample)
        except ImageFileError as error:
            problems.append(str(error))
            continue
        problems += [f"{row.file}: {row.reason}" for row in cells.rejected if row.what == "file"]
        _print_line(
            "sample", f"{shard}: {cells.found} cells in {len(sample)} field(s), {len(cells.pixels)} pass"
        )
    return problems
