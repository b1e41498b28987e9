"""The guard before Dagster's real application: what other web pages can send does nothing, the pages work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import dagster as dg
import pytest
import yaml

from pcip_assets.dagster_compat import dagster_app
from pcip_assets.web.guard import Guard, host_name
from pcip_core.errors import PcipError
from tests.assets.web.asgi import Answer, Headers, accepts_websocket, request

HOST = ("Host", "127.0.0.1:3000")
JSON = ("Content-Type", "application/json")
HTML = ("Accept", "text/html,application/xhtml+xml")
OWN = ("Origin", "http://127.0.0.1:3000")
KEY = "attacked"
MUTATION = f'mutation {{ setConcurrencyLimit(concurrencyKey: "{KEY}", limit: 3) }}'
BODY = json.dumps({"query": MUTATION})
BY_GET = "/graphql?query=" + quote(MUTATION)


@pytest.fixture(scope="module")
def dagster_pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, dg.DagsterInstance]]:
    """Dagster's application without guard and without code, and its instance."""
    home = tmp_path_factory.mktemp("dagster")
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (home / "workspace.yaml").write_text(yaml.safe_dump({"load_from": []}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home))
        with dagster_app(str(home / "workspace.yaml")) as app, dg.DagsterInstance.get() as instance:
            yield app, instance


@pytest.fixture
def bare(dagster_pages: tuple[Any, dg.DagsterInstance]) -> Any:
    return dagster_pages[0]


@pytest.fixture
def guarded(bare: Any) -> Guard:
    return Guard(bare, graphql="/graphql")


@pytest.fixture
def changed(dagster_pages: tuple[Any, dg.DagsterInstance]) -> Iterator[Any]:
    """Tells whether the mutation was carried out since the last call."""
    storage = dagster_pages[1].event_log_storage

    def since_last_call() -> bool:
        limited = KEY in storage.get_concurrency_keys()
        if limited:
            storage.delete_concurrency_limit(KEY)
        return limited

    assert not since_last_call()
    return since_last_call


