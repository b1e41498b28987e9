"""A workspace that was moved or copied: MLflow records absolute locations of its files, which must follow.

Otherwise a copy would write into the original, and a moved workspace into the folder where it was.
"""

import functools
import logging
import sqlite3

from pcip_assets.recovery.databases import ensure, mlflow_database, opened
from pcip_assets.servers.prepared import prepare_mlflow
from pcip_assets.workspace import Workspace

_LOG = logging.getLogger("pcip")
_LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)


def ensure_mlflow(workspace: Workspace) -> None:
    """Make MLflow's database if it is missing or not whole, and have its locations lie in this workspace.

    Raises:
        StoreError: the database cannot be opened or written, or a newer version of MLflow made it.
    """
    address = workspace.servers.mlflow
    if (
        address is not None
    ):  # the locations in it are those of the team, which no copy of the workspace changes
        return _prepared(address, workspace.artifacts_uri("Default"))
    database = mlflow_database(workspace)
    ensure(workspace, [database])
    with opened(database.path) as connection:
        if not _former(connection, workspace) and not _has_unset_default(connection):
            return
    with workspace.only_process(), opened(database.path) as connection, connection:
        connection.execute("BEGIN IMMEDIATE")
        former = _former(
            connection, workspace
        )  # again, because another process may have changed them meanwhile
        for old, new in former.items():
            _replace(connection, old, new)
        if _has_unset_default(connection):
            location = workspace.artifacts_uri("Default")
            connection.execute(
                "UPDATE experiments SET artifact_location = ? WHERE experiment_id = 0", [location]
            )
    for old, new in former.items():
        _LOG.warning(f"{database.path}: the workspace was moved or copied; {old} is now {new}")


@functools.cache
def _prepared(address: str, default_location: str) -> None:
    """Make MLflow's tables on a server, if they are missing; a process looks once."""
    prepare_mlflow(address, default_location)


def _has_unset_default(connection: sqlite3.Connection) -> bool:
    """Whether MLflow's experiment Default is without runs, and leads to the folder in which MLflow was first called."""
    query = (
        "SELECT artifact_location FROM experiments WHERE experiment_id = 0 "
        "AND NOT EXISTS (SELECT * FROM runs WHERE runs.experiment_id = 0)"
    )
    return any((location or "").endswith("/mlruns/0") for (location,) in connection.execute(query))


def _former(connection: sqlite3.Connection, workspace: Workspace) -> dict[str, str]:
    """Recorded folder -> present folder of each experiment of pcip that is recorded in another workspace."""
    former = {}
    for name, location in connection.execute("SELECT name, artifact_location FROM experiments"):
        present = workspace.artifacts(name).as_uri()
        inside = present.removeprefix(workspace.data.as_uri())  # the same in each workspace
        if location and location != present and location.startswith("file://") and location.endswith(inside):
            former[location] = present
    return former


def _replace(connection: sqlite3.Connection, old: str, new: str) -> None:
    """Replace a folder by another one in all locations that lie in it."""
    for table, column in _LOCATIONS:
        connection.execute(
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
            f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
            [new, len(old) + 1, old, len(old) + 1, f"{old}/"],
        )
