"""Training: resumed equals uninterrupted, the loss falls, bad numbers stop it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pcip_core.errors import ShapeError, TrainingError
from pcip_core.spec.training import TrainingConfig
from pcip_core.training import loop
from pcip_core.training.batches import PairBatches
from pcip_core.training.cells import CellSet
from pcip_core.training.loop import set_rate, train
from pcip_core.training.sampling import hold_out
from pcip_core.training.tasks import inpainting
from tests.core.training.small import CHANNELS, INPAINTING, Listener, cells

CONFIG = TrainingConfig(
    **{"epochs": 4, "batch_size": 8, "learning_rate": 1e-3, "preview_every": 2, "width": 0.06, "seed": 3},
    precision="float32",
)


def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path: Path) -> None:
    whole = train(cells(), INPAINTING, CONFIG, tracker=Listener(), checkpoints=None)
    stopped = Listener(stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        train(cells(), INPAINTING, CONFIG, tracker=stopped, checkpoints=tmp_path)
    assert stopped.epochs == [1, 2]
    listener = Listener()
    resumed = train(cells(), INPAINTING, CONFIG, tracker=listener, checkpoints=tmp_path)
    assert listener.epochs == [3, 4]
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name
    losses = [[row["loss"] for row in one.history] for one in (whole, resumed)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize(
    "change", [{"schedule": "cosine"}, {"schedule": "cosine", "warm_up": 0.3}, {"warm_up": 0.3}]
)
def test_a_schedule_resumes_bit_for_bit_and_belongs_to_its_number_of_epochs(
    change: dict[str, Any], tmp_path: Path
) -> None:
    config = dataclasses.replace(CONFIG, **change)
    whole = train(cells(), INPAINTING, config, tracker=Listener())
    with pytest.raises(KeyboardInterrupt):
        train(cells(), INPAINTING, config, tracker=Listener(stop_after=2), checkpoints=tmp_path)
    with pytest.raises(TrainingError, match="other settings"):
        train(
            cells(),
            INPAINTING,
            dataclasses.replace(config, epochs=5),
            tracker=Listener(),
            checkpoints=tmp_path,
        )
    resumed = train(cells(), INPAINTING, config, tracker=Listener(), checkpoints=tmp_path)
    plain = train(cells(), INPAINTING, CONFIG, tracker=Listener())
    weights = [trained.network.state_dict() for trained in (whole, resumed, plain)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert not all(torch.equal(value, weights[2][name]) for name, value in weights[0].items())


@pytest.mark.parametrize("warm_up", [0.0, 0.1])
def test_every_step_has_the_rate_of_torchs_schedules(warm_up: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """An independent truth: torch's cosine and linear schedules, at the middle of each step."""
    rates = []
    monkeypatch.setattr(loop, "set_rate", lambda *given: rates.append(_rate(*given)))
    config = dataclasses.replace(CONFIG, epochs=5, learning_rate=0.01, schedule="cosine", warm_up=warm_up)
    train(cells(images=5, each=10), INPAINTING, config, tracker=Listener())  # 45 cells to train on: 6 steps
    middles = np.concatenate([epoch + (np.r_[4:40:8, 42.5] / 45) for epoch in range(5)])
    rising = round(5 * warm_up * 1000)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.01)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5000 - rising)
    expected = list(np.arange(rising) / max(rising, 1) * 0.01)
    for _ in range(5000 - rising):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        cosine.step()
    np.testing.assert_allclose(rates, np.interp(middles, np.arange(5000) / 1000, expected), atol=2e-5)


def _rate(optimizer: torch.optim.Optimizer, config: TrainingConfig, epochs: float) -> float:
    set_rate(optimizer, config, epochs)
    return float(optimizer.param_groups[0]["lr"])


def test_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    train(
        cells(), INPAINTING, dataclasses.replace(CONFIG, epochs=1), tracker=Listener(), checkpoints=tmp_path
    )
    with pytest.raises(TrainingError, match="other settings"):
        train(
            cells(), INPAINTING, dataclasses.replace(CONFIG, seed=9), tracker=Listener(), checkpoints=tmp_path
        )


def test_loss_falls_and_everything_is_reported() -> None:
    listener = Listener()
    data = cells()
    trained = train(data, INPAINTING, dataclasses.replace(CONFIG, epochs=30), tracker=listener)
    losses = [row["loss"] for row in trained.history]
    best_constant = float((data.pixels[:, 1] / 255).var())  # the loss of predicting the mean everywhere
    assert losses[-1] < 0.75 * best_constant
    assert set(trained.history[0]) == {"epoch", "loss", "validation_loss", "pairs_per_s", "seconds"}
    assert listener.params["training_cells"] + listener.params["validation_cells"] == 48
    assert listener.params["seed"] == 3
    assert sorted(listener.previews) == list(range(2, 31, 2))
    shown = listener.previews[30]
    assert shown.source.shape == shown.target.shape == (*shown.prediction.shape[:1], 2, 16, 16)
    assert not trained.network.training


def test_held_out_cells_are_never_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[int] = set()
    original = PairBatches.of

    def spy(
        self: PairBatches, source: np.ndarray, target: np.ndarray, flips: np.ndarray | None = None
    ) -> Any:
        if flips is not None:
            seen.update(source.tolist(), target.tolist())
        return original(self, source, target, flips)

    monkeypatch.setattr(PairBatches, "of", spy)
    data = cells()
    train(data, INPAINTING, dataclasses.replace(CONFIG, validation_fraction=0.25), tracker=Listener())
    held = hold_out(data.image, fraction=0.25, seed=CONFIG.seed)
    assert held.any()
    assert seen == set(np.flatnonzero(~held).tolist())


def test_nan_loss_stops_with_a_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(prediction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return ((prediction - truth) ** 2).mean() * float("nan")

    monkeypatch.setattr(inpainting, "mse_loss", broken)
    with pytest.raises(TrainingError, match=r"epoch 1: found a loss of nan.*learning_rate"):
        train(cells(), INPAINTING, CONFIG, tracker=Listener(), checkpoints=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"device": "cuda:7"}, "device 'cuda:7'"),
        ({"device": "abacus"}, "device 'abacus'"),
        ({"precision": "int4"}, "precision 'int4'"),
        ({"epochs": 0}, "epochs 0"),
        ({"memory_fraction": 2}, "memory_fraction 2"),
    ],
)
def test_invalid_settings_raise(change: dict[str, Any], found: str) -> None:
    with pytest.raises(TrainingError, match=found):
        train(cells(), INPAINTING, dataclasses.replace(CONFIG, **change), tracker=Listener())


def test_other_channels_and_bad_arrays_are_refused() -> None:
    data = cells()
    with pytest.raises(TrainingError, match="found channels"):
        train(CellSet(data.pixels, data.image, ("red", "green")), INPAINTING, CONFIG, tracker=Listener())
    with pytest.raises(ShapeError, match="found pixels float32"):
        CellSet(data.pixels.astype(np.float32), data.image, CHANNELS)
