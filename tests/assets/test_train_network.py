"""The training of one network by several runs at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from pcip_assets.assets.encoders import train_network
from pcip_assets.assets.encoders.train_network import Network
from pcip_assets.workspace import Workspace

SECONDS = 30


@pytest.mark.parametrize(("wanted", "trainings"), [("same", 1), ("other", 2)])
def test_runs_at_once_train_one_after_the_other_and_the_same_network_once(
    wanted: str, trainings: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion = SimpleNamespace(tags={"inputs_hash": "none"})
    tracking = SimpleNamespace(has_champion=lambda _: True, champion=lambda _: champion)
    started, waiting, trained = Event(), Event(), list[str]()

    def train(_: Any, __: Any, made_from: str) -> dict[str, Any]:
        started.set()
        if not trained:
            assert waiting.wait(SECONDS)  # the second run has come to the lock
        trained.append(made_from)
        champion.tags["inputs_hash"] = made_from
        return {"trained": made_from}

    def info(message: str) -> None:
        assert message == "tiny: another run trains this network; waiting for it to end"
        waiting.set()

    monkeypatch.setattr(train_network, "train_network", train)
    run: Any = SimpleNamespace(
        screen=SimpleNamespace(name="tiny"),
        library=SimpleNamespace(workspace=Workspace(tmp_path)),
        context=SimpleNamespace(log=SimpleNamespace(info=info)),
    )
    nothing: Any = None
    network = Network(tracking, "tiny", "inpainting", nothing, nothing, nothing)  # type: ignore[arg-type]
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(network.keep, run, None, "same")
        assert started.wait(SECONDS)
        second = pool.submit(network.keep, run, None, wanted)
        assert first.result(SECONDS) == {"trained": "same"}
        assert second.result(SECONDS) == ({"up_to_date": True} if wanted == "same" else {"trained": "other"})
    assert len(trained) == trainings
