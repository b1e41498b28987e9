"""What is loaded when the command line answers, and when Dagster loads the code location."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pcip_assets.workspace import REPOSITORY

HEAVY = {
    *("torch", "sklearn", "scipy", "skimage", "pandas", "matplotlib", "umap", "numba", "mlflow", "bokeh"),
    *("mahotas", "cp_measure", "imagecodecs", "zarr", "h5py"),
}
OF_A_RUN = {"dagster", "numpy", "pyarrow", "duckdb"}  # the code location needs them, help does not


def printed(code: str) -> str:
    """What a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("load", "unwanted"),
    [
        pytest.param(
            "from pcip_assets.cli.main import cli; cli(['--help'], standalone_mode=False)",
            HEAVY | OF_A_RUN,
            id="help",
        ),
        pytest.param("import pcip_assets.definitions", HEAVY, id="code location"),
    ],
)
def test_nothing_heavy_is_imported(load: str, unwanted: set[str]) -> None:
    told = printed(f"import sys; {load}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))")
    loaded = set(told.splitlines()[-1].split())
    assert "pcip_assets" in loaded
    assert not loaded & unwanted


def test_mlflow_reports_to_nobody() -> None:
    code = (
        "import os; os.environ.pop('MLFLOW_DISABLE_TELEMETRY', None); import pcip_assets.tracking; "
        "from mlflow.telemetry.utils import is_telemetry_disabled; print(is_telemetry_disabled())"
    )
    assert printed(code).split()[-1] == "True"
