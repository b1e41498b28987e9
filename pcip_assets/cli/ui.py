"""`pcip ui`: the Dagster and MLflow pages of one workspace, on 127.0.0.1 only."""

import contextlib
import os
import sys
from collections.abc import Sequence

import click
import yaml

from pcip_assets.cli.allow_host import allow_host
from pcip_assets.web import ALLOW, HOST, READ_ONLY
from pcip_assets.workspace import DAGSTER_PORT, DEFINITIONS, LOCATION, MLFLOW_PORT, Workspace
from pcip_core.errors import PcipError, RootError
from pcip_core.locks import temporary_folder
from pcip_core.words import escaped_lines

_ANSWER_S = 120  # in which pages usually answer, also on a slow machine
_PYTHON = (sys.executable, "-m")


@click.command("ui")
@click.option("--dagster-port", default=DAGSTER_PORT, show_default=True, help="Port of the Dagster pages.")
@click.option("--mlflow-port", default=MLFLOW_PORT, show_default=True, help="Port of the MLflow pages.")
@allow_host
@click.option(
    READ_ONLY,
    is_flag=True,
    help="Pages on which nobody can launch, change or delete anything; without the daemon.",
)
def command(dagster_port: int, mlflow_port: int, allowed_hosts: tuple[str, ...], *, read_only: bool) -> None:
    """Serve the Dagster and MLflow pages on 127.0.0.1 until you press Ctrl-C.

    Dagster shows every result with its inputs, code and runs, and materializes shards. MLflow compares trainings.
    Runs that were started on the pages end with them. Other web pages cannot use these (SECURITY.md).
    """
    serve(
        Workspace.current(),
        dagster_port=dagster_port,
        mlflow_port=mlflow_port,
        allowed_hosts=allowed_hosts,
        read_only=read_only,
    )


def serve(
    workspace: Workspace,
    *,
    dagster_port: int,
    mlflow_port: int,
    allowed_hosts: Sequence[str] = (),
    read_only: bool = False,
) -> None:
    """Start all servers and wait; Ctrl-C, SIGTERM or the end of the terminal stops them.

    Raises:
        PcipError: a port is in use, a name is invalid, or a server ends by itself.
    """
    from pcip_assets.recovery.moved import ensure_mlflow
    from pcip_assets.servers.instance import dagster_home
    from pcip_assets.web.guard import host_name
    from pcip_assets.web.processes import Servers, answers
    from pcip_assets.web.serving import require_free

    for port in (dagster_port, mlflow_port):
        require_free(port, "--dagster-port or --mlflow-port")
    environment = {
        **os.environ,
        ALLOW: " ".join(host_name(name) for name in allowed_hosts),
        "DAGSTER_HOME": str(dagster_home(workspace)),
        "PCIP_DATA": str(workspace.data),
        "PCIP_DAGSTER_PORT": str(dagster_port),
        "PCIP_MLFLOW_PORT": str(mlflow_port),
    }
    _register_screens(workspace)
    ensure_mlflow(workspace)
    shown = [READ_ONLY] if read_only else []
    with (
        contextlib.suppress(KeyboardInterrupt),
        temporary_folder() as folder,  # nobody else may open the socket in it
        Servers(workspace.data, environment) as servers,
    ):
        code, locations = folder / "code", folder / "workspace.yaml"
        location = {"socket": str(code), "location_name": LOCATION}
        locations.write_text(yaml.safe_dump({"load_from": [{"grpc_server": location}]}))
        servers.start("Dagster's code server", [
            *_PYTHON, "dagster", "code-server", "start", "--socket", str(code),
            "--module-name", DEFINITIONS, "--location-name", LOCATION, "--log-level", "warning",
        ])  # fmt: skip
        servers.start("MLflow's pages", [
            *_PYTHON, "pcip_assets.web.mlflow_pages", str(mlflow_port), *shown,
        ])  # fmt: skip
        servers.wait(until=code.exists)
        servers.start("Dagster's pages", [
            *_PYTHON, "pcip_assets.web.dagster_pages", str(dagster_port), str(locations), *shown,
        ], calls_others=True)  # fmt: skip
        if not read_only:
            servers.start("Dagster's daemon", [*_daemon(workspace), str(locations)], calls_others=True)
        ports = (mlflow_port, dagster_port)
        if not servers.wait(lambda: all(answers(HOST, port) for port in ports), within_s=_ANSWER_S):
            click.secho(
                f"not all pages answer after {_ANSWER_S} s; they may start later", fg="yellow", err=True
            )
        click.secho(
            f"Dagster http://{HOST}:{dagster_port}   MLflow http://{HOST}:{mlflow_port}   (Ctrl-C stops both)",
            bold=True,
        )
        servers.wait()


def _daemon(workspace: Workspace) -> list[str]:
    """The command of Dagster's daemon, of which a database of a team has one."""
    from pcip_assets.dagster_compat import DAEMON
    from pcip_assets.servers.instance import dagster_database

    if dagster_database(workspace) is not None:
        return [*_PYTHON, "pcip_assets.servers.daemon"]
    return [*DAEMON, "run", "--workspace"]


def _register_screens(workspace: Workspace) -> None:
    """Register the shards of every known screen, so that the pages show them; name screens that are left out."""
    from pcip_assets.partitions import register_shards
    from pcip_assets.servers.instance import open_instance

    screens, problems = workspace.screens()
    for problem in problems:
        click.secho(f"screen left out: {escaped_lines(str(problem))}", fg="yellow", err=True)
    if not screens:
        click.secho(
            f"the workspace {workspace.data} has no screens: `pcip demo`, or `pcip init --list`, adds some",
            fg="yellow",
            err=True,
        )
    with open_instance(workspace) as instance:
        for screen in screens.values():
            try:
                register_shards(instance, screen)
            except RootError:
                continue  # a screen without images has no shards yet
            except PcipError as problem:
                click.secho(f"shards left out: {escaped_lines(str(problem))}", fg="yellow", err=True)
