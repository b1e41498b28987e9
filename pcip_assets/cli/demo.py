"""`pcip demo`: simulated screens from images to scores, and what to try next."""

import os
import time

import click

from pcip_assets.cli.init.workspace import add_template, create
from pcip_assets.cli.results import feature_set_used, print_results
from pcip_assets.cli.run import bring_up_to_date
from pcip_assets.cli.simulated import ensure_simulated
from pcip_assets.workspace import DAGSTER_PORT, MLFLOW_PORT, REPOSITORY, Workspace
from pcip_core.images.layout import scan
from pcip_core.spec.screen import Screen
from pcip_core.store.images import Images
from pcip_core.store.partitions import Store
from pcip_core.store.publish import connect
from pcip_core.words import many

SCREENS = ("simulated_human", "simulated_yeast")
SMALL = ("simulated_small",)


@click.command("demo")
@click.option("--small", is_flag=True, help="Simulate one small screen instead, in a minute or two.")
def command(*, small: bool) -> None:
    """Simulate two screens and take them from images to scores.

    It makes the current folder a workspace (see `pcip init`) and trains two small encoders, which takes some minutes on
    two cores. The last plate of each screen is left for you to add.
    """
    start = time.perf_counter()
    names = SMALL if small else SCREENS
    workspace, made = create()
    for path in [*made, *(path for name in names for path in add_template(workspace, name))]:
        click.echo(f"new: {os.path.relpath(path)}")
    screens = [workspace.find(name) for name in names]
    for screen in screens:
        ensure_simulated(screen)
        bring_up_to_date(workspace, screen, shards=scan(screen).shards()[:-1])
    print_results(workspace, list(names), {screen.name: feature_set_used(screen) for screen in screens})
    _print_next_steps(workspace, screens[0])
    if small:
        click.echo(f"\n{_no_test(workspace, screens[0])}")
    click.echo(f"\nThe demo took {time.perf_counter() - start:.0f} s.")


def _no_test(workspace: Workspace, screen: Screen) -> str:
    """What the scores of the small demo cannot tell."""
    query = "SELECT n_cells FROM main.screens WHERE screen = ?"
    with connect(workspace.published) as con:
        ((cells,),) = con.execute(query, [screen.name]).fetchall()
    return (
        f"A training of {many(screen.encoder.epochs, 'epoch')} on {many(cells, 'cell', ',')} shows that all steps "
        "work; its scores are no test of the method. `pcip demo` without --small trains longer on more cells, and "
        "`pcip bench encoders`, in a checkout, compares encoders."
    )


def _print_next_steps(workspace: Workspace, screen: Screen) -> None:
    """Four things to try after the demo."""
    last, name = scan(screen).shards()[-1], screen.name
    ui = "make ui" if workspace.data == REPOSITORY / "data" else "pcip ui"
    protein = min(Images.of(Store(workspace.store), name).protein_of.values())
    click.secho("\nNext:", bold=True)
    click.echo(f"  1. See the proteins that are most like one of them: pcip like {name} {protein} -n 10")
    click.echo("  2. Query the features in SQL:")
    click.echo(
        f"       pcip sql \"SELECT * FROM {name}.similar_cells('{screen.feature_set}', "
        f'(SELECT min(cell_id) FROM {name}.cells), 10)"'
    )
    click.echo(f"  3. Add {last}, which the demo has left out: pcip run {name}")
    click.echo(
        f"  4. See the graph of the assets in Dagster (http://127.0.0.1:{DAGSTER_PORT}, Lineage) and the training in "
        f"MLflow (http://127.0.0.1:{MLFLOW_PORT}, experiment {name}): {ui}"
    )
