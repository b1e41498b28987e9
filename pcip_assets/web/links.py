"""Links between the pages, and the pages of reports, on the servers of `pcip ui`.

A result holds no address with a port: it says `/pcip/mlflow/...`, and the server that shows it knows where MLflow's
pages are now. Reports are served from the same server as Dagster's pages, for a page may not open files.
"""

import re
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

_PORT = re.compile(r":[0-9]+$")


def add_link(app: Starlette, at: str, *, port: int, fragment: bool) -> None:
    """Have an application lead `at`/... to the same path of the server at another port of this machine.

    Args:
        app: the application.
        at: the path.
        port: the port of the other server.
        fragment: whether the other server's pages have their paths after `#`.
    """

    def lead(request: Request) -> Response:
        name = _PORT.sub(
            "", request.headers["host"]
        )  # under which the user sees this page, checked by the guard
        query = f"?{request.url.query}" if request.url.query else ""
        target = f"http://{name}:{port}/{'#/' if fragment else ''}{request.path_params['path']}{query}"
        return RedirectResponse(target, status_code=302)

    app.routes.insert(0, Route(at + "/{path:path}", lead))


def add_reports(app: Starlette, at: str, folder: Path) -> None:
    """Have an application serve the files of a folder, for reading."""
    app.routes.insert(0, Mount(at, _Reports(directory=folder, check_dir=False)))


class _Reports(StaticFiles):
    """Files that may run scripts of their own, which cannot use the pages of the server: they have no origin."""

    def file_response(self, *args: object, **settings: object) -> Response:
        response = super().file_response(*args, **settings)  # type: ignore[arg-type]
        response.headers["Content-Security-Policy"] = "sandbox allow-scripts allow-popups allow-downloads"
        return response
