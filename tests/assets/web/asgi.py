"""Requests to an ASGI application in this process, with exactly the headers that a test gives."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

Headers = Sequence[tuple[str, str]]


class Answer(NamedTuple):
    """A status, the headers by lower-case name, and the body."""

    status: int
    headers: dict[str, str]
    body: str


def request(app: Any, method: str, target: str, headers: Headers, body: str = "") -> Answer:
    """Send a request and collect the answer."""
    sent = asyncio.run(_converse(app, {"type": "http", "method": method, **_scope(target, headers)}, body))
    start = next(message for message in sent if message["type"] == "http.response.start")
    answered = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], answered, b"".join(m.get("body", b"") for m in sent).decode())


def accepts_websocket(app: Any, target: str, headers: Headers) -> bool:
    """Whether the application accepts a websocket."""
    scope = {"type": "websocket", "subprotocols": ["graphql-ws"], **_scope(target, headers)}
    return any(message["type"] == "websocket.accept" for message in asyncio.run(_converse(app, scope, "")))


def _scope(target: str, headers: Headers) -> dict[str, Any]:
    path, _, query = target.partition("?")
    return {
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 3000),
        "state": {},
    }


async def _converse(app: Any, scope: dict[str, Any], body: str) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    if scope["type"] == "http":
        incoming = [{"type": "http.request", "body": body.encode()}, {"type": "http.disconnect"}]
    else:
        incoming = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}]

    async def receive() -> dict[str, Any]:
        return incoming.pop(0) if len(incoming) > 1 else incoming[0]

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent
