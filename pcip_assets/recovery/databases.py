"""The SQLite databases of MLflow and Dagster: made beside their place and renamed into it, so that none is half made.

MLflow builds its tables in place, in dozens of steps that a kill, a full disk or a second process can interrupt; no
later start can finish them. pcip makes a database elsewhere and moves it into place when it is whole. A database
that is not whole is kept under another name, and made again with all of its rows that can be read.
"""

import dataclasses
import functools
import logging
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from pcip_assets.recovery.networks import register_again
from pcip_assets.recovery.rows import copy_rows, table_names
from pcip_assets.servers.prepared import versions_of
from pcip_assets.workspace import Workspace
from pcip_core.errors import PcipError, StoreError
from pcip_core.files import replacing, shared_by_machines
from pcip_core.locks import temporary_folder
from pcip_core.words import many

_LOG = logging.getLogger("pcip")
_WAIT_S = 20.0  # for another process that writes to a database
_SCHEMA_TABLES = ("alembic_version", "secondary_indexes")  # they describe the tables and hold no results
_COMPANIONS = ("-journal", "-wal", "-shm")  # SQLite's files beside a database, part of its content
_DAGSTER_FILES = {
    "history/runs.db": "runs",
    "history/runs/index.db": "results and partitions of assets",
    "schedules/schedules.db": "states of sensors",
}


@dataclass(frozen=True)
class Database:
    """A database of a workspace.

    Attributes:
        path: its file.
        holds: what it records.
        fresh: gives the content of a new one.
        newest: gives the version that its tables must have; by default any version will do.
        restore: adds to one that lacks rows what other files of the workspace know; gives a sentence on it.
    """

    path: Path
    holds: str
    fresh: Callable[[], bytes]
    newest: Callable[[], str] | None = None
    restore: Callable[[Path], str] | None = None


class Defect(NamedTuple):
    """What is wrong with a database.

    Attributes:
        text: the finding.
        outdated: whether the database may be one of an older version, to be completed by migrations.
    """

    text: str
    outdated: bool = False


def mlflow_database(workspace: Workspace) -> Database:
    """MLflow's database."""
    path = workspace.mlflow_folder / "mlflow.db"
    restore = functools.partial(_restored_mlflow, workspace)
    return Database(path, "trainings and trained networks", _fresh_mlflow, _newest_mlflow, restore)


def dagster_databases(workspace: Workspace) -> list[Database]:
    """Dagster's databases, except the event log of each run, whose few tables Dagster completes on opening."""
    return [
        Database(workspace.dagster_home / name, holds, functools.partial(_fresh_dagster, name))
        for name, holds in _DAGSTER_FILES.items()
    ]


def ensure(workspace: Workspace, databases: Sequence[Database]) -> None:
    """Make the databases that are missing or not whole. If all are whole, this takes a few milliseconds.

    Raises:
        StoreError: a database cannot be opened or written, or a newer version of MLflow made it.
    """
    _warn_of_other_machines(workspace.data)
    if all(defect(database) is None for database in databases):
        return
    with workspace.only_process():
        for database in databases:
            problem = defect(database)  # again, because another process may have made it meanwhile
            if problem is not None:
                _make(database, problem)


@functools.cache
def _warn_of_other_machines(data: Path) -> None:
    """Warn once if other machines may open the databases at the same time, which SQLite does not bear."""
    if kind := shared_by_machines(data):
        _LOG.warning(
            f"{data} is on a file system that machines share ({kind}). The databases of Dagster and MLflow in it bear "
            "one machine at a time: give each machine a workspace of its own, and share the store alone "
            "(docs/how-to/share-a-store.md)"
        )


def defect(database: Database) -> Defect | None:
    """What is wrong with a database; None if it is whole.

    Raises:
        StoreError: it cannot be opened, or a newer version of MLflow made it.
    """
    if not database.path.is_file():
        return Defect("no file")
    try:
        with opened(database.path) as connection:
            tables = table_names(connection)
            rows = connection.execute("SELECT * FROM alembic_version") if "alembic_version" in tables else []
            versions = [str(row[0]) for row in rows]
    except sqlite3.DatabaseError as error:
        return Defect(f"a damaged file ({error})")
    if any(table.startswith("_alembic_tmp_") for table in tables):
        return Defect("a temporary table of an unfinished migration")
    if len(versions) != 1:
        return Defect(f"{many(len(versions), 'version')} of its tables instead of one")
    if database.newest is not None and versions[0] != database.newest():
        return _outdated(database.path, versions[0])
    return None


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """An existing database; SQLite first rolls back what a killed process left unfinished.

    Raises:
        StoreError: it cannot be opened, read or written.
        sqlite3.DatabaseError: the file is damaged.
    """
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=_WAIT_S)) as connection:
            yield connection
    except sqlite3.OperationalError as error:
        raise _unusable(path, error) from error


def _make(database: Database, problem: Defect) -> None:
    """Put a new database in place. A former one is kept under another name, and its rows are copied."""
    path = database.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _kept(path) as former, replacing(path, sync=True) as temporary:
            outcome = _fill(temporary, database, former, outdated=problem.outdated)
            for companion in _companions(path):  # SQLite would take them for parts of the new one
                companion.unlink(missing_ok=True)
    except OSError as error:
        raise _unusable(path, error) from error
    if former is not None:
        _LOG.warning(f"{path}: found {problem.text}. The file is kept as {former.name}. {outcome}")
    elif outcome:
        _LOG.warning(f"{path}: found {problem.text}. {outcome}")


