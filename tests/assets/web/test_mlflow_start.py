"""MLflow's first page: what it sets in the browser, and that it does not take what the user chose."""

from __future__ import annotations

import json
import re
from pathlib import Path

import mlflow.server

from pcip_assets.records.dataset import Crops
from pcip_assets.records.scores import Evaluation
from pcip_assets.tracking import Encoder, Tracking
from pcip_assets.web.mlflow_start import columns_of_experiments, with_settings
from pcip_assets.workspace import Workspace

BUILD = Path(mlflow.server.__file__).parent / "js" / "build"


def test_each_experiment_shows_settings_loss_and_its_best_scores(tmp_path: Path) -> None:
    workspace, tracking = Workspace(tmp_path), Tracking(data=str(tmp_path))
    crops = Crops("tiny", "0123", ("protein",), 16, cells=1, images=1, shards=1)
    scores = Evaluation(
        "knn_benchmark", crops, metrics={"best_leave_field_out": 0.5, "untrained_leave_field_out": 0.4}
    )
    tracking.log_evaluation(Encoder("tiny/1", "lost", tmp_path, {}), scores)
    columns = columns_of_experiments(workspace)
    assert columns.keys() == {"0", "1"}
    assert set(columns["1"]) - set(columns["0"]) == {"metrics.`best_leave_field_out`"}
    assert {"params.`width`", "params.`epochs`", "metrics.`loss`"} <= set(columns["0"])
    page = with_settings((BUILD / "index.html").read_text(), columns)
    match = re.search(r"Object.entries\((\{.*?\})\)", page)
    assert match is not None
    assert json.loads(match[1]) == columns
    assert page.index("mlflow.workflowType_v1") < page.index("static/js/main"), "before MLflow reads it"


def test_a_database_that_is_not_there_has_no_columns(tmp_path: Path) -> None:
    assert columns_of_experiments(Workspace(tmp_path)) == {}


def test_no_name_ends_the_script() -> None:
    page = with_settings("<head></head>", {"1": ["metrics.`</script>`"]})
    assert page.count("</script>") == 1


def test_the_keys_are_those_of_the_installed_mlflow() -> None:
    """They are documented nowhere, and a new version of MLflow may rename them."""
    (main,) = (BUILD / "static" / "js").glob("main.*.js")
    text = main.read_text()
    for part in (
        "mlflow.assistant.fab.autoOpenedOnFirstLoad",
        'key:"mlflow.workflowType",version:1',
        "MLflowLocalStorage",
        "ReactComponentState",
        '.version="1.1"',
    ):
        assert part in text, part
