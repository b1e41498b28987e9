"""`pcip like`: the proteins or cells most similar to given ones, as a table and a gallery of crops."""

import hashlib
from collections.abc import Sequence

import click
from rich.console import Console
from rich.table import Table

from pcip_assets.cli.results import row_of
from pcip_assets.workspace import Workspace
from pcip_core.words import escaped

_LONGEST = 60  # characters of the seeds in the name of a figure


@click.command("like")
@click.argument("screen")
@click.argument("seeds", nargs=-1, required=True)
@click.option(
    "-n",
    "count",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Number of proteins or cells to list.",
)
@click.option(
    "--by",
    "feature_set",
    metavar="SET",
    help="Feature set to compare by; default: `analyses.feature_set` of the spec.",
)
def command(screen: str, seeds: tuple[str, ...], count: int, feature_set: str | None) -> None:
    """List what is most similar to SEEDS: proteins if SEEDS are proteins of SCREEN, cells if they are cell ids.

    The nearest come first. A gallery of their crops is written as a PNG file.
    """
    from pcip_assets.assets.analyses.nearest import find_nearest
    from pcip_core.plots.pictures import save_png
    from pcip_core.store.partitions import Store

    workspace = Workspace.current()
    path = workspace.spec_path(screen)
    loaded = workspace.load(path)  # `find` would record it, which needs permission to write
    workspace.check_unique(loaded.name, path)
    chosen = feature_set or loaded.feature_set
    seeds = tuple(dict.fromkeys(seeds))
    nearest = find_nearest(Store(workspace.store), loaded, list(seeds), n=count, feature_set=chosen)
    click.secho(f"{loaded.title}: most similar to {escaped(', '.join(seeds))}, by {chosen}", bold=True)
    table = Table()
    for column in nearest.table.columns:
        table.add_column(column, justify="right" if column in ("distance", "clade") else "left")
    for row in nearest.table.iter_rows():
        table.add_row(*row_of(row))
    Console().print(table)
    picture = workspace.figure(loaded.name, figure_name(seeds, chosen, count))
    click.echo(f"gallery: {save_png(nearest.figure, picture)}")


def figure_name(seeds: Sequence[str], feature_set: str, count: int) -> str:
    """The name of a gallery; each question has its own.

    >>> figure_name(["SIMP001"], "agreement_conv5", 20)
    'like_SIMP001_by_agreement_conv5_20'
    """
    text = "_".join(seeds)
    if len(text) > _LONGEST:  # a file name has at most 255 bytes
        text = f"{text[:_LONGEST]}_{hashlib.blake2b(chr(0).join(seeds).encode(), digest_size=4).hexdigest()}"
    return f"like_{text}_by_{feature_set}_{count}"
