"""`pcip publish`: bring the published file up to date with the store, outside any run."""

import click

from pcip_assets.workspace import Workspace
from pcip_core.store.partitions import Store
from pcip_core.store.publish import publish


@click.command("publish")
@click.option(
    "--rebuild", is_flag=True, help="Build the file from all partitions, even if nothing has changed."
)
def command(*, rebuild: bool) -> None:
    """Bring the published DuckDB file up to date with the results in the store.

    Every run does this itself. Use it when a run could not publish its results, for example because the disk was
    full, or when another program changed the file.
    """
    workspace = Workspace.current()
    result = publish(Store(workspace.store), workspace.published, rebuild=rebuild)
    if result.warning:
        click.secho(result.warning, fg="yellow", err=True)
    click.echo(f"{workspace.published}: {result}")
