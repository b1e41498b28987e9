"""Pictures of MLflow's pages for the documentation: two trainings of a small simulated screen, in a real browser.

Run `python -m benchmarks.common.mlflow_screenshots`. It needs chromium (Debian: apt-get install chromium).
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common.screens import run_changed
from pcip_assets.cli.run import run_screen
from pcip_assets.tracking import Tracking
from pcip_assets.workspace import REPOSITORY, Workspace
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
_SIZE = {"width": 1400, "height": 800}
_WAIT_MS, _DRAWN_MS = 120_000, 6_000  # tables and charts are drawn after their data came


def main() -> None:
    """Train, serve, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="workspace to use and keep; by default a temporary one")
    parser.add_argument("--to", type=Path, default=IMAGES, help="folder of the pictures")
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    with temporary_folder() as folder:
        workspace = Workspace(options.data.resolve() if options.data else folder / "data")
        train_twice(workspace)
        with served(workspace) as address, browser_page() as page:
            take(page, address, workspace, options.to)


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
def served(workspace: Workspace) -> Iterator[str]:
    """MLflow's pages as `pcip ui` serves them: their address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    module = "pcip_assets.web.mlflow_pages"
    command = [sys.executable, "-m", module, str(port)]
    server = subprocess.Popen(command, env={**os.environ, "PCIP_DATA": str(workspace.data)})
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"{address}/health", timeout=60):
                    break
            except OSError:
                if server.poll() is not None:
                    raise SystemExit("the server ended") from None
                time.sleep(1)
        yield address
    finally:
        server.terminate()
        server.wait(60)


@contextmanager
def browser_page() -> Iterator[Page]:
    """A page of the browser that Debian installs."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("chromium is not installed (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=_SIZE)  # type: ignore[arg-type]
        page.set_default_timeout(_WAIT_MS)
        yield page
        browser.close()


def take(page: Page, address: str, workspace: Workspace, folder: Path) -> None:
    """The table of runs, their charts, and the page of the model."""
    from mlflow import MlflowClient

    client = MlflowClient(workspace.mlflow_uri, workspace.mlflow_uri)
    experiment: Any = client.get_experiment_by_name(NAME)
    assert experiment is not None
    page.goto(address)
    page.get_by_text(NAME, exact=True).first.wait_for()
    page.get_by_text(NAME, exact=True).first.click()
    page.get_by_text(f"{NAME}/2", exact=False).first.wait_for()
    save(page, folder / "mlflow_runs.png")

    page.goto(f"{address}/#/experiments/{experiment.experiment_id}/runs?compareRunsMode=CHART")
    page.get_by_text("loss", exact=True).first.wait_for()
    save(page, folder / "mlflow_charts.png")

    page.goto(f"{address}/#/models/{NAME}/versions/2")
    page.get_by_text("Trained on").first.wait_for()
    save(page, folder / "mlflow_model.png")


def save(page: Page, path: Path, *, clip: Any = None) -> None:
    """Write what the page shows, or a part of it, as PNG with few colours. It never stops asking for new runs."""
    from PIL import Image

    page.wait_for_timeout(_DRAWN_MS)
    page.screenshot(path=path, clip=clip)
    with Image.open(path) as image:
        image.convert("P", palette=Image.Palette.ADAPTIVE, colors=128).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size // 1000} kB, {page.url}")


if __name__ == "__main__":
    main()
