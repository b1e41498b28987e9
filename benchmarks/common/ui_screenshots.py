"""Pictures of Dagster's and MLflow's pages for the documentation: two trainings of a small simulated screen.

Run `python -m benchmarks.common.ui_screenshots`. It needs chromium (Debian: apt-get install chromium). The pages are
those of `pcip ui`, in a real browser.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common.browser import chromium_page, save
from benchmarks.common.screens import run_changed
from pcip_assets.cli.run import run_screen
from pcip_assets.tracking import Tracking
from pcip_assets.workspace import LOCATION, REPOSITORY, Workspace
from pcip_core.locks import temporary_folder

if TYPE_CHECKING:
    from playwright.sync_api import Page

IMAGES = REPOSITORY / "docs" / "images"
NAME = "small_human"
_SIMULATION = {
    "organism": "human",
    "plates": 2,
    "proteins_per_class": 2,
    "fields_per_image": 1,
    "mixed_proteins": 0,
    "variable_proteins": 0,
}
_ENCODER = {
    "recipe": "paper",
    "width": 0.1,
    "batch_size": 16,
    "learning_rate": 1e-3,
    "epochs": 4,
    "preview_every": 2,
}
_SETTINGS = {"epochs": 12, "width": 0.2}  # of the second training, other than the spec says
_CONFIG = f"""ops:
  {NAME}__encoder:
    config:
      epochs: 12
      width: 0.2
"""
_GRAPH = ("fields", "crops", "encoder", "cell_features", "protein_features", "knn_benchmark")
_SIZE, _GRAPH_SIZE = (1400, 800), {"width": 2000, "height": 760}
_DRAWN_MS = 6_000  # tables and charts are drawn after their data came


def main() -> None:
    """Train unless that is done, serve, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="workspace to use and keep; by default a temporary one")
    parser.add_argument("--to", type=Path, default=IMAGES, help="folder of the pictures")
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    with temporary_folder() as folder:
        workspace = Workspace(options.data.resolve() if options.data else folder / "data")
        train_twice(workspace)
        with served(workspace) as (dagster, mlflow), chromium_page(*_SIZE) as page:
            take_dagster(page, dagster, options.to)
            take_mlflow(page, mlflow, workspace, options.to)


def train_twice(workspace: Workspace) -> None:
    """Take the screen to scores, as its spec says and then by an encoder of other settings, unless both exist."""
    version = Tracking(data=str(workspace.data)).champion_version(NAME)
    if version is not None and int(version.version) > 1:
        return
    changes = {"simulation": _SIMULATION, "encoder": _ENCODER}
    screen = run_changed(workspace, "simulated_human", NAME, changes)
    outcome = run_screen(workspace, screen, settings=_SETTINGS)
    if not outcome.success:
        raise SystemExit(outcome.error)


@contextmanager
def served(workspace: Workspace) -> Iterator[tuple[str, str]]:
    """`pcip ui` over a workspace: the addresses of Dagster's and of MLflow's pages."""
    dagster, mlflow = _free_port(), _free_port()
    ports = ["--dagster-port", str(dagster), "--mlflow-port", str(mlflow)]
    server = subprocess.Popen(
        [sys.executable, "-m", "pcip_assets.cli", "ui", *ports],
        env={**os.environ, "PCIP_DATA": str(workspace.data)},
    )
    addresses = f"http://127.0.0.1:{dagster}", f"http://127.0.0.1:{mlflow}"
    try:
        for page in (f"{addresses[0]}/server_info", f"{addresses[1]}/health"):
            _wait_for(page, server)
        yield addresses
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)


def _wait_for(page: str, server: subprocess.Popen[bytes]) -> None:
    while server.poll() is None:
        try:
            with urllib.request.urlopen(page, timeout=60):
                return
        except OSError:
            time.sleep(1)
    raise SystemExit("the server ended")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def take_dagster(page: Page, address: str, folder: Path) -> None:
    """The graph of the screen, a table with its columns, the neighbours of another, the encoder and its launchpad."""
    size = page.viewport_size
    page.set_viewport_size(_GRAPH_SIZE)  # type: ignore[arg-type]
    page.goto(f"{address}/locations/{LOCATION}/jobs/{NAME}_all?expanded=global%40global%3A{NAME}")
    page.get_by_text("fields", exact=True).first.wait_for()
    page.mouse.dblclick(500, 700)  # on the background: fit the whole graph, as only what is in view is drawn
    for noun in _GRAPH:
        page.get_by_text(noun, exact=True).first.wait_for()
    _save(page, folder / "asset_graph.png", clip={"x": 240, "y": 0, "width": 950, "height": 760})
    page.set_viewport_size(size)  # type: ignore[arg-type]

    page.goto(f"{address}/assets/{NAME}/cell_features")
    page.get_by_text("encoder_version", exact=True).first.wait_for()
    _save(page, folder / "dagster_table.png")

    page.goto(f"{address}/assets/{NAME}/protein_features?view=lineage")
    page.get_by_text("cell_features", exact=False).first.wait_for()
    _save(page, folder / "dagster_lineage.png")

    page.goto(f"{address}/assets/{NAME}/encoder")
    picture = page.locator('img[alt="preview"]').first
    picture.wait_for()
    page.wait_for_function("image => image.naturalWidth > 0", arg=picture.element_handle())
    picture.scroll_into_view_if_needed()
    _save(page, folder / "dagster_encoder.png")

    page.goto(f"{address}/locations/{LOCATION}/jobs/{NAME}_training/playground")
    page.get_by_text("ops", exact=False).first.wait_for()
    page.locator(".CodeMirror").first.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(_CONFIG)
    _save(page, folder / "dagster_launchpad.png")


def take_mlflow(page: Page, address: str, workspace: Workspace, folder: Path) -> None:
    """The table of runs, their charts, and the page of the model."""
    from mlflow import MlflowClient

    client = MlflowClient(workspace.mlflow_uri, workspace.mlflow_uri)
    experiment: Any = client.get_experiment_by_name(NAME)
    assert experiment is not None
    page.goto(address)
    page.get_by_text(NAME, exact=True).first.wait_for()
    page.get_by_text(NAME, exact=True).first.click()
    page.get_by_text(f"{NAME}/2", exact=False).first.wait_for()
    _save(page, folder / "mlflow_runs.png")

    page.goto(f"{address}/#/experiments/{experiment.experiment_id}/runs?compareRunsMode=CHART")
    page.get_by_text("loss", exact=True).first.wait_for()
    _save(page, folder / "mlflow_charts.png")

    page.goto(f"{address}/#/models/{NAME}/versions/2")
    page.get_by_text("Trained on").first.wait_for()
    _save(page, folder / "mlflow_model.png")


def _save(page: Page, path: Path, *, clip: Any = None) -> None:
    """Write what the page shows, or a part of it. It never stops asking for new runs."""
    page.wait_for_timeout(_DRAWN_MS)
    save(page.screenshot(clip=clip), path, colours=128)
    print(f"{path.name}: {path.stat().st_size // 1000} kB, {page.url}")


if __name__ == "__main__":
    main()
