"""A workspace that was moved or copied writes into its own folder; MLflow judges where that is."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pcip_assets.recovery.databases import mlflow_database
from pcip_assets.recovery.moved import ensure_mlflow
from pcip_assets.tracking import Encoder, Tracking
from pcip_assets.workspace import Workspace


def register(workspace: Workspace) -> str:
    """Register a network of the screen tiny; return the id of its run."""
    tracking, weights = Tracking(data=str(workspace.data)), workspace.data.with_name("weights")
    weights.mkdir(exist_ok=True)
    (weights / "encoder.safetensors").write_bytes(b"weights")
    run_id = tracking.log_extraction("tiny", Encoder("", "", weights, {}), params={}, metrics={})
    tracking.register("tiny", "tiny", run_id, weights, tags={})
    return run_id


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_moved_workspace_reads_and_writes_where_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    workspace = Workspace(tmp_path / "former")
    run_id = register(workspace)
    moved = Workspace(workspace.data.rename(tmp_path / "a folder, moved"))
    with caplog.at_level(logging.WARNING, "pcip"):
        encoder = Tracking(data=str(moved.data)).champion("tiny")
    assert (encoder.version, encoder.run_id) == ("tiny/1", run_id)
    assert encoder.folder.is_relative_to(moved.data)
    with closing(sqlite3.connect(mlflow_database(moved).path)) as connection:
        assert str(workspace.data) not in "\n".join(connection.iterdump())
    assert "the workspace was moved or copied" in caplog.text
    Tracking(data=str(moved.data)).log_document(encoder.run_id, "new.json", {})
    assert len(list(moved.mlflow_folder.rglob("new.json"))) == 1
    assert not workspace.data.exists()
    caplog.clear()
    ensure_mlflow(moved)
    assert not caplog.records


def test_a_copy_does_not_write_into_the_original(tmp_path: Path) -> None:
    workspace, copy = Workspace(tmp_path / "former"), Workspace(tmp_path / "copy")
    register(workspace)
    shutil.copytree(workspace.data, copy.data)
    before = contents(workspace.data)
    register(copy)
    assert contents(workspace.data) == before
    assert Tracking(data=str(copy.data)).champion("tiny").version == "tiny/2"


def test_the_experiment_that_mlflow_makes_is_in_the_workspace_and_moves(tmp_path: Path) -> None:
    former, moved = Workspace(tmp_path / "former" / "data"), Workspace(tmp_path / "moved" / "data")
    ensure_mlflow(former)
    shutil.copytree(former.data, moved.data)
    for workspace in (former, moved):
        ensure_mlflow(workspace)
        experiment = MlflowClient(workspace.mlflow_uri).get_experiment("0")
        assert experiment.artifact_location == workspace.artifacts("Default").as_uri()


def test_only_locations_of_the_workspace_follow_it(tmp_path: Path) -> None:
    """A screen whose name begins with that of another, an experiment of a user, and a network stored elsewhere."""
    former, moved = Workspace(tmp_path / "former"), Workspace(tmp_path / "moved")
    ensure_mlflow(former)
    client = MlflowClient(former.mlflow_uri, former.mlflow_uri)
    screens = [former.mlflow_folder / "artifacts" / name for name in ("tiny", "tiny_2")]
    places = [
        *(place.as_uri() for place in screens),
        "s3://bucket/mlflow/artifacts/users",
        "file:///elsewhere",
    ]
    for place in places:
        client.create_run(client.create_experiment(place.rpartition("/")[2], artifact_location=place))
    client.create_registered_model("elsewhere")
    client.create_model_version("elsewhere", "file:///elsewhere/tiny")
    shutil.copytree(former.data, moved.data)
    ensure_mlflow(moved)
    client = MlflowClient(moved.mlflow_uri, moved.mlflow_uri)
    expected = {place.replace(former.data.as_uri(), moved.data.as_uri()) for place in places}
    experiments = [each for each in client.search_experiments() if each.experiment_id != "0"]
    runs = client.search_runs([each.experiment_id for each in experiments])
    assert {each.artifact_location for each in experiments} == expected
    assert {run.info.artifact_uri.removesuffix(f"/{run.info.run_id}/artifacts") for run in runs} == expected
    assert client.get_model_version("elsewhere", "1").source == "file:///elsewhere/tiny"
