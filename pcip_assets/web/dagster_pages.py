"""Dagster's pages behind the guard: `python -m pcip_assets.web.dagster_pages PORT WORKSPACE_FILE
[--read-only]`.

Dagster's own webserver checks neither Host nor Origin, and its GraphQL endpoint launches runs for any GET request.
"""

import os
import sys

from pcip_assets.dagster_compat import dagster_app
from pcip_assets.web import ALLOW, MLFLOW, READ_ONLY, REPORTS
from pcip_assets.web.guard import Guard
from pcip_assets.web.links import add_link, add_reports
from pcip_assets.web.serving import serve_app
from pcip_assets.workspace import MLFLOW_PORT, Workspace


def main(port: int, workspace_file: str, *, read_only: bool) -> None:
    """Serve the instance of DAGSTER_HOME with the code location that the workspace file names."""
    with dagster_app(workspace_file, read_only=read_only) as app:
        add_link(app, MLFLOW, port=MLFLOW_PORT, fragment=True)
        add_reports(app, REPORTS, Workspace.current().reports(""))
        serve_app(Guard(app, allowed_hosts=os.environ.get(ALLOW, "").split(), graphql="/graphql"), port)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], read_only=READ_ONLY in sys.argv)
