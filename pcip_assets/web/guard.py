"""The check before every page that pcip serves: no other web page can use it.

A server on 127.0.0.1 is within reach of every page that a browser on this machine shows. Such a page can send
requests (an image whose address launches a run, a form, a script), open websockets, and give its own domain the
address 127.0.0.1 (DNS rebinding), after which the browser takes pcip for a part of that page.

The check needs no password, because a browser reveals where a request comes from, and a page cannot forge it:

- `Host` must be a name of this machine's loopback, or a name that the user allows. This ends DNS rebinding.
- `Origin`, if there is one, must be the `Host`, with its port: `http://127.0.0.1:8000` is another page. A browser
  sends it with every POST and every websocket.
- `Sec-Fetch-Site`, if there is one, must be `same-origin` or `none`, except for a link that is followed. This
  covers the GET requests of images, scripts and frames, which carry no `Origin`.
- A POST must be JSON, for which a browser asks first whether another page may send it, and no GraphQL query is
  carried out by GET.

A request without these headers comes from a program, and a program on this machine needs no web page to do harm.
"""

import logging
import re
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from pcip_assets.web import ALLOW
from pcip_core.errors import PcipError

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[0-9a-z._-]+)(?::[0-9]{1,5})?", re.IGNORECASE)
_READING = ("GET", "HEAD", "OPTIONS")
_SHOWN = 200  # characters of a header in a message
_HEADERS = {
    "X-Frame-Options": "SAMEORIGIN",  # no other page shows ours in a frame and makes the user click in it
    "Cross-Origin-Resource-Policy": "same-origin",  # nor as an image or a script
    "X-Content-Type-Options": "nosniff",
}
_log = logging.getLogger(__name__)


class Guard:
    """ASGI middleware that refuses requests of other web pages, before the application sees them.

    Args:
        app: the application.
        allowed_hosts: names under which the pages may be opened, besides those of the loopback.
        graphql: path of the endpoint that carries out GraphQL queries, if the application has one.
        json_only: whether the body of every POST is JSON. An application whose own pages send other types
            relies on `Origin` and `Sec-Fetch-Site`.
        searches: for pages that change nothing: the end of the paths to which a POST only asks. Any other POST, PUT,
            PATCH and DELETE is refused. By default, none is.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        allowed_hosts: Collection[str] = (),
        graphql: str | None = None,
        json_only: bool = True,
        searches: re.Pattern[str] | None = None,
    ) -> None:
        self._app = app
        self._names = {*LOOPBACK, *(host_name(name) for name in allowed_hosts)}
        self._graphql = graphql
        self._json_only = json_only
        self._searches = searches

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that comes from elsewhere with 403; pass on any other."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        refusal = self._refusal(scope)
        if refusal is None:
            return await self._app(scope, receive, _protected(send))
        _log.warning("refused: %s", refusal)
        if scope["type"] == "websocket":
            return await WebSocketClose(1008)(scope, receive, send)
        answer = PlainTextResponse(f"pcip refused this request. {refusal}\n", 403, _HEADERS)
        return await answer(scope, receive, send)

    def _refusal(self, scope: Scope) -> PcipError | None:
        """Why a request is refused; None if it is not."""
        headers = Headers(scope=scope)
        host = ",".join(headers.getlist("host")).lower()  # two hosts are no host
        refusal = self._foreign_name(host) or _foreign_origin(host, headers)
        if scope["type"] == "websocket" or refusal is not None:
            return refusal
        foreign = _foreign_fetch(scope["method"], headers) or self._not_asked_for(scope, headers)
        return foreign or self._change(scope)

    def _foreign_name(self, host: str) -> PcipError | None:
        match = _HOST.fullmatch(host)
        if match is not None and match[1] in self._names:
            return None
        return PcipError(
            "Host",
            found=repr(host[:_SHOWN]),
            required=f"one of {', '.join(sorted(self._names))}",
            remedy="Open the pages under one of these names. To allow another one: pcip ui --allow-host NAME",
        )

    def _change(self, scope: Scope) -> PcipError | None:
        """Refuse to change what these pages only show."""
        method, searches = scope["method"], self._searches
        if searches is None or method in _READING or (method == "POST" and searches.search(scope["path"])):
            return None
        return PcipError(
            scope["path"][:_SHOWN],
            found=method,
            required="a request that changes nothing",
            remedy="These pages were started with --read-only.",
        )

    def _not_asked_for(self, scope: Scope, headers: Headers) -> PcipError | None:
        """Refuse requests that a browser sends for any page without asking: POSTs of forms, queries by GET."""
        kinds = [kind.partition(";")[0].strip().lower() for kind in headers.getlist("content-type")]
        if self._json_only and scope["method"] == "POST" and kinds != ["application/json"]:
            return PcipError(
                "Content-Type",
                found=repr(",".join(kinds)[:_SHOWN]),
                required="application/json",
                remedy="Send the request as JSON.",
            )
        shows_page = "text/html" in headers.get("accept", "")  # then Dagster answers with its query editor
        if scope["path"] == self._graphql and scope["method"] != "POST" and not shows_page:
            return PcipError(
                self._graphql,
                found=f"a query by {scope['method']}",
                required="POST",
                remedy="Send the query as JSON by POST.",
            )
        return None


def host_name(name: str) -> str:
    """Check a name under which the pages may be opened, and return it in lower case.

    Raises:
        PcipError: the name has a port, a path, a wildcard or another character that a host name has not.

    >>> host_name("Microscope.lab.example")
    'microscope.lab.example'
    """
    match = _HOST.fullmatch(name)
    if match is None or match[0] != match[1]:
        raise PcipError(
            "--allow-host",
            found=repr(name),
            required="the name or address of a machine, without port and wildcard",
            remedy=f"Correct the option, or the variable {ALLOW}.",
        )
    return name.lower()


def _foreign_origin(host: str, headers: Headers) -> PcipError | None:
    """Refuse a request of another page, or of a page without an origin (`null`), such as a file or a sandbox."""
    origin = ",".join(headers.getlist("origin")).lower()
    if "origin" not in headers or origin in (f"http://{host}", f"https://{host}"):
        return None
    return PcipError(
        "Origin",
        found=repr(origin[:_SHOWN]),
        required=f"{host}, because other web pages may not use these",
        remedy="A proxy must pass on the Host that the browser sends.",
    )


def _foreign_fetch(method: str, headers: Headers) -> PcipError | None:
    """Refuse what another page embeds or fetches; a link that is followed to a page is a GET for a document."""
    site = headers.get("sec-fetch-site", "none").lower()
    followed = (method, headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest"))
    if site in ("same-origin", "none") or followed == ("GET", "navigate", "document"):
        return None
    return PcipError(
        "Sec-Fetch-Site",
        found=repr(site[:_SHOWN]),
        required="same-origin, because other web pages may not embed these",
        remedy="Follow a link to the page, or enter its address.",
    )


def _protected(send: Send) -> Send:
    """Add the headers that keep other pages from embedding an answer."""

    async def send_protected(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(_HEADERS)
        await send(message)

    return send_protected
