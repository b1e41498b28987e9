"""Links from Dagster's pages to MLflow's and back, and reports on Dagster's server, on small applications."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from pcip_assets.web import DAGSTER, MLFLOW, REPORTS
from pcip_assets.web.guard import Guard
from pcip_assets.web.links import add_link, add_reports
from tests.assets.web.asgi import request

HTML = ("Accept", "text/html")


def pages(folder: Path) -> Guard:
    """An application that answers each path, with the links and the reports."""
    app = Starlette(routes=[Route("/{path:path}", lambda _: PlainTextResponse("the pages"))])
    add_link(app, MLFLOW, port=5001, fragment=True)
    add_link(app, DAGSTER, port=3001, fragment=False)
    add_reports(app, REPORTS, folder)
    return Guard(app, allowed_hosts=["lab.example"])


@pytest.mark.parametrize(
    ("host", "name"),
    [
        *(
            ("127.0.0.1:3000", "127.0.0.1"),
            ("localhost", "localhost"),
            ("[::1]:3000", "[::1]"),
            ("[::1]", "[::1]"),
        ),
        ("lab.example", "lab.example"),
    ],
)
def test_a_link_leads_to_the_other_port_under_the_same_name(tmp_path: Path, host: str, name: str) -> None:
    app = pages(tmp_path)
    answer = request(app, "GET", f"{MLFLOW}/experiments/1/runs/abc?x=1", [("Host", host), HTML])
    assert (answer.status, answer.headers["location"]) == (
        302,
        f"http://{name}:5001/#/experiments/1/runs/abc?x=1",
    )
    answer = request(app, "GET", f"{DAGSTER}/runs/abc", [("Host", host), HTML])
    assert (answer.status, answer.headers["location"]) == (302, f"http://{name}:3001/runs/abc")
    assert request(app, "GET", "/elsewhere", [("Host", host), HTML]).body == "the pages"


def test_a_link_leads_nowhere_else(tmp_path: Path) -> None:
    app = pages(tmp_path)
    for path in ("//evil.example", "https://evil.example", "\\evil.example", "@evil.example"):
        answer = request(app, "GET", f"{DAGSTER}/{quote(path)}", [("Host", "127.0.0.1:3000"), HTML])
        assert answer.headers["location"].startswith("http://127.0.0.1:3001/")
    assert request(app, "GET", f"{DAGSTER}/runs", [("Host", "evil.example"), HTML]).status == 403


def test_reports_are_served_without_rights_on_the_pages(tmp_path: Path) -> None:
    reports, secret = tmp_path / "reports", tmp_path / "secret.html"
    (reports / "tiny").mkdir(parents=True)
    (reports / "tiny" / "quality.html").write_text("<title>quality</title>")
    secret.write_text("secret")
    (reports / "link.html").symlink_to(secret)
    app = pages(reports)
    local = [("Host", "127.0.0.1:3000"), HTML]
    answer = request(app, "GET", f"{REPORTS}/tiny/quality.html", local)
    assert (answer.status, answer.body) == (200, "<title>quality</title>")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox ")
    assert "allow-same-origin" not in policy
    for path in ("../secret.html", "%2e%2e/secret.html", "link.html", "tiny/", "none.html"):
        assert request(app, "GET", f"{REPORTS}/{path}", local).status in (404, 405), path
    posted = request(
        app, "POST", f"{REPORTS}/tiny/quality.html", [*local, ("Content-Type", "application/json")]
    )
    assert posted.status == 405
    embedded = [("Host", "127.0.0.1:3000"), ("Sec-Fetch-Site", "cross-site")]
    assert request(app, "GET", f"{REPORTS}/tiny/quality.html", embedded).status == 403
