"""The command `pcip`: the group of all commands, and how errors end.

Each command is a file of this folder with the attribute `command`. It is imported when it is called, so that
`pcip --help` answers at once. An error that the user can mend ends in one message, not in a traceback.
"""

import importlib
import sys
from typing import NoReturn

import click

from pcip_core.errors import PcipError, WriteError
from pcip_core.words import escaped_lines

COMMANDS = {
    "demo": "Simulate two screens and take them from images to scores.",
    "init": "Make a workspace, or propose a spec for a folder of images.",
    "fetch": "Download images, or check images that you downloaded.",
    "check": "Report what pcip finds in a screen, before any work.",
    "run": "Take a screen from images to features and scores.",
    "like": "List the proteins or cells most similar to given ones.",
    "browse": "Look at cells on a page, label them, train a classifier.",
    "napari": "Open a field with its cells and their features in napari.",
    "sql": "Query the published tables in SQL.",
    "units": "Show the cells that a feature responds to, and where in them.",
    "export": "Write results as AnnData, profiles, OME-Zarr, or a program.",
    "publish": "Bring the published file up to date with the results, or rebuild it.",
    "ui": "Serve the Dagster and MLflow pages on this machine.",
    "bench": "List the benchmarks, or run one.",
}
"""Command -> its line in `pcip --help`."""
QUERIES = {"like", "browse", "napari", "sql", "units", "export"}
"""Commands on results that are there; their modules are in a folder of their own."""


class _LazyGroup(click.Group):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        folder = "pcip_assets.cli.queries" if cmd_name in QUERIES else "pcip_assets.cli"
        command: click.Command = importlib.import_module(f"{folder}.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pcip", message="pcip %(version)s")
def cli() -> None:
    """Paired cell inpainting: single-cell features from microscopy images, with lineage.

    Start with `pcip demo --small` in an empty folder. For your own images, `pcip init FOLDER_OF_IMAGES` proposes a
    spec and checks it; then `pcip run NAME`. The current folder is the workspace: all results are written under its
    folder data/, or under the folder PCIP_DATA.
    """


def main() -> None:
    """Entry point of the command `pcip`."""
    try:
        cli(prog_name="pcip", standalone_mode=False)
    except PcipError as error:
        _end(error)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except Exception as error:
        from pcip_assets.servers.postgres import of_server
        from pcip_assets.workspace import Workspace

        inside = Workspace.current().data
        explained = of_server(error, f"a database of {inside}") or WriteError.of(error, inside=inside)
        if explained is None:
            raise
        _end(explained)


def _end(error: PcipError) -> NoReturn:
    """Print an error, in which names of files may hold any character, and exit."""
    click.secho(f"pcip: {escaped_lines(str(error))}", fg="red", err=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