def _fill(target: Path, database: Database, former: Path | None, *, outdated: bool) -> str:
    """Write a new database; return a sentence on what became of the former one."""
    if former is not None and outdated:
        upgraded = _upgraded_mlflow(former)
        if upgraded is not None:
            target.write_bytes(upgraded)
            if defect(dataclasses.replace(database, path=target)) is None:
                return "Its tables were completed; all rows are there."
    target.write_bytes(database.fresh())
    outcome, complete = _copied(former, target, database.holds)
    if complete or database.restore is None:
        return outcome
    return f"{outcome} {database.restore(target)}".strip()


def _copied(former: Path | None, target: Path, holds: str) -> tuple[str, bool]:
    """Copy the rows of the former database; what became of them in a sentence, and whether all are there."""
    if former is None:
        return "", False
    try:
        with opened(former) as old, opened(target) as new:
            copied = copy_rows(old, new, without=_SCHEMA_TABLES)
    except sqlite3.DatabaseError:
        return (
            f"It cannot be read, so the {holds} that it recorded are lost. An empty one is in its place.",
            False,
        )
    if copied.incomplete:
        tables = ", ".join(copied.incomplete)
        return f"A new database has those of its rows that can be read; rows of {tables} are lost.", False
    if not copied.rows:
        return "It held no rows. A new database is in its place.", False
    return f"A new database has all of its {copied.rows} rows.", True


@contextmanager
def _kept(path: Path) -> Iterator[Path | None]:
    """A copy of a database, and of SQLite's files beside it, under another name in the same folder; None without one.

    After an error there is no copy: the database is still there, and each further start would add one.
    """
    if not path.is_file():
        yield None
        return
    kept = path.with_name(f"{path.name}.damaged-{datetime.now():%Y%m%d-%H%M%S}")
    files = dict(zip([path, *_companions(path)], [kept, *_companions(kept)], strict=True))
    try:
        for source, copy in files.items():
            if source.is_file():
                shutil.copyfile(source, copy)
        yield kept
    except BaseException:
        for copy in files.values():
            copy.unlink(missing_ok=True)
        raise


def _companions(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in _COMPANIONS]


def _content(path: Path) -> bytes:
    """All of a database as the content of one file."""
    with opened(path) as connection:
        return connection.serialize()


@functools.cache
def _fresh_mlflow() -> bytes:
    import mlflow

    with _elsewhere() as folder:
        path = folder / "mlflow.db"
        mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
        return _content(path)


def _upgraded_mlflow(former: Path) -> bytes | None:
    """A copy with MLflow's newest tables; None if its migrations fail."""
    from alembic.util import CommandError
    from mlflow.db import upgrade
    from sqlalchemy.exc import SQLAlchemyError

    with temporary_folder() as folder:
        path = folder / "mlflow.db"
        try:
            with opened(former) as old, closing(sqlite3.connect(path)) as new:
                old.backup(new)
            upgrade.main([f"sqlite:///{path}"], standalone_mode=False)
            return _content(path)
        except (CommandError, SQLAlchemyError, sqlite3.DatabaseError):
            return None


def _restored_mlflow(workspace: Workspace, path: Path) -> str:
    """Register the networks of which there are files, on a copy elsewhere, as MLflow writes step by step."""
    if not any(workspace.artifacts("").glob("*/models/*")):
        return ""
    import mlflow

    with _elsewhere() as folder:
        copy = folder / "mlflow.db"
        shutil.copyfile(path, copy)
        uri = f"sqlite:///{copy}"
        sentence = register_again(workspace, mlflow.MlflowClient(uri, uri))
        path.write_bytes(_content(copy))
    return sentence


def _newest_mlflow() -> str:
    return versions_of("mlflow")[0]


def _outdated(path: Path, version: str) -> Defect:
    newest, known = versions_of("mlflow")
    if version in known:
        return Defect(f"tables of version {version} instead of {newest}", outdated=True)
    raise StoreError(
        path,
        found=f"tables of version {version}, which the installed MLflow does not know",
        required=f"version {newest}, or an older one",
        remedy="Install the version of pcip that wrote it, or choose another folder with PCIP_DATA.",
    )


def _fresh_dagster(name: str) -> bytes:
    return _fresh_dagster_files()[name]


@functools.cache
def _fresh_dagster_files() -> dict[str, bytes]:
    import dagster as dg

    with _elsewhere() as folder:
        with dg.DagsterInstance.local_temp(str(folder)):
            pass
        return {name: _content(folder / name) for name in _DAGSTER_FILES}


@contextmanager
def _elsewhere() -> Iterator[Path]:
    """A temporary folder, in which MLflow and Dagster make databases.

    Raises:
        StoreError: they cannot, for example because the disk is full.
    """
    from sqlalchemy.exc import SQLAlchemyError

    with temporary_folder() as folder:
        try:
            yield folder
        except SQLAlchemyError as error:
            raise StoreError(
                folder,
                found=str(error).splitlines()[0],
                required="a temporary folder with a few MB of free space",
                remedy="Free some space there, or choose another folder for temporary files with TMPDIR.",
            ) from error


def _unusable(path: Path, error: Exception) -> StoreError:
    return StoreError(
        path,
        found=error.found if isinstance(error, PcipError) else str(error),
        required="a folder with free space that you may write to",
        remedy="Free some space, correct the permissions, or choose another folder with PCIP_DATA.",
    )
