"""`pcip ui`: the Dagster and MLflow pages of one workspace, on 127.0.0.1 only."""

import os
import signal
import socket
import subprocess
import sys
import time

import click

from pcip_assets.workspace import DAGSTER_PORT, MLFLOW_PORT, REPOSITORY, Workspace
from pcip_core.errors import PcipError, RootError

HOST = "127.0.0.1"
_STOPPING_S = 20  # that a server has to stop by itself


@click.command("ui")
@click.option("--dagster-port", default=DAGSTER_PORT, show_default=True, help="Port of the Dagster pages.")
@click.option("--mlflow-port", default=MLFLOW_PORT, show_default=True, help="Port of the MLflow pages.")
def command(dagster_port: int, mlflow_port: int) -> None:
    """Serve the Dagster and MLflow pages on 127.0.0.1 until you press Ctrl-C.

    Dagster shows every result with its inputs, code and runs, and materializes shards. MLflow compares trainings.
    """
    serve(Workspace.current(), dagster_port=dagster_port, mlflow_port=mlflow_port)


def serve(workspace: Workspace, *, dagster_port: int, mlflow_port: int) -> None:
    """Start both servers and wait; Ctrl-C or SIGTERM stops both.

    Raises:
        PcipError: a port is in use.
    """
    from pcip_assets.cli.run import dagster_home

    for port in (dagster_port, mlflow_port):
        _require_free(port)
    _register_screens(workspace)
    workspace.mlflow_folder.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(dagster_home(workspace)),
        "PCIP_DATA": str(workspace.data),
        "PCIP_MLFLOW_PORT": str(mlflow_port),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    dagster = [sys.executable, "-m", "dagster", "dev", "-h", HOST, "-p", str(dagster_port)]
    mlflow = [
        sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(mlflow_port),
        "--workers", "1",
        "--backend-store-uri", workspace.mlflow_uri,
        "--artifacts-destination", str(workspace.mlflow_folder / "artifacts"),
    ]  # fmt: skip
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell in the background ignores SIGINT by default
        signal.signal(number, _interrupt)
    servers = [subprocess.Popen(server, cwd=REPOSITORY, env=environment) for server in (dagster, mlflow)]
    click.secho(
        f"Dagster http://{HOST}:{dagster_port}   MLflow http://{HOST}:{mlflow_port}   (Ctrl-C stops both)",
        bold=True,
    )
    try:
        while all(server.poll() is None for server in servers):
            time.sleep(0.5)
    except KeyboardInterrupt:
        pass
    finally:
        _stop(servers)


def _register_screens(workspace: Workspace) -> None:
    """Register the shards of every known screen, so that the pages show them; name screens that are left out."""
    from pcip_assets.cli.run import open_instance
    from pcip_assets.partitions import register_shards

    instance = open_instance(workspace)
    screens, problems = workspace.screens()
    for problem in problems:
        click.secho(f"screen left out: {problem}", fg="yellow", err=True)
    for screen in screens.values():
        try:
            register_shards(instance, screen)
        except RootError:
            continue  # a screen without images has no shards yet
        except PcipError as problem:
            click.secho(f"shards left out: {problem}", fg="yellow", err=True)


def _stop(servers: list[subprocess.Popen[bytes]]) -> None:
    for server in servers:
        if server.poll() is None:
            server.send_signal(signal.SIGINT)
    for server in servers:
        try:
            server.wait(_STOPPING_S)
        except subprocess.TimeoutExpired:
            server.kill()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise PcipError(
                f"{HOST}:{port}",
                found="the port in use",
                required="a free port",
                remedy="Stop the other server, or choose another port with --dagster-port or --mlflow-port.",
            ) from error
