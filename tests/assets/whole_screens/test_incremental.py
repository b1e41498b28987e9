"""What is made again, and what is left: a second run, a changed file, a new plate, a retraining, a kill."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from pathlib import Path

import mlflow
import numpy as np
import pytest
import tifffile
from safetensors.numpy import load_file

from pcip_assets.tracking import Tracking, TrainingRun
from pcip_assets.workspace import Workspace
from pcip_core.errors import SpecError
from pcip_core.store.publish import connect
from tests.assets.conftest import Finished, add_plate


def _changed(before: dict, after: dict) -> set[tuple[str, str | None]]:
    return {key for key, commit in after.items() if before.get(key) != commit}


def _contents(folder: Path) -> dict[Path, str]:
    """File -> digest of its content."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_growing_screen(own: Finished) -> None:
    """One story, as a first run costs seconds: nothing new, a changed file, a new plate, a retraining in a copy."""
    root = Path(str(own.screen.root))
    published = own.workspace.published

    first, stamp = own.commits(), published.stat().st_mtime_ns
    assert own.again().success
    assert own.commits() == first, (
        "a second run makes nothing again, also in a folder that was copied with its images"
    )
    assert published.stat().st_mtime_ns == stamp

    picture = root / "plate_2" / "A01_f1_protein.tif"
    tifffile.imwrite(picture, tifffile.imread(picture) + np.uint16(5))
    outcome = own.again()
    assert outcome.success
    assert not outcome.trained, "a changed shard does not retrain by itself"
    second = own.commits()
    remade = _changed(first, second)
    assert {shard for table, shard in remade if shard is not None} == {"plate_2"}
    assert {"fields", "cells", "cell_features_inpainting_conv1"} <= {table for table, _ in remade}

    add_plate(root, "plate_1", "plate_3")
    outcome = own.again(shards=["plate_3"])
    assert outcome.success, outcome.error
    third = own.commits()
    assert {shard for _, shard in _changed(second, third)} == {"plate_3", None}
    assert Tracking(data=str(own.workspace.data)).champion("tiny").version == "tiny/1"
    with connect(published) as con:
        cells = con.sql("SELECT count(*) FROM tiny.cell_features_inpainting_conv4 WHERE shard = 'plate_3'")
        assert cells.fetchall() == [(36,)]

    copy = Workspace(Path(shutil.copytree(own.workspace.data, own.workspace.data.with_name("copy"))))
    original = _contents(own.workspace.data)
    copied = dataclasses.replace(own, workspace=copy)
    outcome = copied.again(retrain=True)
    assert outcome.success, outcome.error
    assert not {"fields", "cells"} & {table for table, _ in _changed(third, copied.commits())}
    assert _contents(own.workspace.data) == original
    encoder = Tracking(data=str(copy.data)).champion("tiny")
    assert encoder.version == "tiny/2"
    assert encoder.folder.is_relative_to(copy.data)
    with connect(copy.published) as con:
        versions = con.sql("SELECT DISTINCT encoder_version FROM tiny.cell_features_inpainting_conv4")
        assert versions.fetchall() == [("tiny/2",)]

    third = copied.commits()
    mlflow.MlflowClient(copied.workspace.mlflow_uri).set_model_version_tag("tiny", "2", "precision", "bf16")
    assert copied.again(shards=["plate_2"]).success, "as if trained on a machine that chose bf16"
    with connect(copy.published) as con:
        sets = "SELECT precision FROM main.feature_sets WHERE feature_set = '{}_conv3'"
        mixed = {name: con.sql(sets.format(name)).fetchall() for name in ("inpainting", "untrained")}
        intensity = con.sql(
            "SELECT precision FROM main.feature_sets WHERE feature_set = 'intensity'"
        ).fetchall()
        shown = con.sql("SELECT DISTINCT shard FROM tiny.cell_features_inpainting_conv3").fetchall()
    assert mixed == {name: [("bf16",)] for name in mixed}
    assert shown == [("plate_2",)]  # the other plates are left out until they follow
    assert intensity == [(None,)]
    outcome = copied.again()
    assert outcome.success
    assert not outcome.trained
    remade = _changed(third, copied.commits())
    assert {shard for table, shard in remade if table == "cell_features_inpainting_conv1"} == {
        *("plate_1", "plate_2", "plate_3"),
    }
    with connect(copy.published) as con:
        assert con.sql("SELECT DISTINCT precision FROM main.feature_sets ORDER BY ALL").fetchall() == [
            ("bf16",),
            (None,),
        ]

    with pytest.raises(SpecError, match="plate_2, which lies between them"):
        own.again(shards=["plate_1", "plate_3"])
    with pytest.raises(SpecError, match="no shard plate_9"):
        own.again(shards=["plate_9"])


def test_a_training_that_dies_goes_on_in_the_same_run(
    tmp_path: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(self: TrainingRun, number: int, metrics: object) -> None:
        mlflow.log_metrics(dict(metrics), step=number)  # type: ignore[call-overload]
        if number == 2:
            raise RuntimeError("the machine went down")

    dead = finished.copied(tmp_path)
    shutil.rmtree(dead.workspace.mlflow_folder)  # its training
    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "epoch", die)
        assert not dead.again().success
    tracking = Tracking(data=str(dead.workspace.data))
    assert not tracking.has_champion("tiny"), "no half-trained encoder is ever registered"
    assert dead.again().success
    champion = tracking.champion("tiny")
    client = mlflow.MlflowClient(dead.workspace.mlflow_uri)
    experiment = client.get_experiment_by_name("tiny")
    trainings = client.search_runs([experiment.experiment_id], "tags.kind = 'training'")
    assert [run.info.run_id for run in trainings] == [champion.run_id]
    assert trainings[0].info.status == "FINISHED"
    whole = load_file(
        Tracking(data=str(finished.workspace.data)).champion("tiny").folder / "encoder.safetensors"
    )
    resumed = load_file(champion.folder / "encoder.safetensors")
    for name, weights in whole.items():
        assert np.array_equal(weights, resumed[name]), name
    assert not list(dead.workspace.checkpoints.rglob("*.pt"))
