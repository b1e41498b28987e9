"""MLflow as pcip sets it up."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pcip_assets.recovery.killed_runs import PROCESS_TAG, process_tags
from pcip_assets.tracking import Tracking
from pcip_assets.workspace import REPOSITORY, Workspace
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
    client.delete_run(training.run_id)
    assert tracking.resumable(tmp_path) is None
    (tmp_path / "mlflow_run_id").write_text("a run of a database that was lost")
    assert tracking.resumable(tmp_path) is None


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
