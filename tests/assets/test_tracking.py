"""MLflow as pcip sets it up."""

from __future__ import annotations

import subprocess
import sys

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
