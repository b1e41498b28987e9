"""Several processes train the network that one trains, and fail as one."""

from __future__ import annotations

import copy
import dataclasses
import multiprocessing
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
import torch.distributed as dist
from torch import nn

from pcip_core.errors import TrainingError
from pcip_core.training.device import choose_device
from pcip_core.training.processes import Processes, SharedBatchNorm, enter
from pcip_core.training.starting import run_in_processes
from pcip_core.training.tracker import SilentTracker
from tests.core.training.process_jobs import (
    CONFIG,
    TWO,
    Recorder,
    ReversedClassification,
    ReversedInpainting,
    ReversedPairs,
    fail,
    gradients,
    inpaint,
    pair,
    supervise,
)


class Stopping(SilentTracker):
    """Interrupts the second epoch."""

    def batch(self, epoch: int, done: int, total: int) -> None:
        if epoch == 2:
            raise KeyboardInterrupt


def differences(first: Any, second: Any) -> dict[str, float]:
    """The largest difference of the weights, and of the losses and probabilities, which are float32."""
    weights, others = first.network.state_dict(), second.network.state_dict()
    assert list(weights) == list(others)
    pairs = [(a, b) for a, b in zip(first.history, second.history, strict=True)]
    assert all(a.keys() == b.keys() for a, b in pairs)
    losses = [abs(a[name] / b[name] - 1) for a, b in pairs for name in ("loss", "validation_loss")]
    if hasattr(first, "probabilities"):
        losses.append(np.abs(first.probabilities - second.probabilities).max())
    return {
        "weights": max(float((value - others[name]).abs().max()) for name, value in weights.items()),
        "losses": max(losses),
    }


def require_equal(first: Any, second: Any, reordered: Any) -> None:
    """The second training differs from the first as one with reordered sums does, within a factor of ten.

    The floors, where reordering happens to change next to nothing: a millionth of one step of Adam for the
    weights, and ten units in the last place of float32 for the losses.
    """
    found, rounding = differences(first, second), differences(first, reordered)
    assert found["weights"] <= max(10 * rounding["weights"], 1e-6 * CONFIG.learning_rate), (found, rounding)
    assert found["losses"] <= max(10 * rounding["losses"], 1.2e-6), (found, rounding)
    assert rounding["weights"] <= 1e-3 * CONFIG.learning_rate  # or the bound would hold whatever is wrong


def test_two_processes_equal_one_also_when_resumed_under_torchrun(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        inpaint(TWO, tracker=Stopping(), checkpoints=tmp_path)
    assert multiprocessing.active_children() == []
    script = tmp_path / "script.py"
    script.write_text(
        "import os, pickle\nfrom pathlib import Path\n"
        "from pcip_core.training.processes import join\n"
        "from tests.core.training.process_jobs import CONFIG, Recorder, gradients, inpaint, pair\n"
        "recorder, here = Recorder(), Path(__file__).parent\n"
        "result = inpaint(CONFIG, tracker=recorder, checkpoints=here)\n"
        "paired = pair(), gradients(join('gloo'))\n"
        "(here / os.environ['RANK']).write_bytes(pickle.dumps((result, recorder, *paired)))\n"
    )
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run([*torchrun, str(script)], env=_environment(), check=True, timeout=600)
    (first, heard, *paired), (second, nothing, *_) = (
        pickle.loads((tmp_path / rank).read_bytes()) for rank in "01"
    )
    require_equal(inpaint(CONFIG), first, inpaint(CONFIG, ReversedInpainting))
    assert heard.params["training_cells"] % 8 == 1  # so the second process had no row of the last batch
    assert heard.heard == [("epoch", 2), ("preview", 2)]
    assert nothing.heard == []  # only the first process reports
    for name, value in first.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name]), name
    require_equal_pairs(*paired)


def require_equal_pairs(trained: Any, summed: dict[str, torch.Tensor]) -> None:
    """Two processes on pairs equal one in weights and in gradients: statistics are those of the whole batch.

    The gradients are compared as well, because Adam takes the same step after gradients that are twice as large.
    """
    require_equal(pair(), trained, pair(task=ReversedPairs))
    for name, gradient in gradients().items():
        assert torch.allclose(gradient, summed[name], rtol=1e-5, atol=1e-8), name


