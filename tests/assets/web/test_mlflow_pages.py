"""The settings of MLflow's own check, judged by MLflow's own functions."""

from __future__ import annotations

import pytest
from mlflow import environment_variables
from mlflow.server import security_utils
from mlflow.server.handlers import get_endpoints
from starlette.responses import PlainTextResponse

from pcip_assets.web.guard import Guard
from pcip_assets.web.mlflow_pages import _SEARCHES, security
from tests.assets.web.asgi import request

SETTINGS = security(["lab.example"])


def test_every_setting_is_one_of_mlflow() -> None:
    for name in SETTINGS:
        assert getattr(environment_variables, name).name == name
    assert SETTINGS["MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE"] == "false"


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1:5000", True),
        ("localhost", True),
        ("[::1]:5000", True),
        ("lab.example:8443", True),
        ("evil.example", False),
        ("192.168.0.7:5000", False),
        ("0.0.0.0:5000", False),
        (":5000", False),
    ],
)
def test_hosts(host: str, allowed: bool) -> None:  # noqa: FBT001
    hosts = SETTINGS["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert security_utils.is_allowed_host_header(hosts, host) == allowed


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [("http://127.0.0.1:5000", True), ("https://lab.example", True), ("https://evil.example", False)],
)
def test_origins(origin: str, allowed: bool) -> None:  # noqa: FBT001
    origins = SETTINGS["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"].split(",")
    assert security_utils.should_block_cors_request(origin, "POST", origins) != allowed


def test_read_only_pages_pass_on_searches_alone() -> None:
    """Judged by the names of the functions with which MLflow answers."""
    posts = {(path, handler.__name__) for path, handler, methods in get_endpoints() if "POST" in methods}
    passed = {name for path, name in posts if _SEARCHES.search(path)}
    assert {"_search_runs", "_search_experiments", "_search_logged_models", "_graphql"} <= passed
    assert {name for name in passed if not name.startswith("_search")} == {"_graphql", "_not_implemented"}
    assert {"_create_experiment", "_delete_run", "_log_batch", "_update_experiment"} <= {
        name for _, name in posts
    } - passed


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/ajax-api/2.0/mlflow/runs/get", 200),
        ("HEAD", "/", 200),
        ("POST", "/ajax-api/2.0/mlflow/runs/search", 200),
        ("POST", "/ajax-api/2.0/mlflow/runs/delete", 403),
        ("POST", "/ajax-api/2.0/mlflow/runs/search/../delete", 403),
        ("PATCH", "/ajax-api/2.0/mlflow/registered-models/update", 403),
        ("DELETE", "/ajax-api/2.0/mlflow/registered-models/search", 403),
        ("PUT", "/ajax-api/2.0/mlflow-artifacts/artifacts/a", 403),
    ],
)
def test_read_only_pages_refuse_changes(method: str, path: str, status: int) -> None:
    pages = Guard(PlainTextResponse("done"), json_only=False, searches=_SEARCHES)
    answer = request(pages, method, path, [("Host", "127.0.0.1:5000")])
    assert answer.status == status
    assert ("--read-only" in answer.body) == (status == 403)
