"""The training of one network by several runs at once."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from pcip_assets.assets.encoders import train_network
from pcip_assets.assets.encoders.train_network import Network
from pcip_assets.workspace import Workspace

SECONDS = 30


@pytest.mark.parametrize(
    ("wanted", "champion_of", "trainings"),
    [("same", "none", 1), ("other", "none", 2), ("same", "the first fails", 2)],
)
def test_runs_at_once_train_one_after_the_other_and_the_same_network_once(
    wanted: str, champion_of: str, trainings: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the first training fails, the second run trains, also to replace a champion of the same inputs."""
    fails = champion_of == "the first fails"
    champion = SimpleNamespace(version="tiny/1", tags={"inputs_hash": "same" if fails else "none"})
    tracking = SimpleNamespace(champion_version=lambda _: champion)
    started, waiting, trained = Event(), Event(), list[str]()

    def train(_: Any, __: Any, made_from: str) -> dict[str, Any]:
        started.set()
        if not trained:
            assert waiting.wait(SECONDS)  # the second run has come to the lock
        trained.append(made_from)
        if fails and len(trained) == 1:
            raise OSError("the disk is full")
        champion.version = "tiny/2"
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
        with pytest.raises(OSError, match="full") if fails else nullcontext():
            assert first.result(SECONDS) == {"trained": "same"}
        assert second.result(SECONDS) == ({"up_to_date": True} if trainings == 1 else {"trained": wanted})
    assert len(trained) == trainings
