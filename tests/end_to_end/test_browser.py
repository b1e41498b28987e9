"""A person at the browser: see the graph of a screen, materialize the plate that is left, read it in SQL.

Meanwhile, another page in the same browser tries to do the same, and cannot.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from playwright.sync_api import Page, sync_playwright

from pcip_assets.cli.run import open_instance
from pcip_assets.partitions import register_shards
from pcip_assets.tracking import Tracking
from pcip_assets.workspace import Workspace
from pcip_core.store.publish import connect
from tests.assets.conftest import Finished, add_plate

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on this machine (Debian: apt-get install chromium)"
)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(url: str, server: subprocess.Popen[bytes], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert server.poll() is None, "the server stopped"
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"{url} did not answer within {seconds} s")


@pytest.fixture(scope="module")
def served(
    finished: Finished, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Workspace, str, str]]:
    """`pcip ui` over a tiny screen whose third plate is not materialized: its two URLs."""
    folder = tmp_path_factory.mktemp("served")
    made = finished.copied(folder)
    workspace = made.workspace
    add_plate(folder / "images", "plate_1", "plate_3")
    register_shards(open_instance(workspace), made.screen)
    dagster, mlflow = _free_port(), _free_port()
    command = [sys.executable, "-m", "pcip_assets.cli", "ui"]
    command += ["--dagster-port", str(dagster), "--mlflow-port", str(mlflow)]
    log = (folder / "ui.log").open("wb")
    server = subprocess.Popen(
        command, env={**os.environ, "PCIP_DATA": str(workspace.data)}, stdout=log, stderr=log, cwd=folder
    )
    try:
        _wait_for(f"http://127.0.0.1:{dagster}/server_info", server, 600)
        _wait_for(f"http://127.0.0.1:{mlflow}/health", server, 600)
        yield workspace, f"http://127.0.0.1:{dagster}", f"http://127.0.0.1:{mlflow}"
    finally:
        server.send_signal(signal.SIGINT)
        try:
            assert server.wait(300) is not None
        except subprocess.TimeoutExpired:
            server.kill()
        log.close()


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        rebound = "--host-resolver-rules=MAP rebound.example 127.0.0.1"  # as an attacker's name server does
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", rebound])
        page = browser.new_page(viewport={"width": 1500, "height": 950})
        page.set_default_timeout(120_000)  # the pages compute for long where other tests run beside them
        yield page
        browser.close()


@pytest.fixture
def other_page(tmp_path: Path) -> Iterator[str]:
    """An empty page of another server on this machine, of which Dagster and MLflow know nothing."""
    (tmp_path / "index.html").write_text("<!doctype html><title>another page</title>")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _cells_by_shard(workspace: Workspace) -> dict[str, int]:
    """What a shell beside us would see: one process that keeps a file open goes on seeing the old one."""
    query = "SELECT shard, count(*) FROM tiny.cell_features_inpainting_conv4 GROUP BY ALL"
    code = "import duckdb, json, sys; con = duckdb.connect(sys.argv[1], read_only=True); "
    code += "print(json.dumps(dict(con.sql(sys.argv[2]).fetchall())))"
    shell = [sys.executable, "-c", code, str(workspace.published), query]
    return dict(json.loads(subprocess.run(shell, check=True, capture_output=True, text=True).stdout))


def test_materialize_one_plate_and_read_it(
    served: tuple[Workspace, str, str], page: Page, tmp_path: Path
) -> None:
    workspace, dagster, _ = served
    assert _cells_by_shard(workspace) == {"plate_1": 36, "plate_2": 36}
    page.goto(f"{dagster}/locations/pcip/jobs/tiny_features?expanded=global%40global%3Atiny")
    page.get_by_text("fields", exact=True).first.wait_for()
    page.mouse.dblclick(500, 850)  # on the background: fit the whole graph, as only what is in view is drawn
    for noun in ("crops", "cell_features", "knn_benchmark"):
        page.get_by_text(noun, exact=True).first.wait_for()
    page.screenshot(path=tmp_path / "graph.png")

    page.get_by_role("button", name="Materialize all").first.click()
    page.get_by_role("button", name="Missing", exact=True).click()
    page.get_by_text("1 partition", exact=True).wait_for()
    page.screenshot(path=tmp_path / "launch.png")
    page.get_by_role("button", name="Launch").click()
    end = time.monotonic() + 600
    with connect(workspace.published) as open_all_the_while:  # a notebook that stays open stops nothing
        while _cells_by_shard(workspace).get("plate_3") is None:
            assert time.monotonic() < end, "the plate did not arrive within 600 s"
            time.sleep(1)
        old = open_all_the_while.sql("SELECT count(*) FROM tiny.cells").fetchall()
        assert old == [(72,)], "who has the store open keeps what was there"
    assert _cells_by_shard(workspace) == {"plate_1": 36, "plate_2": 36, "plate_3": 36}


def test_mlflow_shows_the_training(served: tuple[Workspace, str, str], page: Page, tmp_path: Path) -> None:
    workspace, _, mlflow = served
    champion = Tracking(data=str(workspace.data)).champion("tiny")
    experiment = MlflowClient(workspace.mlflow_uri).get_experiment_by_name("tiny").experiment_id
    page.goto(f"{mlflow}/#/experiments/{experiment}/runs/{champion.run_id}")
    page.get_by_text("learning_rate", exact=True).first.wait_for()
    page.get_by_text("validation_loss", exact=True).first.wait_for()
    page.screenshot(path=tmp_path / "mlflow.png")


def test_a_link_leads_from_dagster_to_mlflow_and_another_one_back(
    served: tuple[Workspace, str, str], page: Page, tmp_path: Path
) -> None:
    workspace, dagster, mlflow = served
    run_id = Tracking(data=str(workspace.data)).champion("tiny").run_id
    page.goto(f"{dagster}/assets/tiny/encoder")
    picture = page.locator('img[alt="preview"]').first  # in place, without a button
    picture.wait_for()
    page.wait_for_function("image => image.naturalWidth > 0", arg=picture.element_handle())
    page.screenshot(path=tmp_path / "encoder.png")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name=f"/runs/{run_id}").first.click()
    there = opened.value
    there.get_by_text("learning_rate", exact=True).first.wait_for()
    assert there.url.startswith(f"{mlflow}/#/experiments/")
    back = there.get_by_role("link", name="Dagster run").first
    back.wait_for()
    there.screenshot(path=tmp_path / "mlflow_run.png")
    made_by = str(back.get_attribute("href")).rpartition("/")[2]
    there.evaluate("link => { link.target = '_self' }", back.element_handle())  # in this tab
    back.click()
    there.wait_for_url(f"{dagster}/runs/{made_by}*")
    there.get_by_text("tiny_all").first.wait_for()


ATTACK = """async ([dagster, mlflow]) => {
    const mutation = (key) => `mutation { setConcurrencyLimit(concurrencyKey: "${key}", limit: 3) }`;
    const address = (key) => `${dagster}/graphql?query=${encodeURIComponent(mutation(key))}`;
    const element = (tag, settings) => new Promise((resolve) => {
        const made = Object.assign(document.createElement(tag), settings);
        made.onload = () => resolve("load");
        made.onerror = () => resolve("error");
        document.body.append(made);
    });
    const form = (key) => {
        const frame = element("iframe", {name: key});
        const sent = Object.assign(document.createElement("form"), {method: "post", action: address(key), target: key});
        document.body.append(sent);
        sent.submit();
        return frame;
    };
    const send = (url, body, type, mode) => fetch(url, {method: "POST", body, mode, headers: {"Content-Type": type}})
        .then((answer) => answer.type, () => "error");
    const json = (key) => JSON.stringify({query: mutation(key)});
    const create = `${mlflow}/ajax-api/2.0/mlflow/experiments/create`;
    const socket = new Promise((resolve) => {
        const opened = new WebSocket(dagster.replace("http", "ws") + "/graphql", "graphql-ws");
        opened.onopen = () => resolve("open");
        opened.onerror = () => resolve("error");
    });
    return {
        image: await element("img", {src: address("image")}),
        script: await element("script", {src: address("script")}),
        frame: await element("iframe", {src: dagster + "/runs"}),
        form: await form("form"),
        text: await send(`${dagster}/graphql`, json("text"), "text/plain", "no-cors"),
        address: await send(address("address"), "", "text/plain", "no-cors"),
        json: await send(`${dagster}/graphql`, json("json"), "application/json", "cors"),
        socket: await socket,
        mlflow_json: await send(create, '{"name": "attacked json"}', "application/json", "cors"),
        mlflow_text: await send(create, '{"name": "attacked text"}', "text/plain", "no-cors"),
        mlflow_read: await fetch(`${mlflow}/version`).then((answer) => answer.type, () => "error"),
    };
}"""


def test_another_page_can_neither_read_nor_write(
    served: tuple[Workspace, str, str], page: Page, other_page: str
) -> None:
    workspace, dagster, mlflow = served
    page.goto(f"{other_page}/index.html")
    outcome = page.evaluate(ATTACK, [dagster, mlflow])
    # frames load an error page
    assert outcome == dict.fromkeys(outcome, "error") | {"frame": "load", "form": "load"}
    assert {frame.url for frame in page.frames[1:]} == {"chrome-error://chromewebdata/"}
    assert _limits(page, dagster) == []
    names = {experiment.name for experiment in MlflowClient(workspace.mlflow_uri).search_experiments()}
    assert {name for name in names if name.startswith("attacked")} == set()

    page.goto(dagster.replace("127.0.0.1", "rebound.example"))
    assert page.get_by_text("pcip refused this request").is_visible()
    page.goto(mlflow.replace("127.0.0.1", "rebound.example"))
    assert page.get_by_text("pcip refused this request").is_visible()

    page.goto(dagster)
    own = """() => fetch("/graphql", {
        method: "POST",
        headers: {"Content-Type": "application/json"},
        body: JSON.stringify({query: 'mutation { setConcurrencyLimit(concurrencyKey: "own", limit: 3) }'}),
    }).then((answer) => answer.type)"""
    assert page.evaluate(own) == "basic"
    assert _limits(page, dagster) == ["own"]


def _limits(page: Page, dagster: str) -> list[Any]:
    """The keys that the mutations above set."""
    query = "{ instance { concurrencyLimits { concurrencyKey } } }"
    answer = page.request.post(f"{dagster}/graphql", data={"query": query}).json()
    keys = [limit["concurrencyKey"] for limit in answer["data"]["instance"]["concurrencyLimits"]]
    return [key for key in keys if key in ("image", "script", "form", "text", "address", "json", "own")]
