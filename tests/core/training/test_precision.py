"""The choice of the precision: by what the processor can and by a timed step; kept when a training is resumed."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from pcip_core.errors import PrecisionError, TrainingError
from pcip_core.models.precision import PRECISIONS
from pcip_core.training import precision
from pcip_core.training.loop import build_optimizer, train
from pcip_core.training.precision import Choice, choose_precision, multiplies_bf16, try_steps
from pcip_core.training.processes import Processes
from pcip_core.training.tasks import inpainting
from pcip_core.training.tasks.inpainting import Inpainting
from tests.core.training.small import CONFIG, INPAINTING, Listener, cells

CPU = torch.device("cpu")
AUTO = dataclasses.replace(CONFIG, precision="auto", validation_fraction=0.0)
BF16 = dataclasses.replace(AUTO, precision="bf16")


def native(monkeypatch: pytest.MonkeyPatch, *, bf16_s: float = 0.5, bf16_loss: float = 1.001) -> list[Any]:
    """A processor with native bf16, whose steps take 1 s in float32, with a loss of 1; the list of its trials."""
    trials: list[Any] = []

    def steps(*args: Any, **_: Any) -> tuple[dict[str, float], dict[str, float]]:
        trials.append(args)
        return {"float32": 1.0, "bf16": bf16_s}, {"float32": 1.0, "bf16": bf16_loss}

    monkeypatch.setattr(precision, "multiplies_bf16", lambda _: True)
    monkeypatch.setattr(precision, "try_steps", steps)
    return trials


def task() -> Inpainting:
    return Inpainting(cells(), INPAINTING, CONFIG, CPU)


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, True),
        ({"amx_bf16": False, "avx512_bf16": True}, True),
        ({"amx_int8": True, "amx_bf16": False, "avx512_bf16": False}, False),
        ({}, False),
    ],
)
def test_what_torch_reports_of_the_cpu(
    reported: dict[str, bool], monkeypatch: pytest.MonkeyPatch, *, expected: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: reported)
    assert multiplies_bf16(CPU) is expected
    assert multiplies_bf16(torch.device("mps")) is False


def test_torch_reports_the_flags_that_are_read() -> None:
    """An independent truth: the flags of /proc/cpuinfo, where there are any."""
    info = Path("/proc/cpuinfo")
    if not info.is_file() or "avx2" not in info.read_text():
        pytest.skip("no x86 processor under Linux")
    flags = set(info.read_text().split())
    assert {"amx_bf16", "avx512_bf16"} <= set(torch.cpu.get_capabilities())
    assert multiplies_bf16(CPU) == bool({"amx_bf16", "avx512_bf16"} & flags)


def test_auto_without_native_bf16_is_float32_and_times_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    trials = native(monkeypatch)
    monkeypatch.setattr(precision, "multiplies_bf16", lambda _: False)
    assert choose_precision("auto", task(), CPU).precision == "float32"
    assert choose_precision("float32", task(), CPU) == Choice("float32", "the setting")
    assert trials == []


@pytest.mark.parametrize(
    ("seconds", "loss", "chosen", "reason"),
    [
        (0.5, 1.001, "bf16", "a step in bf16 takes 0.50 of the time in float32"),
        (0.95, 1.001, "float32", "takes 0.95 of the time"),  # too near to choose by chance
        (0.5, 1.04, "float32", "a loss of 1.04 in bf16, 1 in float32: they differ"),
        (0.5, math.nan, "float32", "a loss of nan in bf16"),
        (0.5, math.inf, "float32", "a loss of inf in bf16"),
    ],
)
def test_auto_takes_the_faster_if_the_loss_agrees(
    seconds: float, loss: float, chosen: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    native(monkeypatch, bf16_s=seconds, bf16_loss=loss)
    choice = choose_precision("auto", task(), CPU)
    assert choice.precision == chosen
    assert reason in choice.reason
    params = choice.as_params()
    assert params["precision_used"] == chosen
    assert ("timed_step_bf16_s" in params) == (1 < loss < 1.03)


def test_bf16_asked_for_requires_the_loss_of_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    native(monkeypatch, bf16_s=2.0)
    assert choose_precision("bf16", task(), CPU).precision == "bf16"  # also where it is slower
    native(monkeypatch, bf16_loss=1.04)
    with pytest.raises(PrecisionError, match=r"a loss of 1\.04 in bf16.*Set encoder\.precision to float32"):
        choose_precision("bf16", task(), CPU)


def test_the_first_process_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    trials = native(monkeypatch)

    class Second(Processes):
        """The second of two; the first has chosen bf16."""

        def sum(self, values: torch.Tensor) -> torch.Tensor:
            return values + 1

    choice = choose_precision("auto", task(), CPU, Second(1, 2))
    assert (choice.precision, trials) == ("bf16", [])


def test_steps_of_both_are_timed_and_their_losses_agree() -> None:
    for work in (task(), Inpainting(cells(), INPAINTING, dataclasses.replace(CONFIG, seed=8), CPU)):
        seconds, losses = try_steps(work, CPU)
        assert set(seconds) == set(losses) == set(PRECISIONS)
        assert min(seconds.values()) > 0
        assert losses["bf16"] != losses["float32"]
        assert losses["bf16"] == pytest.approx(losses["float32"], rel=2**-6)
    batch = next(work.batches(1))
    first = precision._first_rows(work, work.build())
    assert torch.equal(first.truth, batch.truth[: len(first.truth)])
    assert len(first.truth) == CONFIG.batch_size


def test_float32_is_the_plain_loop_bit_for_bit() -> None:
    """The loop as it was before there was a choice, written out."""
    config = dataclasses.replace(CONFIG, epochs=2, validation_fraction=0.0)
    result = train(cells(), INPAINTING, config, tracker=Listener())
    work = Inpainting(cells(), INPAINTING, config, CPU)
    model = work.build().to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = build_optimizer(model, config)
    for epoch in (1, 2):
        for batch in work.batches(epoch):
            loss = torch.nn.functional.mse_loss(model(*batch.inputs), batch.truth)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert result.precision == "float32"
    for name, value in model.state_dict().items():
        assert torch.equal(value, result.network.state_dict()[name]), name


def test_bf16_keeps_weights_norms_and_adam_in_float32(tmp_path: Path) -> None:
    exact = train(cells(), INPAINTING, dataclasses.replace(BF16, precision="float32"), tracker=Listener())
    result = train(cells(), INPAINTING, BF16, tracker=Listener(), checkpoints=tmp_path)
    assert (exact.precision, result.precision) == ("float32", "bf16")
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    moments = [value for each in state["optimizer"]["state"].values() for value in each.values()]
    for value in (*result.network.state_dict().values(), *moments):
        assert value.dtype in (torch.float32, torch.int64)
    losses = [[row["loss"] for row in each.history] for each in (exact, result)]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=2**-5)


@pytest.mark.parametrize("after", [0, 2])
def test_a_resumed_training_keeps_its_precision(
    after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some epochs, or within the first."""
    config = dataclasses.replace(AUTO, epochs=after + 1)

    def run(listener: Listener, **changes: Any) -> Any:
        changed = dataclasses.replace(config, **changes)
        return train(cells(images=4), INPAINTING, changed, tracker=listener, checkpoints=tmp_path / "kept")

    native(monkeypatch)
    whole = train(cells(images=4), INPAINTING, config, tracker=Listener())
    with pytest.raises(KeyboardInterrupt):
        run(Listener(stop_after=after))
    trials = native(monkeypatch, bf16_s=2.0)  # another machine would choose float32
    with pytest.raises(TrainingError, match=r"found the checkpoint of a training in bf16.*float32"):
        run(Listener(), precision="float32")
    listener = Listener()
    resumed = run(listener)
    assert trials == []
    assert listener.epochs == [after + 1]
    assert whole.precision == resumed.precision == listener.params["precision_used"] == "bf16"
    assert listener.params["timed_step_bf16_s"] == 0.5
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name


def test_overflow_in_bf16_says_so_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    native(monkeypatch)

    def overflowing(prediction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return ((prediction - truth) ** 2).mean() * float("inf")

    monkeypatch.setattr(inpainting, "mse_loss", overflowing)
    with pytest.raises(PrecisionError, match=r"epoch 1: found a loss of inf in bf16.*precision to float32"):
        train(cells(), INPAINTING, AUTO, tracker=Listener())
