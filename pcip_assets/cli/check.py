"""What the command line prints: the check of a spec, the table of results, the next steps."""

import os
from collections import Counter

import click

from pcip_assets.workspace import DAGSTER_PORT, MLFLOW_PORT, REPOSITORY, Workspace
from pcip_core.errors import ImageFileError, PcipError
from pcip_core.images.annotations import unlisted
from pcip_core.images.layout import Layout, scan
from pcip_core.images.localization import annotated_images
from pcip_core.spec.screen import Screen
from pcip_core.store.publish import connect

_SHOWN = 5
_SAMPLED = 10  # shards, evenly chosen


def print_check(screen: Screen) -> bool:
    """Print what is under the root and what is wrong; False when the screen cannot be run as it is."""
    layout = scan(screen)
    annotated = annotated_images(screen, layout.fields)
    images = annotated.records
    missing = Counter(name for one in layout.fields for name in screen.channels if name not in one.files)
    click.secho(f"{screen.name}: {screen.description}", bold=True)
    click.echo(f"  root        {screen.root}")
    click.echo(f"  layout      {screen.files.layout}")
    for name, channel in screen.channels.items():
        files = len(layout.fields) - missing[name]
        click.echo(f"  channel     {name} ({channel.role}): {files} planes")
    click.echo(f"  fields      {len(layout.fields)} in {len(images)} images, {len(layout.shards())} shards")
    labels = Counter(term for image in images for term in image.localization)
    click.echo(f"  terms       {', '.join(f'{term} ({n})' for term, n in labels.most_common()) or 'none'}")
    if screen.images.annotations is not None:
        click.echo(f"  annotations {annotated}")
    problems = _unlisted(screen, layout, len(images)) + [
        f"channel {name}: no file for {n} of {len(layout.fields)} fields" for name, n in missing.items()
    ]
    if layout.unclaimed:
        shown = ", ".join(layout.unclaimed[:_SHOWN])
        click.echo(f"  unclaimed   {len(layout.unclaimed)} files belong to no field: {shown}")
    absent = [name for name, n in missing.items() if n == len(layout.fields)]
    problems += _first_field_problems(screen) if not absent else []
    for problem in problems:
        click.secho(f"  problem     {problem}", fg="yellow")
    if absent:
        click.secho(f"  cannot run: channel {', '.join(absent)} has no files at all", fg="red")
    elif not problems:
        click.secho("  nothing wrong was found", fg="green")
    return not absent


def _unlisted(screen: Screen, layout: Layout, n_images: int) -> list[str]:
    """Images that the platemap or the table has no row for."""
    problems = []
    for table, images in unlisted(screen, layout.fields).items():
        label = "platemap" if table == screen.images.platemap else "table"
        click.echo(f"  {label:<11} {n_images - len(images)} of {n_images} images have a row")
        if images:
            problems.append(f"{table}: no row for {len(images)} images: {', '.join(images[:_SHOWN])}")
    return problems


def _first_field_problems(screen: Screen) -> list[str]:
    """Decode, segment and cut the first field of some shards; print how many cells it gives."""
    from pcip_core.crops.shard import cut_shard

    problems, layout = [], scan(screen)
    shards = layout.shards()
    for shard in shards[:: -(-len(shards) // _SAMPLED)]:
        members = layout.of_shard(shard)
        sample = members[:40] if screen.segmentation.method == "whole" else members[:1]
        try:
            cells = cut_shard(screen, sample)
        except ImageFileError as error:
            problems.append(str(error))
            continue
        problems += [f"{row.file}: {row.reason}" for row in cells.rejected if row.what == "file"]
        click.echo(
            f"  sample      {shard}: {cells.found} cells in {len(sample)} field(s), {len(cells.pixels)} pass"
        )
    return problems


def print_results(workspace: Workspace, screens: list[str]) -> None:
    """The published benchmark scores of these screens, each feature set a row."""
    from rich.console import Console
    from rich.table import Table

    con = connect(workspace.published)
    for name in screens:
        about = con.execute(
            "SELECT n_images, n_cells, simulated FROM main.screens WHERE screen = ?", [name]
        ).fetchone()
        if about is None:
            raise PcipError(
                name, found="no published screen", required="a finished run", remedy=f"pcip run {name}"
            )
        rows = con.execute(
            "SELECT feature_set, protocol, value FROM main.benchmarks WHERE screen = ? AND label IS NULL "
            "AND metric = 'balanced_accuracy' AND parameter = 'k=11'",
            [name],
        ).fetchall()
        protocols = sorted({protocol for _, protocol, _ in rows}, reverse=True)
        scores = {(feature_set, protocol): value for feature_set, protocol, value in rows}
        note = "simulated images" if about[2] else "real images"
        table = Table(title=f"{name} ({note}): {about[0]} images, {about[1]} cells; balanced accuracy, 11-NN")
        table.add_column("feature set")
        for protocol in protocols:
            table.add_column(protocol.replace("_", " "), justify="right")
        for feature_set in sorted(
            {f for f, _ in scores}, key=lambda f: [-scores.get((f, protocol), 0.0) for protocol in protocols]
        ):
            cells = [
                f"{scores[feature_set, p]:.3f}" if (feature_set, p) in scores else "-" for p in protocols
            ]
            table.add_row(feature_set, *cells)
        Console().print(table)
        pages = {
            "all scores and figures": workspace.benchmark_report(name),
            "all analyses": workspace.analysis_report(name),
        }
        for what, page in pages.items():
            if page.is_file():
                click.echo(f"{what}: {page}")
    con.close()


def print_next_steps(workspace: Workspace, screen: Screen) -> None:
    """Three things to do after the demo."""
    shards = scan(screen).shards()
    published = os.path.relpath(workspace.published)
    pcip = "make ui" if workspace.data == REPOSITORY / "data" else "pcip ui"
    click.secho("\nNext:", bold=True)
    click.echo(
        f"  1. {pcip}, open http://127.0.0.1:{DAGSTER_PORT}, and materialize {screen.name}/{shards[-1]}, "
        "the plate that was left for you (Jobs, "
        f"{screen.name}_features, partition {shards[-1]})"
    )
    click.echo(f"  2. Query the features (duckdb {published}, or .venv/bin/python -c 'import duckdb; ...'):")
    click.echo(
        f"       SELECT * FROM {screen.name}.similar_cells('inpainting_conv4', "
        f"(SELECT min(cell_id) FROM {screen.name}.cells), 10);"
    )
    click.echo(f"  3. Compare trainings in MLflow: http://127.0.0.1:{MLFLOW_PORT}, experiment {screen.name}")


def print_alike(
    workspace: Workspace, screen: Screen, seeds: list[str], n: int, feature_set: str | None
) -> None:
    """What is most like the seeds, nearest first, and where its gallery lies."""
    from rich.console import Console
    from rich.table import Table

    from pcip_assets.assets.analyses.nearest import find_alike
    from pcip_core.plots.pictures import save_png
    from pcip_core.store.partitions import Store

    chosen = feature_set or screen.analyses.feature_set
    found = find_alike(Store(workspace.store), screen, seeds, n=n, feature_set=chosen)
    note = "simulated images" if screen.simulated else "real images"
    table = Table(title=f"{screen.name} ({note}): like {', '.join(seeds)}, by {chosen}")
    for column in found.rows[0] if found.rows else ():
        table.add_column(column, justify="right" if column in ("distance", "clade") else "left")
    for row in found.rows:
        table.add_row(*(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()))
    Console().print(table)
    path = workspace.figure(screen.name, f"like_{'_'.join(seeds)[:60]}")
    click.echo(f"gallery: {save_png(found.figure, path)}")
