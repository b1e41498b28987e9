"""Every training of a screen is started as the engine says, and a cluster of this machine is started patiently."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pcip_assets.assets.encoders import train_network
from pcip_assets.compute import cluster
from pcip_assets.compute.settings import Compute
from pcip_assets.tracking import Tracking
from pcip_core.errors import ComputeError
from tests.assets.conftest import Finished


def test_an_encoder_is_trained_by_the_processes_that_the_engine_starts(
    own: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Path] = []

    def start(job: Any, tracker: Any) -> Any:
        started.append(job.keywords["checkpoints"])
        return job(tracker=tracker)

    monkeypatch.setattr(train_network, "training_start", lambda workspace, folder, log: start)
    outcome = own.again(retrain=True)
    assert outcome.success, outcome.error
    (folder,) = started
    assert folder.is_relative_to(own.workspace.checkpoints / "tiny")
    tracking = Tracking(data=str(own.workspace.data))
    assert tracking.champion("tiny").version == "tiny/2"


class Slow:
    """Ray on a machine that is too busy to start it at once."""

    def __init__(self, failures: int) -> None:
        self.left, self.calls = failures, []

    def is_initialized(self) -> bool:
        return False

    def init(self, *_: Any, **__: Any) -> None:
        self.calls.append("init")
        if self.left:
            self.left -= 1
            raise RuntimeError("The current node timed out during startup.")

    def shutdown(self) -> None:
        self.calls.append("shutdown")


def test_a_cluster_of_this_machine_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(2)
    monkeypatch.setattr(cluster, "ray", lambda **_: slow)
    assert cluster.connect(Compute(engine="ray", address="local")) is slow
    assert slow.calls == ["init", "shutdown", "init", "shutdown", "init"]


def test_a_cluster_that_never_starts_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ray", lambda **_: Slow(3))
    with pytest.raises(ComputeError, match=r"timed out during startup.*within 30 s, in one of 3 attempts"):
        cluster.connect(Compute(engine="ray", address="local"))
