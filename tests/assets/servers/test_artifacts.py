"""MLflow's files in an object store, and in a folder that a machine may lack."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pcip_assets.records.dataset import Crops
from pcip_assets.records.model import CARD
from pcip_assets.records.scores import Evaluation
from pcip_assets.records.settings import SETTINGS, trained_as
from pcip_assets.servers import artifacts
from pcip_assets.servers.artifacts import copy_of, folder_of, require_usable
from pcip_assets.tracking import Encoder, Tracking
from pcip_assets.workspace import Workspace
from pcip_core.errors import EncoderError, StoreError
from pcip_core.spec.screen import Screen
from tests.conftest import write_tiny_screen

WEIGHTS = b"weights of a network"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket of an S3 server on this machine."""
    server = pytest.importorskip("moto.server", reason="no S3 server for tests (pip install 'moto[server]')")
    boto3 = pytest.importorskip("boto3")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", f"http://{host}:{port}")
    for name, value in {
        "ACCESS_KEY_ID": "key",
        "SECRET_ACCESS_KEY": "s",
        "DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    made = boto3.resource("s3", endpoint_url=f"http://{host}:{port}").Bucket("lab")
    made.create()
    yield made
    running.stop()


def workspace_of(folder: Path, location: str) -> Workspace:
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "servers.yaml").write_text(f"artifacts: {location}\n")
    return Workspace(folder / "data")


def register(workspace: Workspace, screen: Screen, files: Path) -> Encoder:
    """Register a network with the settings of a screen."""
    files.mkdir()
    (files / "encoder.safetensors").write_bytes(WEIGHTS)
    (files / "config.json").write_text(
        json.dumps({"extra": {SETTINGS: screen.section("encoder")["encoder"]}})
    )
    (files / CARD).write_text("# A network\n\n## Scores\n")
    tracking = Tracking(data=str(workspace.data))
    run_id = tracking.log_extraction(screen.name, Encoder("tiny/0", "", files, {}), params={}, metrics={})
    return tracking.register(screen.name, screen.name, run_id, files, {})


def test_a_network_in_an_object_store_is_used_from_a_copy(tmp_path: Path, bucket: Any) -> None:
    workspace = workspace_of(tmp_path / "one", "s3://lab/pcip")
    screen = workspace.find(str(write_tiny_screen(tmp_path)))
    champion = register(workspace, screen, tmp_path / "files")
    kept = {Path(each.key).name: each for each in bucket.objects.filter(Prefix="pcip/tiny/")}
    assert {"encoder.safetensors", "config.json", CARD, "registration.json"} <= kept.keys()
    assert kept["encoder.safetensors"].get()["Body"].read() == WEIGHTS
    assert not workspace.artifacts("").exists()
    assert champion.folder == copy_of(workspace, "tiny", "1")
    trained = trained_as(workspace, screen)
    assert trained is not None
    assert trained.settings == screen.encoder

    copy = champion.folder / "encoder.safetensors"
    copy.write_bytes(b"damaged")
    assert Tracking(data=str(workspace.data)).champion("tiny").folder == champion.folder
    assert copy.read_bytes() == WEIGHTS, "fetched again"
    crops = Crops("tiny", "0123", ("protein",), 16, cells=1, images=1, shards=1)
    Tracking(data=str(workspace.data)).show_scores(
        champion, Evaluation("knn_benchmark", crops, {"best_accuracy": 0.5})
    )
    assert b"0.5" in kept[CARD].Object().get()["Body"].read(), "the card in the object store has the scores"

    kept["encoder.safetensors"].Object().put(Body=b"replaced by somebody")
    copy.unlink()
    digest = hashlib.sha256(b"replaced by somebody").hexdigest()
    with pytest.raises(EncoderError, match=f"weights with SHA-256 {digest}.*`pcip run tiny --retrain`"):
        Tracking(data=str(workspace.data)).champion("tiny")


def test_an_object_store_that_lost_a_network_is_named(tmp_path: Path, bucket: Any) -> None:
    workspace = workspace_of(tmp_path / "one", "s3://lab/pcip")
    screen = workspace.find(str(write_tiny_screen(tmp_path)))
    champion = register(workspace, screen, tmp_path / "files")
    bucket.objects.filter(Prefix="pcip/tiny/models/").delete()
    (champion.folder / "encoder.safetensors").unlink()
    with pytest.raises(EncoderError, match=r"s3://lab/pcip/tiny/models/.*Restore"):
        Tracking(data=str(workspace.data)).champion("tiny")


def test_a_folder_for_the_files_of_all(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path / "one", str(tmp_path / "of all"))
    screen = workspace.find(str(write_tiny_screen(tmp_path)))
    champion = register(workspace, screen, tmp_path / "files")
    assert champion.folder.is_relative_to(tmp_path / "of all" / "tiny")
    trained = trained_as(workspace, screen)
    assert trained is not None
    assert trained.version == "tiny/1"


def test_a_folder_that_a_machine_lacks_is_named(tmp_path: Path) -> None:
    own = (tmp_path / "here" / "tiny").as_uri()
    require_usable(own, "tiny", own=own)
    elsewhere = tmp_path / "elsewhere" / "tiny"
    with pytest.raises(StoreError, match=r"elsewhere/tiny.*Mount the shared folder at the same path"):
        require_usable(elsewhere.as_uri(), "tiny", own=own)
    elsewhere.parent.mkdir()
    require_usable(elsewhere.as_uri(), "tiny", own=own)
    assert folder_of(elsewhere.as_uri()) == folder_of(str(elsewhere)) == elsewhere
    assert folder_of("s3://lab/pcip") is None


def test_a_missing_package_for_an_object_store_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "_CLIENTS", {"s3": "no_such_package"})
    with pytest.raises(StoreError, match="no package no_such_package"):
        require_usable("s3://lab/pcip/tiny", "tiny", own="s3://lab/pcip/tiny")
