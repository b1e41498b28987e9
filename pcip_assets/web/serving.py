"""How pcip serves an ASGI application: with uvicorn, on 127.0.0.1 only."""

import socket

import uvicorn
from starlette.types import ASGIApp

from pcip_assets.web import HOST
from pcip_core.errors import PcipError

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


def require_free(port: int, option: str) -> None:
    """Check that nothing listens at a port.

    Raises:
        PcipError: another server does; the message names the option that chooses another port.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise PcipError(
                f"{HOST}:{port}",
                found="the port in use",
                required="a free port",
                remedy=f"Stop the other server, or choose another port with {option}.",
            ) from error