ATTACKS: dict[str, tuple[str, str, Headers, str]] = {
    "an image": ("GET", BY_GET, [HOST, ("Sec-Fetch-Site", "cross-site"), ("Accept", "image/*")], ""),
    "an image in an old browser": ("GET", BY_GET, [HOST], ""),
    "a page that asks for no HTML": ("GET", BY_GET, [HOST, ("Accept", "*/*")], ""),
    "a query in percent signs": ("GET", BY_GET.replace("graphql", "%67raphql"), [HOST], ""),
    "a foreign origin": ("POST", "/graphql", [HOST, JSON, ("Origin", "https://evil.example")], BODY),
    "another port": ("POST", "/graphql", [HOST, JSON, ("Origin", "http://127.0.0.1:8000")], BODY),
    "no port": ("POST", "/graphql", [HOST, JSON, ("Origin", "http://127.0.0.1")], BODY),
    "another name": ("POST", "/graphql", [HOST, JSON, ("Origin", "http://localhost:3000")], BODY),
    "a longer name": ("POST", "/graphql", [HOST, JSON, ("Origin", "http://127.0.0.1:3000.evil.example")], BODY),
    "an extension": ("POST", "/graphql", [HOST, JSON, ("Origin", "chrome-extension://127.0.0.1:3000")], BODY),
    "a sandbox": ("POST", "/graphql", [HOST, JSON, ("Origin", "null")], BODY),
    "an empty origin": ("POST", "/graphql", [HOST, JSON, ("Origin", "")], BODY),
    "two origins": ("POST", "/graphql", [HOST, JSON, OWN, ("Origin", "https://evil.example")], BODY),
    "a fetch without origin": ("POST", "/graphql", [HOST, JSON, ("Sec-Fetch-Site", "same-site")], BODY),
    "a foreign host": ("POST", "/graphql", [("Host", "evil.example:3000"), JSON], BODY),
    "a host that is rebound": (
        "POST", "/graphql", [("Host", "evil.example"), ("Origin", "http://evil.example"), JSON], BODY,
    ),
    "a host that begins alike": ("POST", "/graphql", [("Host", "127.0.0.1.evil.example"), JSON], BODY),
    "a host that ends alike": ("POST", "/graphql", [("Host", "evil.localhost"), JSON], BODY),
    "a host with a user": ("POST", "/graphql", [("Host", "127.0.0.1:3000@evil.example"), JSON], BODY),
    "every address": ("POST", "/graphql", [("Host", "0.0.0.0:3000"), JSON], BODY),
    "two hosts": ("POST", "/graphql", [HOST, ("Host", "evil.example"), JSON], BODY),
    "no host": ("POST", "/graphql", [JSON], BODY),
    "a form": ("POST", BY_GET, [HOST, ("Content-Type", "application/x-www-form-urlencoded")], ""),
    "a form with files": ("POST", BY_GET, [HOST, ("Content-Type", "multipart/form-data; boundary=x")], ""),
    "plain text": ("POST", BY_GET, [HOST, ("Content-Type", "text/plain")], ""),
    "text that mentions JSON": ("POST", "/graphql", [HOST, ("Content-Type", "text/plain; application/json")], BODY),
    "two types": ("POST", "/graphql", [HOST, JSON, ("Content-Type", "text/plain")], BODY),
    "no type": ("POST", BY_GET, [HOST], ""),
    "bare GraphQL": ("POST", "/graphql", [HOST, ("Content-Type", "application/graphql")], MUTATION),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_what_another_page_sends_does_nothing(
    attack: tuple[str, str, Headers, str], bare: Any, guarded: Guard, changed: Any
) -> None:
    answer = request(guarded, *attack)
    assert answer.status == 403
    assert answer.body.startswith("pcip refused this request.")
    assert not changed()
    assert request(bare, *attack).status == 200
    assert changed(), "without the guard, the request is carried out"


@pytest.mark.parametrize(
    "headers",
    [[HOST, JSON], [HOST, JSON, OWN, ("Sec-Fetch-Site", "same-origin")], [("Host", "localhost"), JSON]],
    ids=["a program", "the pages themselves", "another name of the loopback"],
)
def test_what_the_pages_and_programs_send_is_carried_out(
    headers: Headers, guarded: Guard, changed: Any
) -> None:
    assert json.loads(request(guarded, "POST", "/graphql", headers, BODY).body)["data"] == {
        "setConcurrencyLimit": True
    }
    assert changed()


def test_several_mutations_in_one_body_are_refused_by_dagster(guarded: Guard, changed: Any) -> None:
    with pytest.raises(AttributeError):
        request(guarded, "POST", "/graphql", [HOST, JSON], f"[{BODY},{BODY}]")
    assert not changed()


def test_reports_of_assets_need_json(guarded: Guard, dagster_pages: tuple[Any, dg.DagsterInstance]) -> None:
    report = ("POST", "/report_asset_materialization/forged")
    assert request(guarded, *report, [HOST, ("Content-Type", "text/plain")]).status == 403
    assert dagster_pages[1].all_asset_keys() == []


@pytest.mark.parametrize(
    "path", ["/", "/runs", "/locations/pcip/jobs/tiny_features?expanded=x", "/server_info", "/graphql"]
)
def test_the_pages_open_by_address_and_by_link(path: str, guarded: Guard, bare: Any) -> None:
    typed = [HOST, HTML, ("Sec-Fetch-Site", "none")]
    followed = [
        HOST,
        HTML,
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
    ]
    for headers in (typed, followed):
        answer = request(guarded, "GET", path, headers)
        assert answer.status == 200
        assert answer.headers["x-frame-options"] == "SAMEORIGIN"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    framed = [*followed[:-1], ("Sec-Fetch-Dest", "iframe")]
    assert (request(bare, "GET", path, framed).status, request(guarded, "GET", path, framed).status) == (
        200,
        403,
    )


def test_a_link_to_the_query_editor_carries_nothing_out(guarded: Guard, changed: Any) -> None:
    answer = request(guarded, "GET", BY_GET, [HOST, HTML])
    assert (answer.status, "<title>GraphiQL</title>" in answer.body) == (200, True)
    assert not changed()


WEBSOCKETS = {
    "a program": ([HOST], True),
    "the pages themselves": ([HOST, OWN], True),
    "over TLS, behind a proxy": ([HOST, ("Origin", "https://127.0.0.1:3000")], True),
    "a foreign origin": ([HOST, ("Origin", "https://evil.example")], False),
    "another port": ([HOST, ("Origin", "http://127.0.0.1:8000")], False),
    "a sandbox": ([HOST, ("Origin", "null")], False),
    "a host that is rebound": ([("Host", "evil.example"), ("Origin", "http://evil.example")], False),
}


@pytest.mark.parametrize(("headers", "accepted"), WEBSOCKETS.values(), ids=WEBSOCKETS)
def test_websockets(headers: Headers, accepted: bool, bare: Any, guarded: Guard) -> None:  # noqa: FBT001
    assert accepts_websocket(bare, "/graphql", headers)
    assert accepts_websocket(guarded, "/graphql", headers) == accepted


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:3000", "localhost:8080", "LOCALHOST", "[::1]", "[::1]:3000", "lab.example"],
)
def test_names_that_are_allowed(host: str) -> None:
    answer = request(Guard(_page, allowed_hosts=["Lab.example"]), "GET", "/", [("Host", host)])
    assert answer == Answer(200, answer.headers, "a page")


@pytest.mark.parametrize(
    "name", ["*", "*.example", "lab.example:443", "https://lab.example", "a b", "lab/x", ""]
)
def test_names_that_cannot_be_allowed(name: str) -> None:
    with pytest.raises(PcipError, match="--allow-host"):
        host_name(name)


def test_a_refusal_names_the_remedy() -> None:
    answer = request(Guard(_page), "GET", "/", [("Host", "lab.example")])
    assert "pcip ui --allow-host NAME" in answer.body
    assert answer.headers["content-type"].startswith("text/plain")


async def _page(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"a page"})
