"""The application of `pcip browse`: what it answers, and to whom."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp

from pcip_assets.browse import application as module
from pcip_assets.browse.actions import ACTIONS, Actions
from tests.assets.web.asgi import Answer, Headers, request
from tests.core.browse.conftest import HOSTILE, SET, Browsed

OURS = (("Host", "127.0.0.1:8050"), ("Content-Type", "application/json"), ("Origin", "http://127.0.0.1:8050"))
STATIC = Path(module.__file__).parent / "static"
LABEL = {"rows": [0, 1], "label": "mine", "feature_set": SET}


def ask(app: ASGIApp, action: str, values: Any = None, headers: Headers = OURS) -> Answer:
    """Ask for an action as the page does."""
    return request(app, "POST", f"/do/{action}", headers, json.dumps(values if values is not None else {}))


def test_the_page_gets_all_that_it_shows(app: ASGIApp) -> None:
    state = json.loads(ask(app, "state").body)
    assert state["title"] == "tiny"
    assert [channel["name"] for channel in state["channels"]] == ["nucleus", "protein"]
    assert [each["key"] for each in state["maps"]] == [f"cells.{SET}.pca", f"proteins.{SET}.pca"]
    region = {"type": "rect", "x0": -99, "x1": 99, "y0": -99, "y1": 99}
    chosen = json.loads(ask(app, "select", {"map": f"cells.{SET}.pca", "region": region}).body)
    assert (chosen["total"], len(chosen["cells"])) == (72, 72)
    assert HOSTILE in {cell["values"]["protein"] for cell in chosen["cells"]}
    assert HOSTILE in json.loads(ask(app, "values", {"column": "protein"}).body)["values"]
    assert json.loads(ask(app, "label", LABEL).body)["classes"][0]["count"] == 2
    assert json.loads(ask(app, "undo").body)["changed"] == 2


def test_the_figure_has_the_models_that_the_page_looks_for(app: ASGIApp) -> None:
    answer = request(app, "GET", "/figure", OURS[:1])
    assert {'"name": "map"', '"name": "picture"'} <= set(re.findall(r'"name": "\w+"', answer.body))


@pytest.mark.parametrize(
    "headers",
    [
        (*OURS[:2], ("Origin", "http://127.0.0.1:9999")),
        (*OURS[:2], ("Origin", "null")),
        (("Host", "rebound.example:8050"), *OURS[1:]),
        (OURS[0], ("Content-Type", "text/plain"), OURS[2]),
        (*OURS[:2], ("Sec-Fetch-Site", "cross-site")),
    ],
)
def test_another_page_writes_no_labels(app: ASGIApp, browsed: Browsed, headers: Headers) -> None:
    assert ask(app, "label", LABEL, headers).status == 403
    assert "labels_manual" not in browsed.store.tables("tiny")


def test_a_get_does_nothing(app: ASGIApp) -> None:
    assert request(app, "GET", "/do/undo", OURS[:1]).status == 405


@pytest.mark.parametrize(
    ("action", "values", "problem"),
    [
        ("label", {"rows": [0, 99], "label": "x", "feature_set": SET}, "cell: found row 99"),
        ("label", {"rows": ["x"], "label": "x", "feature_set": SET}, "valid integer"),
        ("label", {"rows": [0], "label": "", "feature_set": SET}, "an empty label"),
        ("label", {"rows": [0], "label": "x", "feature_set": "y"}, "feature set y"),
        ("label", {"more": 1}, "label: "),
        ("label", [1], "label: "),
        ("open_labels", {"name": "../x"}, "an invalid name"),
        ("train", {"feature_set": SET}, "two or more labels"),
        ("picture", {"map": "x", "limits": [0, 1, 0, 1], "width": 9, "height": 9}, "map: found 'x'"),
        ("page", {"selection": 9, "page": 0}, "Select again"),
        ("crops", {"rows": [10**30]}, "crops: "),
        ("label", {**LABEL, "labels": "others"}, "which this page shows"),
        ("undo", {"labels": "others"}, "which this page shows"),
        ("train", {"feature_set": SET, "labels": "others"}, "which this page shows"),
    ],
)
def test_what_cannot_be_done_is_explained(app: ASGIApp, action: str, values: Any, problem: str) -> None:
    answer = ask(app, action, values)
    assert answer.status == 422
    assert problem in json.loads(answer.body)["problem"]


def test_requests_that_are_no_actions(app: ASGIApp, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(app, "call").status == 404
    assert request(app, "POST", "/do/state", OURS, "{").status == 422
    assert request(app, "POST", "/do/state", OURS, "[" * 200_000).status == 422
    assert json.loads(ask(app, "progress").body) == {"what": "", "share": 0}
    monkeypatch.setattr(module, "_MOST_BYTES", 10)
    assert ask(app, "label", LABEL).status == 413
    assert all(callable(getattr(Actions, name)) for name in ACTIONS)


def test_numbers_that_json_does_not_know_are_null() -> None:
    values = {"a": float("nan"), "b": [float("inf"), 1.5], 3: ("x", None)}
    assert module._finite(values) == {"a": None, "b": [None, 1.5], "3": ["x", None]}


def test_names_cannot_run_anything(app: ASGIApp) -> None:
    page = request(app, "GET", "/", OURS[:1])
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self';" in policy
    assert not re.search(r"<script(?! src| type=\"module\" src)|\son\w+=|https?://", page.body)
    for script in STATIC.glob("*.js"):
        forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|https?://"
        assert not re.search(forbidden, script.read_text()), script
