"""MLflow as pcip sets it up."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

from mlflow import MlflowClient

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


def test_an_unfinished_training_goes_on_in_its_run_or_in_a_new_one_if_the_run_is_lost(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "data")
    screen = workspace.load(write_spec(tmp_path))
    client = MlflowClient(workspace.mlflow_uri)

    def trained_in() -> str:
        with tracking.training(
            screen, 2, checkpoints=checkpoints, tags={}, log=logging.getLogger()
        ) as training:
            return training.run_id

    tracking, checkpoints = Tracking(data=str(workspace.data)), tmp_path / "checkpoints"
    first = trained_in()
    assert trained_in() == first
    assert client.get_run(first).data.tags[PROCESS_TAG] == process_tags()[PROCESS_TAG]
    client.delete_run(first)
    second = trained_in()
    assert second != first
    (checkpoints / "mlflow_run_id").write_text("of a lost database")
    assert trained_in() not in (first, second)
