"""Networks whose records were lost are registered again from their files; MLflow judges what is registered."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pcip_assets.recovery.databases import mlflow_database
from pcip_assets.tracking import Encoder, Tracking
from pcip_assets.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "data")


def register(workspace: Workspace, model: str, weights: bytes) -> Encoder:
    """Register a network of the screen tiny."""
    tracking, folder = Tracking(data=str(workspace.data)), workspace.data.with_name("weights")
    folder.mkdir(exist_ok=True)
    (folder / "encoder.safetensors").write_bytes(weights)
    run_id = tracking.log_extraction("tiny", Encoder("", "", folder, {}), params={}, metrics={})
    return tracking.register(model, "tiny", run_id, folder, {"inputs_hash": str(weights)})


def restarted(workspace: Workspace, content: bytes | None) -> Workspace:
    """The workspace with another database, in another folder, because this process has the former one open."""
    again = Workspace(workspace.data.rename(workspace.data.with_name("again")))
    path = mlflow_database(again).path
    path.unlink() if content is None else path.write_bytes(content)
    return again


@pytest.mark.parametrize("content", [None, b"", b"damaged" * 10_000])
def test_networks_keep_their_numbers_tags_and_weights(
    workspace: Workspace, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    registered = [register(workspace, "tiny", weights) for weights in (b"1", b"2", b"3")]
    other = register(workspace, "tiny.autoencoder", b"4")
    client = MlflowClient(workspace.mlflow_uri, workspace.mlflow_uri)
    client.delete_model_version("tiny", "2")
    for file in registered[1].folder.iterdir():
        file.unlink()
    again = restarted(workspace, content)
    tracking = Tracking(data=str(again.data))
    with caplog.at_level(logging.WARNING, "pcip"):
        for model, expected in (("tiny", registered[2]), ("tiny.autoencoder", other)):
            found = tracking.champion(model)
            assert (found.version, found.run_id, found.tags) == (
                expected.version,
                expected.run_id,
                expected.tags,
            )
            assert found.folder == again.data / expected.folder.relative_to(workspace.data)
    assert "registered again from their files: tiny (1, 3), tiny.autoencoder (1)" in caplog.text
    client = MlflowClient(again.mlflow_uri, again.mlflow_uri)
    assert {version.version for version in client.search_model_versions("name = 'tiny'")} == {1, 3}
    assert register(again, "tiny", b"5").version == "tiny/4"
    caplog.clear()
    assert tracking.has_champion("tiny")
    assert not caplog.records


def test_weights_without_a_registration_are_named(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = register(workspace, "tiny", b"1")
    (encoder.folder / "registration.json").unlink()
    again = restarted(workspace, None)
    with caplog.at_level(logging.WARNING, "pcip"):
        assert not Tracking(data=str(again.data)).has_champion("tiny")
    assert (
        f"{again.data / encoder.folder.relative_to(workspace.data)}: weights whose registration is not known"
        in caplog.text
    )
    assert "`pcip run tiny --retrain`" in caplog.text