def test_two_processes_supervise_as_one() -> None:
    recorder = Recorder()
    together = supervise(TWO, tracker=recorder)
    require_equal(supervise(CONFIG), together, supervise(CONFIG, ReversedClassification))
    assert recorder.params["processes"] == 2
    assert recorder.heard == [("epoch", 1), ("epoch", 2)]
    assert recorder.batches == [(epoch, done, 30) for epoch in (1, 2) for done in (8, 16, 24, 30)]
    assert not any(isinstance(module, SharedBatchNorm) for module in together.network.modules())
    assert not together.network.training
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("unknown", r"process 1 of 2: found ValueError: no such thing"),
        ("known", r"^epoch 7: found nothing; required: something. Look.$"),
        ("killed", r"process 1 of 2: found exit status -9"),
    ],
)
def test_a_process_that_fails_ends_the_training_with_its_reason(how: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message) as caught:
        run_in_processes(partial(fail, how), 2, backend="gloo", tracker=Recorder())
    notes = getattr(caught.value, "__notes__", [])
    assert (how == "unknown") == any("line" in note and "in fail" in note for note in notes)
    assert multiprocessing.active_children() == []


def test_processes_listen_on_the_loopback_and_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from functools import partial\nfrom pathlib import Path\n"
        "from pcip_core.training.starting import run_in_processes\n"
        "from pcip_core.training.tracker import SilentTracker\n"
        "from tests.core.training.process_jobs import stay\n"
        "if __name__ == '__main__':\n"
        "    job = partial(stay, Path(__file__).parent)\n"
        "    run_in_processes(job, 2, backend='gloo', tracker=SilentTracker())\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)], env=_environment())
    _wait_for(lambda: (tmp_path / "0").is_file() and (tmp_path / "1").is_file())
    children = psutil.Process(parent.pid).children(recursive=True)
    assert len(children) >= 2
    opened = [connection.laddr.ip for child in children for connection in child.net_connections()]
    assert set(opened) == {"127.0.0.1"}
    parent.kill()
    parent.wait()
    _wait_for(lambda: not any(map(_lives, children)))


def _wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + 300
    while not what():
        assert time.monotonic() < until
        time.sleep(0.05)


def _lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}


def test_invalid_processes_raise() -> None:
    with pytest.raises(TrainingError, match="processes 0"):
        inpaint(dataclasses.replace(CONFIG, processes=0))
    with pytest.raises(TrainingError, match="one GPU for several processes"):
        choose_device("cuda:1", number=0)


def test_shares_partition_the_batch() -> None:
    rows = np.arange(100)
    for part in (slice(10, 27), slice(3, 4), slice(0, 64)):
        shares = [Processes(rank, 4) for rank in range(4)]
        taken = [rows[one.share(part)] for one in shares]
        assert sorted(np.concatenate(taken)) == rows[part].tolist()
        assert [one.others(part) for one in shares] == [len(rows[part]) - len(mine) for mine in taken]


@pytest.fixture
def group_of_one(tmp_path: Path) -> Iterator[None]:
    """A process group that this process has for itself."""
    enter("gloo", rank=0, size=1, at=f"file://{tmp_path / 'rendezvous'}")
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("group_of_one")
@pytest.mark.parametrize(("plain", "shape"), [(nn.BatchNorm2d, (6, 5, 4, 3)), (nn.BatchNorm1d, (6, 5))])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_shared_batch_norm_is_torchs(plain: Any, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    theirs = plain(5, eps=1e-3, momentum=0.01)
    nn.init.normal_(theirs.weight, generator=generator)
    nn.init.normal_(theirs.bias, generator=generator)
    ours = SharedBatchNorm(copy.deepcopy(theirs))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    given = (3 * torch.randn(shape, generator=generator) + 7).to(dtype)
    wanted = torch.randn(shape, generator=generator).to(dtype)
    results = []
    for norm in (ours, theirs):
        x = given.clone().requires_grad_()
        out = norm(x)
        assert out.dtype == dtype
        out.backward(wanted)
        results.append([out, x.grad, norm.weight.grad, norm.bias.grad, *norm.buffers(), norm.eval()(given)])
    near = 2e-2 if dtype is torch.bfloat16 else 2e-5
    for mine, other in zip(*results, strict=True):
        assert torch.allclose(mine.float(), other.float(), rtol=near, atol=near)
