"""The application of `pcip browse`: its page, the files of the page, and the actions that it asks for.

The page builds no HTML from texts, and its policy lets it load scripts of this server only, so that a name in a screen
runs nothing. `pcip_assets.web.guard` keeps other pages from using it.
"""

import json
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import bokeh
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from pcip_assets.browse.actions import ACTIONS, Actions
from pcip_assets.browse.figure import map_figure
from pcip_assets.web.guard import Guard
from pcip_core.errors import PcipError

_STATIC = Path(__file__).parent / "static"
_BOKEH = Path(bokeh.__file__).parent / "server" / "static" / "js"
_MOST_BYTES = 4 << 20  # of a request
_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' blob: data:; "
    "style-src 'self' 'unsafe-inline'; font-src data:; "  # Bokeh sets styles
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


def application(actions: Actions, *, allowed_hosts: Collection[str] = ()) -> ASGIApp:
    """The pages behind the guard.

    Args:
        actions: what the page can ask for.
        allowed_hosts: names under which it may be opened, besides those of the loopback.
    """

    async def act(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in ACTIONS:
            return _answer({"problem": f"no action {name}"}, 404)
        body = await _body(request)
        if body is None:
            return _answer({"problem": f"a request of more than {_MOST_BYTES >> 20} MB"}, 413)
        try:
            values = json.loads(body or b"{}")
            result = await run_in_threadpool(actions.call, name, values)
        except PcipError as error:
            return _answer({"problem": str(error)}, 422)
        except (ValidationError, ValueError, TypeError, OverflowError, RecursionError) as error:
            return _answer({"problem": f"{name}: {str(error)[:300]}"}, 422)
        return Response(result, headers=_HEADERS) if isinstance(result, bytes) else _answer(result)

    async def page(request: Request) -> Response:
        return FileResponse(_STATIC / "index.html", headers=_HEADERS)

    async def figure(request: Request) -> Response:
        return _answer(await run_in_threadpool(map_figure))

    routes = [
        Route("/", page),
        Route("/figure", figure),
        Route("/do/{name}", act, methods=["POST"]),
        Mount("/static", StaticFiles(directory=_STATIC)),
        Mount("/bokeh", StaticFiles(directory=_BOKEH)),
    ]
    return Guard(Starlette(routes=routes), allowed_hosts=allowed_hosts)


async def _body(request: Request) -> bytes | None:
    """The body of a request; None if it is too long."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _MOST_BYTES:
            return None
    return bytes(body)


def _answer(result: Any, status: int = 200) -> Response:
    text = json.dumps(_finite(result), default=str, allow_nan=False)
    return Response(text, status, _HEADERS, media_type="application/json")


def _finite(value: Any) -> Any:
    """A value for JSON, which knows neither NaN nor infinity."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value
