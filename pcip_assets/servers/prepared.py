"""The databases of Dagster and MLflow on PostgreSQL: made by one process, whoever starts first, and checked by each.

Both programs make their tables in many steps, and neither expects a second process that does the same. Dagster's steps
are committed one by one, so that a process that is killed leaves some of its tables, which Dagster would not complete.
"""

import functools
import re
import shlex
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pcip_assets.servers.postgres import connected, only_one, rows, shown, table_names
from pcip_assets.workspace import Workspace
from pcip_core.errors import StoreError

_REVISION = re.compile(r"""^(revision|down_revision)\b.*= ["'](\w+)["']""", re.MULTILINE)
_MIGRATIONS = {"mlflow": "store/db_migrations/versions", "dagster": "_core/storage/alembic/versions"}
_PREPARING = "prepares"


@functools.cache
def versions_of(package: str) -> tuple[str, frozenset[str]]:
    """The newest version of a program's tables, and all, from the files of its migrations: an import takes seconds."""
    spec = find_spec(package)
    folder = Path(str(spec and spec.origin)).parent / _MIGRATIONS[package]
    found = [_REVISION.findall(path.read_text()) for path in folder.glob("*.py")]
    versions = {value for pairs in found for name, value in pairs if name == "revision"}
    newest = versions - {value for pairs in found for name, value in pairs if name == "down_revision"}
    return max(newest), frozenset(versions)


def prepare_dagster(address: str) -> None:
    """Make Dagster's tables that are missing.

    Raises:
        StoreError: the server cannot be used, or a newer version of Dagster made the tables.
    """
    from pcip_assets.dagster_compat import complete_tables, tables_of_storage

    expected, (newest, _) = tables_of_storage(), versions_of("dagster")

    def lacks(connection: Any) -> bool:
        version = _version(connection)
        if version not in (None, newest):
            raise _outdated(address, "Dagster", version, newest, _migrate())
        return not expected <= table_names(connection)

    _prepare(address, "dagster", lacks, lambda: complete_tables(address))


def _migrate() -> str:
    return f"DAGSTER_HOME={shlex.quote(str(Workspace.current().dagster_home))} dagster instance migrate"


def prepare_mlflow(address: str, default_location: str) -> None:
    """Make MLflow's tables.

    Args:
        address: of the database.
        default_location: of the files of MLflow's experiment Default.

    Raises:
        StoreError: the server cannot be used, or the tables are of another version of MLflow.
    """
    newest, _ = versions_of("mlflow")

    def lacks(connection: Any) -> bool:
        version = _version(connection)
        if version is not None and version != newest and rows(connection, "SELECT 1 FROM runs LIMIT 1"):
            raise _outdated(address, "MLflow", version, newest, f"mlflow db upgrade {shlex.quote(address)}")
        return version != newest

    _prepare(address, "mlflow", lacks, lambda: _make_mlflow(address, default_location))


def _prepare(address: str, package: str, lacks: Callable[[Any], bool], make: Callable[[], None]) -> None:
    """Have one process make the tables of a program, unless a newer version of it made them."""
    with connected(address) as connection:
        _require_known(connection, address, package)
        if not lacks(connection):
            return
        with only_one(connection, address, _PREPARING):
            if lacks(connection):  # again, because another process may have made them meanwhile
                make()


def _require_known(connection: Any, address: str, package: str) -> None:
    """Refuse tables of a version that the installed program does not know."""
    version = _version(connection)
    newest, known = versions_of(package)
    if version is not None and version not in known:
        raise StoreError(
            shown(address),
            found=f"tables of version {version}, which the installed {package} does not know",
            required=f"version {newest} of {package}'s tables, or an older one",
            remedy="Install the version of pcip that the others of your team use, or name another database, "
            "which nothing else uses.",
        )


def _outdated(address: str, program: str, version: str | None, newest: str, command: str) -> StoreError:
    return StoreError(
        shown(address),
        found=f"tables of version {version}, which an older {program} made",
        required=f"version {newest}",
        remedy=f"End all programs that use the database, back it up (pg_dump), and: {command}",
    )


def _version(connection: Any) -> str | None:
    """The version of the tables of a database; None if it has none yet."""
    if "alembic_version" not in table_names(connection):
        return None
    found = rows(connection, "SELECT version_num FROM alembic_version")
    return str(found[0][0]) if found else None


def _make_mlflow(address: str, default_location: str) -> None:
    import mlflow
    from mlflow.db import upgrade

    with connected(address) as connection:
        if _version(connection) is None:
            mlflow.MlflowClient(address, address).search_experiments()
        else:
            upgrade.main([address], standalone_mode=False)
            mlflow.MlflowClient(address, address).search_experiments()
        rows(
            connection,
            "UPDATE experiments SET artifact_location = ? WHERE experiment_id = 0 "
            "AND NOT EXISTS (SELECT * FROM runs WHERE runs.experiment_id = 0)",
            [default_location],
        )
