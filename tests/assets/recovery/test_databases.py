"""Databases that a kill, a full disk or two processes left half made; MLflow and Dagster judge what is whole."""

from __future__ import annotations

import dataclasses
import errno
import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
from alembic import command
from alembic.config import Config
from mlflow import MlflowClient
from sqlalchemy.exc import OperationalError

from pcip_assets.cli.run import open_instance
from pcip_assets.recovery.databases import _fresh_mlflow, dagster_databases, defect, ensure, mlflow_database
from pcip_assets.workspace import Workspace
from pcip_core.errors import StoreError


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "data")


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The content of an MLflow database with a run and a network in use."""
    workspace = Workspace(tmp_path_factory.mktemp("used") / "data")
    ensure(workspace, [mlflow_database(workspace)])
    client = MlflowClient(workspace.mlflow_uri, workspace.mlflow_uri)
    run = client.create_run(client.create_experiment("tiny")).info.run_id
    client.log_metric(run, "loss", 0.5, step=1)
    client.create_registered_model("tiny")
    client.create_model_version("tiny", "somewhere", run)
    client.set_registered_model_alias("tiny", "champion", "1")
    return mlflow_database(workspace).path.read_bytes()


def holds_the_run_and_the_network(workspace: Workspace) -> bool:
    """As MLflow finds it, which refuses a database whose tables are not the newest."""
    client = MlflowClient(workspace.mlflow_uri, workspace.mlflow_uri)
    if not client.search_registered_models():
        return False
    run = client.get_model_version_by_alias("tiny", "champion").run_id
    return [point.step for point in client.get_metric_history(run, "loss")] == [1]


def sql(*statements: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    return change


def downgrade(path: Path) -> None:
    """What an older MLflow leaves, or a kill between two migrations."""
    import mlflow

    config = Config()
    config.set_main_option("script_location", str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    config.set_main_option("sqlalchemy.url", f"sqlite:///{path}")
    command.downgrade(config, "-1")


HALF_MADE = {
    "no version": sql("DELETE FROM alembic_version"),
    "no table of versions": sql("DROP TABLE alembic_version"),
    "two versions, as of two processes": sql("INSERT INTO alembic_version VALUES ('75868b020152')"),
    "a column that the next migration adds": sql("UPDATE alembic_version SET version_num = '75868b020152'"),
    "a temporary table": sql("CREATE TABLE _alembic_tmp_experiments (experiment_id INTEGER)"),
    "a table that has only its temporary name": sql(
        "ALTER TABLE metrics RENAME TO _alembic_tmp_metrics", "DELETE FROM alembic_version"
    ),
    "an older version": downgrade,
}


@pytest.mark.parametrize("state", HALF_MADE)
def test_a_half_made_database_is_made_again_with_its_rows(
    state: str, used: bytes, workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    database = mlflow_database(workspace)
    database.path.parent.mkdir(parents=True)
    database.path.write_bytes(used)
    HALF_MADE[state](database.path)
    half_made = database.path.read_bytes()
    assert defect(database) is not None
    with caplog.at_level(logging.WARNING, "pcip"):
        ensure(workspace, [database])
    assert defect(database) is None
    assert holds_the_run_and_the_network(workspace)
    (kept,) = database.path.parent.glob("mlflow.db.damaged-*")
    assert kept.read_bytes() == half_made
    assert kept.name in caplog.text
    assert "lost" not in caplog.text


@pytest.mark.parametrize("left", [0, 100, 20_000])
def test_a_database_that_cannot_be_read_is_made_again_and_its_runs_are_said_to_be_lost(
    left: int, used: bytes, workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    databases = [mlflow_database(workspace), *dagster_databases(workspace)]
    for database in databases:
        database.path.parent.mkdir(parents=True, exist_ok=True)
        database.path.write_bytes(used[:left])
        database.path.with_name(database.path.name + "-journal").write_bytes(b"of the former file")
    with caplog.at_level(logging.WARNING, "pcip"):
        ensure(workspace, databases)
    assert [defect(database) for database in databases] == [None] * 4
    assert caplog.text.count("that it recorded are lost" if left else "It held no rows") == 4
    assert not holds_the_run_and_the_network(workspace)
    with dg.DagsterInstance.from_config(str(workspace.dagster_home)) as instance:
        instance.add_dynamic_partitions("shards", ["plate_1"])
        assert instance.get_dynamic_partitions("shards") == ["plate_1"]
        assert instance.get_run_records() == []


def test_whole_databases_stay_as_they_are(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    open_instance(workspace).add_dynamic_partitions("shards", ["plate_1"])
    databases = [mlflow_database(workspace), *dagster_databases(workspace)]
    ensure(workspace, databases)
    before = [database.path.stat().st_ino for database in databases]
    ensure(workspace, databases)
    assert open_instance(workspace).get_dynamic_partitions("shards") == ["plate_1"]
    assert [database.path.stat().st_ino for database in databases] == before
    assert not caplog.records


def test_a_kill_amid_a_write_damages_nothing(used: bytes, workspace: Workspace, tmp_path: Path) -> None:
    """A whole database whose last change is undone by the journal beside it."""
    source, database = tmp_path / "mlflow.db", mlflow_database(workspace)
    source.write_bytes(used)
    database.path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(source)) as connection:
        connection.execute(
            "PRAGMA cache_size = 1"
        )  # so that the change reaches the file before it is committed
        connection.execute("DELETE FROM alembic_version")
        connection.execute("CREATE TABLE filler AS SELECT randomblob(2000000)")
        for suffix in ("", "-journal"):
            copy = database.path.with_name(database.path.name + suffix)
            copy.write_bytes(source.with_name(source.name + suffix).read_bytes())
        connection.rollback()
    assert database.path.read_bytes() != used
    assert defect(database) is None
    assert holds_the_run_and_the_network(workspace)


def test_a_database_of_a_newer_mlflow_is_refused(used: bytes, workspace: Workspace) -> None:
    database = mlflow_database(workspace)
    database.path.parent.mkdir(parents=True)
    database.path.write_bytes(used)
    sql("UPDATE alembic_version SET version_num = 'fedcba987654'")(database.path)
    with pytest.raises(StoreError, match="fedcba987654, which the installed MLflow does not know"):
        ensure(workspace, [database])


def test_one_process_makes_the_databases_and_the_others_wait(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    databases = dagster_databases(workspace)
    waiting = [threading.Thread(target=ensure, args=(workspace, databases)) for _ in range(4)]
    with caplog.at_level(logging.WARNING, "pcip"):
        with workspace.only_process():
            for thread in waiting:
                thread.start()
            while caplog.text.count("waiting for another pcip") < len(waiting):
                threading.Event().wait(0.01)
            assert not any(database.path.exists() for database in databases)
        for thread in waiting:
            thread.join()
    assert [defect(database) for database in databases] == [None] * 3
    assert not list(workspace.data.rglob("*.damaged-*"))


def test_a_full_folder_for_temporary_files_is_named(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OperationalError("CREATE TABLE", None, sqlite3.OperationalError("database or disk is full"))

    monkeypatch.setattr("mlflow.MlflowClient", full)
    uncached = dataclasses.replace(mlflow_database(workspace), fresh=_fresh_mlflow.__wrapped__)
    with pytest.raises(StoreError, match=r"disk is full.*TMPDIR"):
        ensure(workspace, [uncached])


def test_a_start_that_fails_leaves_no_copy_of_a_damaged_database(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each further start would leave another one, on a disk that is full."""
    path = mlflow_database(workspace).path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"damaged" * 1000)

    def full(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pcip_assets.recovery.databases._fill", full)
    with pytest.raises(StoreError, match="no space left"):
        ensure(workspace, [mlflow_database(workspace)])
    assert [file.name for file in path.parent.iterdir()] == ["mlflow.db"]


def test_a_full_disk_leaves_no_half_made_database(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_half(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    database = mlflow_database(workspace)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", write_half)
        with pytest.raises(StoreError, match=r"no space left on device.*Free some space"):
            ensure(workspace, [database])
    assert not list(database.path.parent.iterdir())
    ensure(workspace, [database])
    assert defect(database) is None


def test_a_folder_that_cannot_be_written_is_an_error(workspace: Workspace) -> None:
    workspace.data.parent.joinpath("data").write_text("a file in place of the folder")
    with pytest.raises(StoreError, match="a folder with free space that you may write to"):
        ensure(workspace, [mlflow_database(workspace)])
