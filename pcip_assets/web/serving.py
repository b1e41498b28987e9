"""How pcip serves an ASGI application: with uvicorn, on 127.0.0.1 only."""

import uvicorn
from starlette.types import ASGIApp

from pcip_assets.web import HOST

_CLOSING_S = 1  # for requests in progress; open pages hold their websockets for ever


def serve_app(app: ASGIApp, port: int) -> None:
    """Serve an application until SIGINT or SIGTERM."""
    uvicorn.run(
        app,
        host=HOST,
        port=port,
        log_level="warning",
        proxy_headers=False,  # nobody but the user decides under which name the pages are opened
        server_header=False,
        timeout_graceful_shutdown=_CLOSING_S,
    )
