"""`pcip units`: what a unit of a feature set, or a direction, responds to."""

import click
from rich.console import Console
from rich.table import Table

from pcip_assets.cli.results import row_of
from pcip_assets.workspace import Workspace


@click.command("units")
@click.argument("screen")
@click.argument("feature_set")
@click.argument("unit")
def command(screen: str, feature_set: str, unit: str) -> None:
    """List the cells of SCREEN with the highest and the lowest values of a feature, and draw them.

    UNIT is the number of a feature of FEATURE_SET, from 0, or a direction between two localization terms:
    Cytosol..Nucleoli. A figure with their crops, and occlusion maps of the highest, is written as a PNG file.
    """
    from pcip_assets.assets.units.shown import direction_of, ends_of, features_of_set, network_of
    from pcip_assets.tracking import Tracking
    from pcip_core.analysis.units import responses
    from pcip_core.files import file_name
    from pcip_core.plots.pictures import save_png
    from pcip_core.store.partitions import Store

    workspace = Workspace.current()
    path = workspace.spec_path(screen)
    loaded = workspace.load(path)  # `find` would record it, which needs permission to write
    workspace.check_unique(loaded.name, path)
    store = Store(workspace.store)
    features = features_of_set(store, loaded, feature_set)
    direction = direction_of(store, loaded, features, unit, f"{loaded.name}: unit of {feature_set}")
    network = network_of(Tracking(data=str(workspace.data)), loaded, feature_set)
    title = f"{'unit' if unit.isdecimal() else 'direction'} {unit} of {feature_set}"
    values = responses(features, direction)
    shown = ends_of(store, loaded, features, values, network, direction, title)
    click.secho(f"{loaded.title}: {title}", bold=True)
    table = Table(*shown.table.columns)
    for row in shown.table.iter_rows():
        table.add_row(*row_of(row))
    Console().print(table)
    if network.reason:
        click.echo(f"no occlusion maps: {network.reason}")
    picture = workspace.figure(loaded.name, file_name(f"unit_{feature_set}_{unit}"))
    click.echo(f"figure: {save_png(shown.figure, picture)}")
