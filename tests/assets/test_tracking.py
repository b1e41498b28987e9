"""MLflow as pcip sets it up."""

from __future__ import annotations

import dataclasses
import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pcip_assets.assets.encoders.train_network import Network
from pcip_assets.records.dataset import Crops
from pcip_assets.records.scores import Evaluation
from pcip_assets.recovery.killed_runs import PROCESS_TAG, process_tags
from pcip_assets.tracking import Encoder, Tracking
from pcip_assets.workspace import REPOSITORY, Workspace
from pcip_core.errors import EncoderError
from tests.conftest import write_spec

CROPS = Crops("tiny", "0123abcd", ("nucleus", "protein"), 16, cells=12, images=4, shards=1)
SCORES = Evaluation(
    "knn_benchmark",
    CROPS,
    metrics={"best_leave_image_out": 0.5},
    table=[{"feature_set": "inpainting_conv3", "value": 0.5}],
    pictures={"knn_benchmark.png": Figure()},
)


def contents(workspace: Workspace, run_id: str) -> dict[str, bytes]:
    """The files of a run, by their path."""
    folder = workspace.artifacts("tiny") / run_id
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_mlflow_sends_no_usage_data() -> None:
    code = (
        "import os; os.environ.pop('MLFLOW_DISABLE_TELEMETRY', None); import pcip_assets.tracking; "
        "from mlflow.telemetry.utils import is_telemetry_disabled; print(is_telemetry_disabled())"
    )
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout.split()[-1] == "True"


def test_a_training_goes_on_in_its_unfinished_run_if_mlflow_has_it(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "data")
    screen, tracking = workspace.load(write_spec(tmp_path)), Tracking(data=str(workspace.data))
    with tracking.training(screen, 2, checkpoints=tmp_path, tags={}, log=logging.getLogger()) as training:
        client = MlflowClient(workspace.mlflow_uri)
        assert client.get_run(training.run_id).data.tags[PROCESS_TAG] == process_tags()[PROCESS_TAG]
    assert tracking.resumable(tmp_path) == training.run_id
    client.delete_experiment(client.get_experiment_by_name(screen.name).experiment_id)
    assert tracking.resumable(tmp_path) is None
    with tracking.training(screen, 2, checkpoints=tmp_path, tags={}, log=logging.getLogger()) as resumed:
        assert resumed.run_id == training.run_id
    client.delete_run(training.run_id)
    assert tracking.resumable(tmp_path) is None
    (tmp_path / "mlflow_run_id").write_text("a run of a database that was lost")
    assert tracking.resumable(tmp_path) is None


def test_what_a_user_deletes_in_mlflow_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tracking = Tracking(data=str(tmp_path))
    client = MlflowClient(Workspace(tmp_path).mlflow_uri)
    lost = Encoder("tiny/1", "a run of a database that was lost", tmp_path, {})
    deleted = dataclasses.replace(lost, run_id=tracking.log_extraction("tiny", lost, params={}, metrics={}))
    client.delete_run(deleted.run_id)
    for encoder in (lost, deleted):
        evaluation = client.get_run(tracking.log_evaluation(encoder, SCORES))
        assert evaluation.data.metrics == SCORES.metrics
        assert "mlflow.parentRunId" not in evaluation.data.tags
    assert client.get_run(deleted.run_id).data.metrics == {}
    client.delete_experiment("1")
    run_id = tracking.log_evaluation(lost, SCORES)
    assert client.get_run(run_id).data.metrics == SCORES.metrics
    assert "MLflow experiment tiny was deleted; it is restored" in caplog.text


