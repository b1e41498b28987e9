"""MLflow as pcip sets it up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow.exceptions import MlflowException

from pcip_assets.tracking import Tracking
from pcip_assets.workspace import REPOSITORY


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
