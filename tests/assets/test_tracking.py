"""MLflow as pcip sets it up."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pcip_assets.assets.encoders.train_network import Network
from pcip_assets.recovery.killed_runs import PROCESS_TAG, process_tags
from pcip_assets.tracking import Encoder, Tracking
from pcip_assets.workspace import REPOSITORY, Workspace
from pcip_core.errors import EncoderError
from tests.conftest import write_spec


def test_mlflow_sends_no_usage_data() -> None:
    code = (
        "import os; os.environ.pop('MLFLOW_DISABLE_TELEMETRY', None); import pcip_assets.tracking; "
        "from mlflow.telemetry.utils import is_telemetry_disabled; print(is_telemetry_disabled())"
    )
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout.split()[-1] == "True"


def test_a_training_goes_on_in_its_unfinished_run_if_mlflow_has_it(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "data")
    screen, tracking = workspace.load(write_spec(tmp_path)), Tracking(data=str(workspace.data))
    with tracking.training(screen, 2, checkpoints=tmp_path, tags={}, log=logging.getLogger()) as training:
        client = MlflowClient(workspace.mlflow_uri)
        assert client.get_run(training.run_id).data.tags[PROCESS_TAG] == process_tags()[PROCESS_TAG]
    assert tracking.resumable(tmp_path) == training.run_id
    client.delete_experiment(client.get_experiment_by_name(screen.name).experiment_id)
    assert tracking.resumable(tmp_path) is None
    with tracking.training(screen, 2, checkpoints=tmp_path, tags={}, log=logging.getLogger()) as resumed:
        assert resumed.run_id == training.run_id
    client.delete_run(training.run_id)
    assert tracking.resumable(tmp_path) is None
    (tmp_path / "mlflow_run_id").write_text("a run of a database that was lost")
    assert tracking.resumable(tmp_path) is None


def test_what_a_user_deletes_in_mlflow_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tracking = Tracking(data=str(tmp_path))
    client = MlflowClient(Workspace(tmp_path).mlflow_uri)
    encoder = Encoder("tiny/1", "a run of a database that was lost", tmp_path, {})
    run_id = tracking.log_extraction("tiny", encoder, params={}, metrics={})
    client.delete_run(run_id)
    for deleted in (run_id, encoder.run_id):
        tracking.log_scores(deleted, {"accuracy": 0.5})
        tracking.log_pictures(deleted, {"loss_curve.png": Figure()})
    client.delete_experiment("1")
    run_id = tracking.log_extraction("tiny", encoder, params={}, metrics={})
    tracking.log_scores(run_id, {"accuracy": 0.5})
    assert client.get_run(run_id).data.metrics == {"accuracy": 0.5}
    assert "MLflow experiment tiny was deleted; it is restored" in caplog.text


def test_a_registry_that_fails_is_not_a_screen_without_an_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a database that is locked would lead to a second training."""

    def locked(*_: str) -> None:
        raise MlflowException("database is locked")

    monkeypatch.setattr(Tracking, "_client", lambda _: SimpleNamespace(get_model_version_by_alias=locked))
    tracking = Tracking(data=str(tmp_path))
    for ask in (tracking.has_champion, tracking.champion):
        with pytest.raises(MlflowException, match="database is locked"):
            ask("tiny")


def test_a_network_whose_files_are_gone_is_named_and_can_be_trained_again(tmp_path: Path) -> None:
    tracking = Tracking(data=str(tmp_path))
    uri = Workspace(tmp_path).mlflow_uri
    client = MlflowClient(uri, uri)
    run_id = tracking.log_extraction("tiny", Encoder("", "", tmp_path, {}), params={}, metrics={})
    client.create_registered_model("tiny")
    gone = (tmp_path / "former" / "place").as_uri()
    client.create_model_version("tiny", gone, run_id, tags={"inputs_hash": "0123"})
    client.set_registered_model_alias("tiny", "champion", "1")
    with pytest.raises(EncoderError, match=r"former/place: found no files .*--retrain"):
        tracking.champion("tiny")
    assert Network(tracking, "tiny", "", None, None, None).made_from(None, None) == "0123"  # type: ignore[arg-type]
