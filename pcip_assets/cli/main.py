"""The command line. Errors of the user's making end in one line, not in a traceback."""

import sys
import time
from pathlib import Path

import click

from pcip_assets.workspace import DAGSTER_PORT, MLFLOW_PORT, Workspace
from pcip_core.errors import PcipError

_DEMO = ("simulated_human", "simulated_yeast")
_PATH = click.Path(path_type=Path)
_ROOT = click.option("--root", metavar="FOLDER", help="Where the screen's images lie; remembered.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Paired cell inpainting: from a folder of images to single-cell features, with lineage."""


@cli.command()
@click.argument("screen")
@_ROOT
@click.option(
    "--shards", metavar="A,B,...", help="Only these shards (neighbours in their order); default: all."
)
@click.option("--retrain", is_flag=True, help="Train a new encoder although there is one.")
@click.option("--baselines", is_flag=True, help="Score other feature sets beside those of the encoder.")
@click.option("--analyses", is_flag=True, help="Cluster the proteins, and test what clusters are known for.")
def run(
    screen: str, root: str | None, shards: str | None, *, retrain: bool, baselines: bool, analyses: bool
) -> None:
    """Bring SCREEN (a spec file, or the name of a known screen) up to date."""
    from pcip_assets.cli.check import print_results

    workspace = Workspace.current()
    chosen = shards.split(",") if shards else None
    _run(workspace, screen, root, chosen, retrain=retrain, baselines=baselines, analyses=analyses)
    print_results(workspace, [workspace.find(screen).name])


def _run(
    workspace: Workspace,
    name: str,
    root: str | None,
    shards: list[str] | None,
    *,
    retrain: bool = False,
    baselines: bool = False,
    analyses: bool = False,
) -> None:
    from pcip_assets.cli.run import run_screen
    from pcip_assets.simulated import ensure_simulated

    screen = workspace.find(name, root=root)
    ensure_simulated(screen)
    click.secho(f"{screen.name}: {screen.description or screen.organism}", bold=True)
    start = time.perf_counter()
    outcome = run_screen(
        workspace, screen, shards=shards, retrain=retrain, baselines=baselines, analyses=analyses
    )
    for warning in outcome.warnings:
        click.secho(f"  {warning}", fg="yellow")
    if not outcome.success:
        raise click.ClickException(f"{outcome.error}\n(Dagster run {outcome.run_id})")
    click.echo(f"  done in {time.perf_counter() - start:.0f} s (Dagster run {outcome.run_id})")


@cli.command()
def demo() -> None:
    """Simulate two screens and take them from images to benchmark; leave one plate for you to add."""
    from pcip_assets.cli.check import print_next_steps, print_results
    from pcip_assets.simulated import demo_shards

    workspace = Workspace.current()
    start = time.perf_counter()
    for name in _DEMO:
        _run(workspace, name, None, demo_shards(workspace.find(name)))
    print_results(workspace, list(_DEMO))
    print_next_steps(workspace, workspace.find(_DEMO[0]))
    click.echo(f"\nThe whole demo took {time.perf_counter() - start:.0f} s.")


@cli.command()
@click.argument("screen")
@_ROOT
def check(screen: str, root: str | None) -> None:
    """Say what would be found in SCREEN and what is wrong, before any work."""
    from pcip_assets.cli.check import print_check
    from pcip_assets.simulated import ensure_simulated

    workspace = Workspace.current()
    path = workspace.spec_path(screen)
    loaded = workspace.load(path, root=root)
    workspace.check_unique(loaded.name, path)
    ensure_simulated(loaded)
    if not print_check(loaded):
        sys.exit(1)


@cli.command()
@click.argument("screen")
@click.argument("seeds", nargs=-1, required=True)
@click.option("-n", "count", default=20, show_default=True, help="How many.")
@click.option("--by", "feature_set", metavar="SET", help="Feature set; default: the spec's of analyses.")
def like(screen: str, seeds: tuple[str, ...], count: int, feature_set: str | None) -> None:
    """Find what is most like SEEDS, proteins or cells of SCREEN; a gallery of crops is written beside."""
    from pcip_assets.cli.check import print_alike

    workspace = Workspace.current()
    print_alike(workspace, workspace.find(screen), list(seeds), count, feature_set)


@cli.command()
@click.option("--dagster-port", default=DAGSTER_PORT, show_default=True)
@click.option("--mlflow-port", default=MLFLOW_PORT, show_default=True)
def ui(dagster_port: int, mlflow_port: int) -> None:
    """Serve the Dagster and MLflow pages on 127.0.0.1 until Ctrl-C."""
    from pcip_assets.cli.ui import serve

    serve(Workspace.current(), dagster_port=dagster_port, mlflow_port=mlflow_port)


@cli.command()
@click.argument("name", required=False)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Where to write the rows.")
@click.option("--all", "every", is_flag=True, help="Run all but the long ones, one after the other.")
@click.option("--summary", is_flag=True, help="Write the results of record into docs/performance.md.")
def bench(name: str | None, json_file: Path | None, *, every: bool, summary: bool) -> None:
    """Run benchmark NAME and print its table; without NAME list the benchmarks and what they take."""
    from pcip_assets.cli.bench import print_benchmarks, run_all, run_benchmark
    from pcip_assets.cli.bench_summary import write_summary

    if summary:
        write_summary()
    elif every:
        run_all()
    elif name is None:
        print_benchmarks()
    else:
        run_benchmark(name, json_file)


@cli.group(invoke_without_command=True)
@click.pass_context
def fetch(context: click.Context) -> None:
    """Get the images of a known screen; without a subcommand list what can be had, and how."""
    from pcip_assets.cli.fetch import print_sources

    if context.invoked_subcommand is None:
        print_sources()


@fetch.command("hpa")
@click.option("--proteins", "list_file", required=True, type=_PATH, metavar="FILE", help="Ids or names.")
@click.option("--to", "root", required=True, type=_PATH, metavar="FOLDER", help="Where the images go.")
@click.option("--column", metavar="NAME", help="Column of FILE that holds the genes; default: found out.")
@click.option("--genes-table", type=_PATH, metavar="FILE", help="To look names up in; default: the atlas'.")
@click.option("--base-url", metavar="URL", help="The atlas; https://v18.proteinatlas.org is the paper's.")
@click.option("--image-base-url", metavar="URL", help="A mirror of the images; default: as the pages say.")
@click.option("--channels", metavar="A,B,...", help="blue,red,green,yellow; default: blue_red_green (RGB).")
@click.option("--format", "extension", help="jpg, png, tif or tif.gz; default: jpg.")
@click.option("--rate", "rate_per_s", type=float, help="Requests a second; default: 2.")
@click.option("--connections", type=int, help="Connections at one time; default: 4.")
@click.option("--attempts", type=int, help="Tries a file; default: 5.")
def fetch_hpa(list_file: Path, root: Path, column: str | None, **options: object) -> None:
    """Fetch the Human Protein Atlas' images of the genes in FILE (Ensembl ids or names) to FOLDER."""
    from pcip_assets.cli.fetch import fetch_atlas

    if not fetch_atlas(
        list_file, root, column, {name: one for name, one in options.items() if one is not None}
    ):
        sys.exit(1)


@fetch.command("check")
@click.argument("name")
@click.argument("folder", type=_PATH)
def fetch_check(name: str, folder: Path) -> None:
    """Say whether FOLDER holds what is expected of archive NAME, which you have fetched by hand."""
    from pcip_assets.cli.fetch import print_archive_check

    if not print_archive_check(name, folder):
        sys.exit(1)


def main() -> None:
    """Entry point of the `pcip` command."""
    try:
        cli(standalone_mode=False)
    except PcipError as error:
        click.secho(f"pcip: {error}", fg="red", err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
