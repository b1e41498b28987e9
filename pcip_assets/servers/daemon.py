"""Dagster's daemon, once per database: `python -m pcip_assets.servers.daemon WORKSPACE_FILE`.

Dagster supports one daemon per database only: a second one would evaluate each sensor again. Each `pcip ui` over a
database of a team starts this program. One of them runs the daemon, and another takes over when that one ends.
"""

import logging
import subprocess
import sys
from time import sleep

from pcip_assets.dagster_compat import DAEMON
from pcip_assets.servers.instance import dagster_database
from pcip_assets.servers.postgres import connected, rows, try_lock
from pcip_assets.workspace import Workspace
from pcip_core.errors import StoreError

_LOG = logging.getLogger("pcip")
_EVERY_S = 5.0
_STOPPING_S = 10.0
_PURPOSE = "daemon"


def main(workspace_file: str) -> None:
    """Run the daemon while no other one runs for this database, and begin again when the connection is lost."""
    address = dagster_database(Workspace.current())
    command = [*DAEMON, "run", "--workspace", workspace_file]
    while address is not None:
        try:
            _serve(address, command)
        except StoreError as error:
            _LOG.warning(f"Dagster's daemon is stopped until its database can be used: {error}")
            sleep(_EVERY_S)


def _serve(address: str, command: list[str]) -> None:
    """Wait for the lock, and run the daemon while the connection that holds it lives.

    Raises:
        StoreError: the connection is lost.
        SystemExit: the daemon has ended by itself.
    """
    with connected(address) as connection:
        waiting = False
        while not try_lock(connection, _PURPOSE):
            if not waiting:
                _LOG.warning(
                    "another pcip runs Dagster's daemon for this database; this one takes over if it ends"
                )
            waiting = True
            sleep(_EVERY_S)
        process = subprocess.Popen(command)
        try:
            while process.poll() is None:
                sleep(_EVERY_S)
                rows(connection, "SELECT 1")
        finally:
            process.terminate()
            try:
                process.wait(_STOPPING_S)
            except subprocess.TimeoutExpired:
                process.kill()
        sys.exit(process.returncode)


if __name__ == "__main__":
    main(sys.argv[1])
