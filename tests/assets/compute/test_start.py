"""Every training of a screen is started as the engine says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pcip_assets.assets.encoders import train_network
from pcip_assets.tracking import Tracking
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
