"""A team: two people run their first screens at once, with the records of Dagster and MLflow on a PostgreSQL server."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from pcip_assets.dagster_compat import is_on_server
from pcip_assets.servers.instance import open_instance
from pcip_assets.tracking import Tracking
from pcip_assets.workspace import Workspace
from tests import postgres, proxy
from tests.conftest import write_tiny_screen
from tests.postgres import PASSWORD, Postgres, free_ports

SCREENS = ("first", "second")
WITHIN_S = 900.0


@dataclass(frozen=True)
class Team:
    """A workspace of a team, after two first runs at once.

    Attributes:
        outputs: what each run printed, by its screen.
        environment: of the programs of the team.
    """

    server: Postgres
    workspace: Workspace
    outputs: dict[str, str]
    environment: dict[str, str]
    databases: dict[str, str]


def pcip(environment: dict[str, str], *words: str, cwd: Path) -> subprocess.Popen[str]:
    """Start a command of pcip."""
    return subprocess.Popen(
        [sys.executable, "-m", "pcip_assets.cli", *words],
        env=environment,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("team")
    with postgres.running() as server, pytest.MonkeyPatch.context() as patched:
        databases = {name: server.create() for name in ("dagster", "mlflow")}
        (folder / "data").mkdir()
        (folder / "data" / "servers.yaml").write_text(
            "".join(f"{name}: {server.url(database)}\n" for name, database in databases.items())
        )
        patched.setenv("PGPASSFILE", str(server.passwords))
        environment = {**os.environ, "PCIP_DATA": str(folder / "data")}
        runs = {}
        for name in SCREENS:
            (folder / name).mkdir()
            spec = write_tiny_screen(folder / name, name=name, plates=1)
            runs[name] = pcip(environment, "run", str(spec), cwd=folder)
        outputs = {name: run.communicate(timeout=WITHIN_S)[0] for name, run in runs.items()}
        assert {name: run.returncode for name, run in runs.items()} == dict.fromkeys(SCREENS, 0), outputs
        yield Team(server, Workspace(folder / "data"), outputs, environment, databases)


def test_both_first_runs_are_in_the_databases_and_nothing_in_files(team: Team) -> None:
    assert {*team.workspace.data.rglob("*.db")} == set()
    with open_instance(team.workspace) as instance:
        assert is_on_server(instance)
        made = {
            key.to_user_string()
            for key in instance.get_asset_keys()
            if instance.get_latest_materialization_event(key)
        }
        assert {
            f"{name}/{noun}" for name in SCREENS for noun in ("fields", "cell_features", "knn_benchmark")
        } <= made
        assert [run.status.value for run in instance.get_runs()] == ["SUCCESS", "SUCCESS"]
    query = "SELECT name, version FROM registered_model_aliases WHERE alias = 'champion' ORDER BY name"
    assert team.server.sql(query, team.databases["mlflow"]) == ["first|1", "second|1"]
    for name in SCREENS:
        champion = Tracking(data=str(team.workspace.data)).champion(name)
        assert champion.version == f"{name}/1"
        assert champion.folder.is_relative_to(team.workspace.artifacts(name))


def test_no_password_is_written_or_printed(team: Team) -> None:
    assert PASSWORD not in "".join(team.outputs.values())
    written = [path for path in team.workspace.folder.rglob("*") if path.is_file()]
    assert team.workspace.dagster_home / "dagster.yaml" in written
    assert [path for path in written if PASSWORD.encode() in path.read_bytes()] == []


def test_the_next_start_ends_a_run_that_was_killed(team: Team) -> None:
    query = "SELECT run_id FROM runs WHERE status = 'STARTED'"
    run = pcip(team.environment, "run", "second", "--retrain", "--epochs", "5000", cwd=team.workspace.folder)
    end = time.monotonic() + WITHIN_S
    training = "SELECT run_uuid FROM runs WHERE status = 'RUNNING'"
    while not (running := team.server.sql(training, team.databases["mlflow"])):
        assert run.poll() is None
        assert time.monotonic() < end
        time.sleep(0.2)
    (started,) = team.server.sql(query, team.databases["dagster"])
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    with open_instance(team.workspace) as instance:
        ended = instance.get_run_by_id(started)
        assert ended is not None
        assert ended.status == dg.DagsterRunStatus.FAILURE
    status = f"SELECT status FROM runs WHERE run_uuid = '{running[0]}'"
    assert team.server.sql(status, team.databases["mlflow"]) == ["KILLED"]


@dataclass(frozen=True)
class Pages:
    """The addresses of two `pcip ui`: one whose pages can change everything, and one whose pages only show it."""

    dagster: int
    mlflow: int
    dagster_shown: int
    mlflow_shown: int


@pytest.fixture(scope="module")
def pages(team: Team) -> Iterator[Pages]:
    served = Pages(*free_ports(4))
    started = []
    outputs = []
    for ports, more in (
        ((served.dagster, served.mlflow), []),
        ((served.dagster_shown, served.mlflow_shown), ["--read-only"]),
    ):
        words = [
            "ui",
            "--allow-host",
            "lab.example",
            "--dagster-port",
            str(ports[0]),
            "--mlflow-port",
            str(ports[1]),
        ]
        started.append(pcip(team.environment, *words, *more, cwd=team.workspace.folder))
    try:
        for command in started:
            assert command.stdout is not None
            outputs.append(next((line for line in command.stdout if line.startswith("Dagster http")), None))
        assert None not in outputs, "the pages ended"
        yield served
    finally:
        for command in started:
            with contextlib.suppress(ProcessLookupError):
                command.send_signal(signal.SIGINT)
        rest = [command.communicate(timeout=120)[0] for command in started]
    assert PASSWORD not in "".join(rest)


def answer(address: str, body: object) -> str:
    """What a page answers to JSON."""
    request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as response:
        return str(response.read().decode())


def test_the_pages_show_what_the_databases_hold(team: Team, pages: Pages) -> None:
    query = "{ assetNodes { assetKey { path } assetMaterializations(limit: 1) { runId } } instance { info } }"
    for port in (pages.dagster, pages.dagster_shown):
        shown = answer(f"http://127.0.0.1:{port}/graphql", {"query": query})
        nodes = json.loads(shown)["data"]["assetNodes"]
        made = {"/".join(node["assetKey"]["path"]) for node in nodes if node["assetMaterializations"]}
        assert {"first/cell_features", "second/cell_features"} <= made
        assert PASSWORD not in shown
    for port in (pages.mlflow, pages.mlflow_shown):
        search = f"http://127.0.0.1:{port}/ajax-api/2.0/mlflow/experiments/search"
        found = answer(search, {"max_results": 10})
        assert {*SCREENS} <= {each["name"] for each in json.loads(found)["experiments"]}
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=120) as response:
            assert "metrics.`best_" in response.read().decode(), "the columns of an experiment"
        assert PASSWORD not in found
    end = time.monotonic() + WITHIN_S
    while not team.server.sql("SELECT daemon_type FROM daemon_heartbeats", team.databases["dagster"]):
        assert time.monotonic() < end
        time.sleep(0.5)


WIPE = (
    'mutation { wipeAssets(assetPartitionRanges: [{assetKey: {path: ["first", "fields"]}}]) { __typename } }'
)


def test_read_only_pages_change_nothing(team: Team, pages: Pages) -> None:
    refused = json.loads(answer(f"http://127.0.0.1:{pages.dagster_shown}/graphql", {"query": WIPE}))
    assert refused["data"]["wipeAssets"]["__typename"] == "UnauthorizedError"
    create = "ajax-api/2.0/mlflow/experiments/create"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        answer(f"http://127.0.0.1:{pages.mlflow_shown}/{create}", {"name": "by a guest"})
    answer(f"http://127.0.0.1:{pages.mlflow}/{create}", {"name": "by a member"})
    names = team.server.sql("SELECT name FROM experiments", team.databases["mlflow"])
    assert "by a member" in names
    assert "by a guest" not in names


def test_nginx_lets_members_in_as_the_page_describes(pages: Pages, tmp_path: Path) -> None:
    with proxy.running(tmp_path, vars(pages)) as (ports, call):
        assert call(ports[8443], "GET", "/", password=None) == (401, "")
        assert call(ports[8443], "GET", "/", password="wrong") == (401, "")
        assert call(ports[8443], "GET", "/")[0] == 200
        query = {"query": "{ version }"}
        assert (
            json.loads(call(ports[8443], "POST", "/graphql", body=query)[1])["data"]["version"]
            == dg.__version__
        )
        assert call(ports[8443], "POST", "/graphql", body=query, origin="https://evil.example")[0] == 403
        assert call(ports[8443], "GET", "/", host="evil.example")[0] == 403
        assert (
            call(ports[9444], "POST", "/ajax-api/2.0/mlflow/experiments/create", body={"name": "x"})[0] == 403
        )
        status, place = call(ports[8443], "GET", "/pcip/mlflow/experiments/1")
        assert (status, place) == (302, f"https://lab.example:{ports[8444]}/#/experiments/1")
        assert proxy.websocket_answers(ports[8443])
