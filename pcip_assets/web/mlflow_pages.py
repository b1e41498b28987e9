"""MLflow's pages behind the guard: `python -m pcip_assets.web.mlflow_pages PORT [--read-only]`.

MLflow has a check of its own, which is not enough: it lets every page of any port of this machine read and write,
and it does not cover all of its paths. It stays switched on behind ours, with the same names.

This is what `mlflow server` does, with one process instead of two. `mlflow server` cannot put a middleware before
its application. The variables that it passes to the application are those of `mlflow.server.constants`.
"""

import os
import re
import sys
import warnings
from collections.abc import Collection
from pathlib import Path

from pcip_assets.web import ALLOW, DAGSTER, READ_ONLY
from pcip_assets.web.guard import LOOPBACK, Guard, host_name
from pcip_assets.web.links import add_link
from pcip_assets.web.mlflow_start import Start
from pcip_assets.web.serving import serve_app
from pcip_assets.workspace import DAGSTER_PORT, Workspace

_SEARCHES = re.compile(r"/(search[a-z-]*|graphql)$")  # MLflow's pages ask by POST, too


def security(allowed_hosts: Collection[str]) -> dict[str, str]:
    """The settings of MLflow's own check, as environment variables that `mlflow server --help` documents."""
    names = [*LOOPBACK, *(host_name(name) for name in allowed_hosts)]
    hosts = [*names, *(f"{name.replace('[', '[[]')}:*" for name in names)]  # in a pattern, [ opens a set
    return {
        "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "false",
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(hosts),
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(
            f"{scheme}://{h}" for scheme in ("http", "https") for h in hosts
        ),
        "MLFLOW_SERVER_X_FRAME_OPTIONS": "SAMEORIGIN",
        "MLFLOW_ENABLE_REMOTE_ASSISTANT": "false",
    }


def main(port: int, *, read_only: bool) -> None:
    """Serve MLflow's database of the workspace, and the files that it records."""
    import mlflow.server
    from mlflow.server import constants

    workspace = Workspace.current()
    allowed_hosts = os.environ.get(ALLOW, "").split()
    os.environ |= {
        constants.BACKEND_STORE_URI_ENV_VAR: workspace.mlflow_uri,
        constants.REGISTRY_STORE_URI_ENV_VAR: workspace.mlflow_uri,
        constants.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
        constants.ARTIFACTS_DESTINATION_ENV_VAR: workspace.artifacts_uri("").rstrip("/"),
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **security(allowed_hosts),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own deprecations
        from mlflow.server.fastapi_app import app
    add_link(app, DAGSTER, port=DAGSTER_PORT, fragment=False)
    index = Path(mlflow.server.__file__).parent / "js" / "build" / "index.html"
    start = Start(app, index=index, workspace=workspace)
    searches = _SEARCHES if read_only else None
    serve_app(Guard(start, allowed_hosts=allowed_hosts, json_only=False, searches=searches), port)


if __name__ == "__main__":
    main(int(sys.argv[1]), read_only=READ_ONLY in sys.argv)
