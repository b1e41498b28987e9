"""How MLflow's pages open: on the view of machine learning, with a table of runs that says what people compare.

MLflow keeps both choices in the storage of the browser. The first page sets those that the user has not made. It also
keeps a chat window, for which no language model is there, from opening over half of the page.
"""

import json
import sqlite3
from pathlib import Path

from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from pcip_assets.recovery.queries import mlflow_query
from pcip_assets.workspace import Workspace
from pcip_core.errors import PcipError

_COLUMNS = (
    "params.`width`",
    "params.`epochs`",
    "params.`learning_rate`",
    "metrics.`loss`",
    "metrics.`validation_loss`",
)
_SCRIPT = """<script>
try {
  const preset = (key, value) => localStorage.getItem(key) ?? localStorage.setItem(key, JSON.stringify(value));
  preset("mlflow.workflowType_v1", "machine_learning");
  preset("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", true);
  for (const [id, selectedColumns] of Object.entries(EXPERIMENTS)) {
    preset(`MLflowLocalStorage-1.1-ExperimentPage-["${id}"]-ReactComponentState`, {selectedColumns});
  }
  if (["", "#/"].includes(location.hash)) location.replace("#/experiments");
} catch (error) { console.warn(error); }
</script>"""


class Start:
    """ASGI middleware that puts these settings into MLflow's first page.

    Args:
        app: MLflow's application.
        index: MLflow's first page, a file.
        workspace: has MLflow's database.
    """

    def __init__(self, app: ASGIApp, *, index: Path, workspace: Workspace) -> None:
        self._app, self._index, self._workspace = app, index, workspace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for the first page; pass on any other."""
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            return await self._app(scope, receive, send)
        page = with_settings(self._index.read_text(encoding="utf-8"), columns_of_experiments(self._workspace))
        return await HTMLResponse(page, headers={"Cache-Control": "no-store"})(scope, receive, send)


def with_settings(page: str, columns: dict[str, list[str]]) -> str:
    """MLflow's first page with a script before all others that sets what the user has not chosen.

    Args:
        page: HTML.
        columns: id of an experiment -> columns of its table of runs.
    """
    values = json.dumps(columns).replace("<", "\\u003c")  # no name can end the script
    return page.replace("<head>", "<head>" + _SCRIPT.replace("EXPERIMENTS", values), 1)


def columns_of_experiments(workspace: Workspace) -> dict[str, list[str]]:
    """Id of an experiment -> columns of its table of runs: settings, loss, and the best score by each protocol."""
    try:
        with mlflow_query(workspace) as query:
            rows = query and query(
                "SELECT DISTINCT CAST(experiment_id AS TEXT), key FROM experiments "
                "LEFT JOIN runs USING (experiment_id) LEFT JOIN latest_metrics USING (run_uuid) ORDER BY key"
            )
    except (sqlite3.DatabaseError, PcipError):
        return {}
    columns: dict[str, list[str]] = {}
    for experiment, metric in rows or []:
        chosen = columns.setdefault(experiment, list(_COLUMNS))
        if metric is not None and metric.startswith("best_"):
            chosen.append(f"metrics.`{metric}`")
    return columns
