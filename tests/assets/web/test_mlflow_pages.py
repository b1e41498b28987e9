"""The settings of MLflow's own check, judged by MLflow's own functions."""

from __future__ import annotations

import pytest
from mlflow import environment_variables
from mlflow.server import security_utils

from pcip_assets.web.mlflow_pages import security

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
