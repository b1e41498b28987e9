"""`pcip ui`: Dagster and MLflow over one workspace, on 127.0.0.1 only."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

import click

from pcip_assets.cli.run import dagster_home, open_instance
from pcip_assets.partitions import register_shards
from pcip_assets.workspace import REPOSITORY, Workspace
from pcip_core.errors import PcipError

HOST = "127.0.0.1"


def serve(workspace: Workspace, *, dagster_port: int, mlflow_port: int) -> None:
    """Start both servers and wait; Ctrl-C or SIGTERM stops both."""
    for port in (dagster_port, mlflow_port):
        _check_free(port)
    instance = open_instance(workspace)
    for screen in workspace.screens()[0].values():
        with contextlib.suppress(PcipError):  # a screen without its images simply has no shards yet
            register_shards(instance, screen)
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
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell in the background ignores them
        signal.signal(number, _interrupt)
    children = [subprocess.Popen(command, cwd=REPOSITORY, env=environment) for command in (dagster, mlflow)]
    click.secho(
        f"Dagster http://{HOST}:{dagster_port}   MLflow http://{HOST}:{mlflow_port}   (Ctrl-C stops)",
        bold=True,
    )
    try:
        while all(child.poll() is None for child in children):
            time.sleep(0.5)
    except KeyboardInterrupt:
        pass
    finally:
        for child in children:
            if child.poll() is None:
                child.send_signal(signal.SIGINT)
        for child in children:
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise PcipError(
                f"{HOST}:{port}",
                found="the port in use",
                required="a free port",
                remedy="Stop the other server, or give --dagster-port / --mlflow-port another number.",
            ) from error
