"""The whole graph of a tiny screen, through Dagster: what every table, run and page holds afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import mlflow
import numpy as np
import pytest
import yaml
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier

from pcip_assets.cli.run import open_instance
from pcip_assets.definitions import build_definitions
from pcip_assets.recovery.killed_runs import process_tags
from pcip_assets.tracking import Tracking
from pcip_assets.workspace import REPOSITORY
from pcip_core.models.files import load_encoder
from pcip_core.models.inference import extract_features
from pcip_core.store.publish import connect
from pcip_core.store.vectors import features_of
from tests.assets.conftest import Finished, has_picture


def test_the_run_succeeds_and_trains(finished: Finished) -> None:
    assert finished.outcome.success, finished.outcome.error
    assert finished.outcome.trained


def test_the_published_store_answers_the_contract(finished: Finished) -> None:
    with connect(finished.workspace.published) as con:
        assert con.sql("SELECT screen, n_images, n_cells, simulated FROM main.screens").fetchall() == [
            ("tiny", 8, 72, False)
        ]
        proteins = con.sql(
            "SELECT i.protein, count(*) AS cells FROM tiny.cells c JOIN tiny.images i USING (image_id) "
            "GROUP BY ALL ORDER BY cells DESC"
        ).fetchall()
        assert len(proteins) == 8
        assert {cells for _, cells in proteins} == {9}
        scores = con.sql(
            "SELECT feature_set FROM main.benchmarks WHERE screen = 'tiny' AND metric = 'balanced_accuracy' "
            "AND parameter = 'k=3' AND label IS NULL AND protocol = 'leave_image_out'"
        ).fetchall()
        assert len(scores) == 11  # five layers, five of the untrained network, intensities
        nearest = con.sql(
            "SELECT * FROM tiny.similar_cells('inpainting_conv4', (SELECT min(cell_id) FROM tiny.cells), 10)"
        ).fetchall()
        assert len(nearest) == 10
        assert nearest[0][-1] == 0
        assert con.sql("SELECT count(*) FROM main.feature_sets WHERE dagster_run_id IS NULL").fetchall() == [
            (0,)
        ]


def test_scores_equal_scikit_learn_on_the_stored_features(finished: Finished) -> None:
    """Leave one image out, by scikit-learn image for image, on the features that SQL gives."""
    with connect(finished.workspace.published) as con:
        rows = con.sql(
            "SELECT f.features, f.image_id, i.localization[1] FROM tiny.cell_features_inpainting_conv3 f "
            "JOIN tiny.images i USING (image_id) ORDER BY cell_id"
        ).fetchall()
        stored = con.sql(
            "SELECT value FROM main.benchmarks WHERE feature_set = 'inpainting_conv3' AND parameter = 'k=3' "
            "AND metric = 'balanced_accuracy' AND label IS NULL AND protocol = 'leave_image_out'"
        ).fetchall()
    features = np.array([row[0] for row in rows], np.float64)
    images, labels = (np.array([row[place] for row in rows]) for place in (1, 2))
    spread = features.std(0)
    features = (features - features.mean(0)) / np.where(spread > 0, spread, 1)
    predicted = labels.copy()
    for image in np.unique(images):
        left = images == image
        knn = KNeighborsClassifier(3, algorithm="brute").fit(features[~left], labels[~left])
        predicted[left] = knn.predict(features[left])
    assert stored == [(pytest.approx(balanced_accuracy_score(labels, predicted)),)]


def test_stored_features_are_those_of_the_champion(finished: Finished) -> None:
    champion = Tracking(data=str(finished.workspace.data)).champion("tiny")
    cells, crops = finished.store.read_with_array("tiny", "cells", "crops", "plate_1")
    stored = finished.store.read("tiny", "cell_features_inpainting_conv2", shards=["plate_1"])
    assert stored["cell_id"].to_list() == cells["cell_id"].to_list()
    assert set(stored["encoder_version"].to_list()) == {champion.version} == {"tiny/1"}
    anew = extract_features(load_encoder(champion.folder), np.array(crops), layers=["conv2"])["conv2"]
    assert np.allclose(features_of(stored), anew, atol=1e-5)


def test_protein_features_are_means_of_cells(finished: Finished) -> None:
    with connect(finished.workspace.published) as con:
        rows = con.sql(
            "SELECT protein, p.n_cells, p.features, list(f.features) "
            "FROM tiny.protein_features_inpainting_conv1 p JOIN tiny.images i USING (protein) "
            "JOIN tiny.cell_features_inpainting_conv1 f USING (image_id) "
            "GROUP BY ALL"
        ).fetchall()
    assert len(rows) == 8
    for _, n_cells, mean, vectors in rows:
        assert n_cells == len(vectors)
        assert np.allclose(mean, np.mean(vectors, axis=0), atol=1e-5)


def test_mlflow_holds_the_training(finished: Finished, tmp_path: Path) -> None:
    tracking = Tracking(data=str(finished.workspace.data))
    champion = tracking.champion("tiny")
    client = mlflow.MlflowClient(finished.workspace.mlflow_uri)
    run = client.get_run(champion.run_id)
    assert run.info.status == "FINISHED"
    assert client.get_experiment(run.info.experiment_id).name == "tiny"
    assert run.data.tags["dagster/run_id"] == finished.outcome.run_id
    assert {"commit", "data_hash", "inputs_hash", "code_version", "simulated"} <= set(run.data.tags)
    expected = {
        "seed": "0",
        "epochs": "2",
        "width": "0.05",
        "channels": "nucleus,protein",
        "device_used": "cpu",
        "precision_used": "float32",
    }
    assert expected.items() <= run.data.params.items()
    for metric in ("loss", "validation_loss", "pairs_per_s"):
        assert [point.step for point in client.get_metric_history(champion.run_id, metric)] == [1, 2]
    assert any(name.startswith("system/") for name in run.data.metrics)
    assert {"best_leave_image_out", "untrained_leave_image_out"} <= run.data.metrics.keys()
    shown = {name for name in run.data.metrics if not name.startswith("system/")}
    assert len(shown) <= 14, shown
    files = {file.path for file in client.list_artifacts(champion.run_id)}
    assert {"loss_curve.png", "resolved_spec.json", "previews", "images", "knn_benchmark.png"} <= files
    assert {"knn_benchmark.json", "mismatch.json"} <= files
    previews = [file.path for file in client.list_artifacts(champion.run_id, "previews")]
    assert previews == ["previews/epoch_001.png", "previews/epoch_002.png"]
    spec = json.loads(
        Path(client.download_artifacts(champion.run_id, "resolved_spec.json", tmp_path)).read_text()
    )
    assert spec["encoder"]["learning_rate"] == 1e-4
    assert client.get_model_version_by_alias("tiny", "champion").version == 1
    assert {path.name for path in champion.folder.iterdir()} >= {
        *("encoder.safetensors", "config.json", "MLmodel", "README.md", "input_example.json")
    }


def test_a_run_records_its_process(finished: Finished) -> None:
    run = open_instance(finished.workspace).get_run_by_id(finished.outcome.run_id)
    assert run is not None
    recorded, ours = (json.loads(tags["pcip/process"]) for tags in (run.tags, process_tags(run.run_id)))
    assert recorded.keys() == ours.keys()
    of_process = {"pid", "started"}  # another process of the tests may have made the screen
    assert {key: recorded[key] for key in ours.keys() - of_process} == {
        key: ours[key] for key in ours.keys() - of_process
    }


def test_extraction_is_logged_under_the_training(finished: Finished) -> None:
    client = mlflow.MlflowClient(finished.workspace.mlflow_uri)
    champion = Tracking(data=str(finished.workspace.data)).champion("tiny")
    experiment = client.get_experiment_by_name("tiny")
    runs = client.search_runs([experiment.experiment_id], "tags.kind = 'extraction'")
    assert len(runs) == 1
    assert runs[0].data.params["encoder_version"] == "tiny/1"
    assert runs[0].data.params["device"].startswith("cpu")
    assert runs[0].data.tags["mlflow.parentRunId"] == champion.run_id
    assert runs[0].data.metrics["cells"] == 72
    assert runs[0].data.metrics["cells_per_s"] > 0


def test_materializations_say_what_was_made(finished: Finished) -> None:
    instance = open_instance(finished.workspace)

    def latest(noun: str) -> dict[str, dg.MetadataValue]:
        event = instance.get_latest_materialization_event(dg.AssetKey(["tiny", noun]))
        assert event is not None
        assert event.run_id == finished.outcome.run_id
        assert event.asset_materialization is not None
        return dict(event.asset_materialization.metadata)

    champion = Tracking(data=str(finished.workspace.data)).champion("tiny")
    encoder = latest("encoder")
    assert champion.run_id in str(encoder["mlflow_run"].value)
    assert encoder["encoder_version"].value == "tiny/1"
    home = finished.workspace.dagster_home
    assert has_picture(encoder["loss_curve"].value, home)
    crops = latest("crops")
    assert crops["dagster/row_count"].value == 36
    assert has_picture(crops["preview"].value, home)
    assert has_picture(latest("knn_benchmark")["preview"].value, home)


def test_runs_of_the_command_line_belong_to_the_code_location_as_the_timeline_asks(
    finished: Finished,
) -> None:
    run = open_instance(finished.workspace).get_run_by_id(finished.outcome.run_id)
    assert run is not None
    assert run.remote_job_origin is not None
    repository = run.remote_job_origin.repository_origin
    location = yaml.safe_load((REPOSITORY / "workspace.yaml").read_text())["load_from"][0]["python_module"]
    assert repository.code_location_origin.location_name == location["location_name"]
    own = build_definitions(finished.workspace, [finished.screen]).get_repository_def()
    assert repository.repository_name == own.name
    assert run.remote_job_origin.job_name == run.job_name == "tiny_all"


def test_every_check_passes_but_those_of_a_network_of_two_epochs(finished: Finished) -> None:
    instance = open_instance(finished.workspace)
    records = instance.all_logs(finished.outcome.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    passed = {
        evaluation.check_name: evaluation.passed
        for record in records
        if (evaluation := record.dagster_event.asset_check_evaluation_data)  # type: ignore[union-attr]
    }
    assert set(passed) == {
        "channels_present",
        "counts_reconcile",
        "cells_per_image",
        "no_duplicate_cells",
        "features_finite",
        "features_vary",
        "store_and_files_agree",
        "ranked_as_in_the_paper",
        "follows_its_source",
        "like_training_cells",
        "trained_as_the_spec_says",
    }
    bad = {name for name, good in passed.items() if not good}
    assert bad <= {"follows_its_source", "ranked_as_in_the_paper"}, passed
    assert [told.split(": ")[1] for told in finished.outcome.warnings] == [
        f"the check {name} warns" for name in bad
    ]
