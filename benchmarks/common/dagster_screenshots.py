"""Pictures of Dagster's pages for the documentation: the small screen of `mlflow_screenshots`, in a real browser.

Run `python -m benchmarks.common.dagster_screenshots`. It needs chromium (Debian: apt-get install chromium). With the
same `--data` as `mlflow_screenshots`, both show the same trainings.
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
from typing import TYPE_CHECKING

from benchmarks.common.mlflow_screenshots import IMAGES, NAME, browser_page, save, train_twice
from pcip_assets.workspace import LOCATION, Workspace
from pcip_core.locks import temporary_folder

if TYPE_CHECKING:
    from playwright.sync_api import Page

_CONFIG = f"""ops:
  {NAME}__encoder:
    config:
      epochs: 12
      width: 0.2
"""
_GRAPH = ("fields", "crops", "encoder", "cell_features", "protein_features", "knn_benchmark")


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
        with served(workspace) as address, browser_page() as page:
            take(page, address, options.to)


@contextmanager
def served(workspace: Workspace) -> Iterator[str]:
    """`pcip ui` over a workspace: the address of Dagster's pages."""
    dagster, mlflow = _free_port(), _free_port()
    ports = ["--dagster-port", str(dagster), "--mlflow-port", str(mlflow)]
    server = subprocess.Popen(
        [sys.executable, "-m", "pcip_assets.cli", "ui", *ports],
        env={**os.environ, "PCIP_DATA": str(workspace.data)},
    )
    address = f"http://127.0.0.1:{dagster}"
    try:
        while server.poll() is None:
            try:
                with urllib.request.urlopen(f"{address}/server_info", timeout=60):
                    break
            except OSError:
                time.sleep(1)
        else:
            raise SystemExit("the server ended")
        yield address
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def take(page: Page, address: str, folder: Path) -> None:
    """The graph of the screen, a table with its columns, the neighbours of another, the encoder and its launchpad."""
    size = page.viewport_size
    page.set_viewport_size({"width": 2000, "height": 760})
    page.goto(f"{address}/locations/{LOCATION}/jobs/{NAME}_all?expanded=global%40global%3A{NAME}")
    page.get_by_text("fields", exact=True).first.wait_for()
    page.mouse.dblclick(500, 700)  # on the background: fit the whole graph, as only what is in view is drawn
    for noun in _GRAPH:
        page.get_by_text(noun, exact=True).first.wait_for()
    save(page, folder / "asset_graph.png", clip={"x": 240, "y": 0, "width": 950, "height": 760})
    page.set_viewport_size(size)  # type: ignore[arg-type]

    page.goto(f"{address}/assets/{NAME}/cell_features")
    page.get_by_text("encoder_version", exact=True).first.wait_for()
    save(page, folder / "dagster_table.png")

    page.goto(f"{address}/assets/{NAME}/protein_features?view=lineage")
    page.get_by_text("cell_features", exact=False).first.wait_for()
    save(page, folder / "dagster_lineage.png")

    page.goto(f"{address}/assets/{NAME}/encoder")
    picture = page.locator('img[alt="preview"]').first
    picture.wait_for()
    page.wait_for_function("image => image.naturalWidth > 0", arg=picture.element_handle())
    picture.scroll_into_view_if_needed()
    save(page, folder / "dagster_encoder.png")

    page.goto(f"{address}/locations/{LOCATION}/jobs/{NAME}_training/playground")
    page.get_by_text("ops", exact=False).first.wait_for()
    page.locator(".CodeMirror").first.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(_CONFIG)
    save(page, folder / "dagster_launchpad.png")


if __name__ == "__main__":
    main()