def test_a_training_shows_the_scores_of_its_own_crops_once_and_no_later_ones(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "data")
    screen, tracking = workspace.load(write_spec(tmp_path)), Tracking(data=str(workspace.data))
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "encoder.safetensors").write_bytes(b"weights")
    (weights / "README.md").write_text("# tiny\n\n## Scores\n\nNot scored yet.\n")
    tags = {"data_hash": CROPS.digest, "network": "inpainting", "overrides": "epochs=5", "screen": "tiny"}
    with tracking.training(screen, 2, checkpoints=tmp_path, tags=tags, log=logging.getLogger()) as training:
        training.start({"width": 0.5, "epochs": 5, "seed": 0})
        training.inputs(CROPS)
        encoder = tracking.register("tiny", "tiny", training.run_id, weights, tags)
    client = MlflowClient(workspace.mlflow_uri, workspace.mlflow_uri)
    trained = client.get_run(training.run_id)
    assert trained.info.run_name.startswith("tiny/1 inpainting 20")
    assert trained.info.run_name.endswith("(epochs=5)")
    dataset = trained.inputs.dataset_inputs[0].dataset
    assert (dataset.name, dataset.digest) == ("tiny.crops", CROPS.digest)
    assert str(tmp_path) not in dataset.source  # the workspace may be moved

    tracking.log_evaluation(encoder, SCORES)
    tracking.show_scores(encoder, SCORES)
    own = client.get_run(training.run_id)
    assert {
        key: value for key, value in own.data.metrics.items() if not key.startswith("system/")
    } == SCORES.metrics
    assert "scores.json" not in {file.path for file in client.list_artifacts(training.run_id)}
    before = (own.to_dictionary(), contents(workspace, training.run_id))
    more = dataclasses.replace(SCORES, crops=dataclasses.replace(CROPS, digest="more", cells=99))
    better = dataclasses.replace(SCORES, metrics={"best_leave_image_out": 0.9})
    evaluations = [client.get_run(tracking.log_evaluation(encoder, each)) for each in (more, better)]
    tracking.show_scores(encoder, more)
    after = client.get_run(training.run_id)
    assert (after.to_dictionary(), contents(workspace, training.run_id)) == before

    for run, scores in zip(evaluations, (more, better), strict=True):
        assert run.data.metrics == scores.metrics
        assert run.data.params == {"width": "0.5", "epochs": "5"}
        assert run.data.tags["mlflow.parentRunId"] == training.run_id
        assert run.data.tags["encoder_version"] == "tiny/1"
        assert run.data.tags["overrides"] == "epochs=5"
        assert run.inputs.dataset_inputs[0].dataset.digest == scores.crops.digest
        assert [each.model_id for each in run.inputs.model_inputs] == [encoder.model_id]
        table = client.load_table("1", "knn_benchmark.json", [run.info.run_id])
        assert table["value"].tolist() == [0.5]
    model = client.get_logged_model(encoder.model_id)
    assert {(metric.key, metric.dataset_digest) for metric in model.metrics} >= {
        ("best_leave_image_out", "more"),
        ("best_leave_image_out", CROPS.digest),
    }
    for described in (client.get_registered_model("tiny"), client.get_model_version("tiny", "1")):
        assert described.description.startswith("# tiny")
        assert "On 99 cells of 4 images in 1 shards" in described.description
        assert "| best_leave_image_out | 0.500 |" in described.description
    found = client.search_registered_models("tags.screen = 'tiny' AND tags.network = 'inpainting'")
    assert [each.name for each in found] == ["tiny"]
    assert client.get_experiment("1").tags["mlflow.experimentKind"] == "custom_model_development"


def test_a_registry_that_fails_is_not_a_screen_without_an_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a database that is locked would lead to a second training."""

    def locked(*_: str) -> None:
        raise MlflowException("database is locked")

    monkeypatch.setattr(Tracking, "_client", lambda _: SimpleNamespace(get_model_version_by_alias=locked))
    tracking = Tracking(data=str(tmp_path))
    for ask in (tracking.has_champion, tracking.champion):
        with pytest.raises(MlflowException, match="database is locked"):
            ask("tiny")


def test_a_network_whose_files_are_gone_is_named_and_can_be_trained_again(tmp_path: Path) -> None:
    tracking = Tracking(data=str(tmp_path))
    uri = Workspace(tmp_path).mlflow_uri
    client = MlflowClient(uri, uri)
    run_id = tracking.log_extraction("tiny", Encoder("", "", tmp_path, {}), params={}, metrics={})
    client.create_registered_model("tiny")
    gone = (tmp_path / "former" / "place").as_uri()
    client.create_model_version("tiny", gone, run_id, tags={"inputs_hash": "0123"})
    client.set_registered_model_alias("tiny", "champion", "1")
    with pytest.raises(EncoderError, match=r"former/place: found no files .*--retrain"):
        tracking.champion("tiny")
    assert Network(tracking, "tiny", "", None, None, None).made_from(None, None) == "0123"  # type: ignore[arg-type]
