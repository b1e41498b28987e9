"""Several processes train the network that one trains, and fail as one."""

from __future__ import annotations

import copy
import dataclasses
import multiprocessing
import os
import pickle
import signal
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
from pcip_core.models.deeploc import DeepLocConfig
from pcip_core.models.inpainting import NetworkConfig
from pcip_core.spec.training import TrainingConfig
from pcip_core.training.cells import CellSet
from pcip_core.training.device import choose_device
from pcip_core.training.loop import train
from pcip_core.training.processes import Processes, SharedBatchNorm, enter, join
from pcip_core.training.starting import run_in_processes
from pcip_core.training.tasks.supervised import train_supervised
from pcip_core.training.tracker import SilentTracker

CHANNELS = ("cytosol", "protein")
INPAINTING = NetworkConfig(CHANNELS, ("cytosol",), ("protein",), size_px=16, width=0.06)
DEEPLOC = DeepLocConfig(CHANNELS, ("a", "b"), size_px=16, width=0.06)
# Adam makes steps of nearly one size of gradients that are nothing but rounding: at 1e-3 the mere order of a
# batch's rows moves the loss of the second epoch by 6e-4, at 1e-4 by 2e-7.
CONFIG = TrainingConfig(
    epochs=2, batch_size=8, learning_rate=1e-4, preview_every=1, width=0.06, seed=3, validation_fraction=0.2
)
TWO = dataclasses.replace(CONFIG, processes=2)


class Recorder(SilentTracker):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self.heard: list[tuple[str, int]] = []
        self.batches: list[tuple[int, int, int]] = []

    def start(self, params: Any) -> None:
        self.params = dict(params)

    def batch(self, epoch: int, done: int, total: int) -> None:
        self.batches.append((epoch, done, total))

    def epoch(self, number: int, metrics: Any) -> None:
        self.heard.append(("epoch", number))

    def preview(self, number: int, preview: Any) -> None:
        self.heard.append(("preview", number))


class Stopping(SilentTracker):
    """Interrupts the second epoch."""

    def batch(self, epoch: int, done: int, total: int) -> None:
        if epoch == 2:
            raise KeyboardInterrupt


def cells() -> tuple[CellSet, np.ndarray]:
    """41 random cells of 8 images: batches of 8 leave a last one with no row for the second process."""
    rng = np.random.default_rng(0)
    image = np.arange(41) % 8
    pixels = rng.integers(0, 256, (41, 2, 16, 16)).astype(np.uint8)
    pixels[image % 2 == 1] //= 2
    return CellSet(pixels, image, CHANNELS), image % 2


def trained(kind: str, config: TrainingConfig, **kwargs: Any) -> Any:
    data, labels = cells()
    kwargs.setdefault("tracker", SilentTracker())
    if kind == "inpainting":
        return train(data, INPAINTING, config, **kwargs)
    held = data.image < 2
    return train_supervised(data, labels, DEEPLOC, config, held=held, **kwargs)


def require_equal(one: Any, other: Any) -> None:
    """The same losses and weights, within the error of floating point."""
    for a, b in zip(one.history, other.history, strict=True):
        assert a.keys() == b.keys()
        for name in ("loss", "validation_loss"):
            assert a[name] == pytest.approx(b[name], rel=1e-5), (name, a["epoch"])
    theirs = other.network.state_dict()
    assert list(one.network.state_dict()) == list(theirs)
    for name, value in one.network.state_dict().items():
        assert torch.allclose(value, theirs[name], rtol=1e-4, atol=2e-5), name


def test_two_processes_equal_one_also_when_resumed(tmp_path: Path) -> None:
    alone, recorder = trained("inpainting", CONFIG), Recorder()
    with pytest.raises(KeyboardInterrupt):
        trained("inpainting", TWO, tracker=Stopping(), checkpoints=tmp_path)
    together = trained("inpainting", TWO, tracker=recorder, checkpoints=tmp_path)
    require_equal(alone, together)
    assert recorder.params["processes"] == 2
    assert recorder.params["training_cells"] % 8 == 1  # so the second process had no row of the last batch
    assert recorder.heard == [("epoch", 2), ("preview", 2)]
    assert recorder.batches == [(2, done, 33) for done in (8, 16, 24, 32, 33)]
    assert not any(isinstance(module, SharedBatchNorm) for module in together.network.modules())
    assert not together.network.training
    assert multiprocessing.active_children() == []


def test_two_processes_supervise_as_one() -> None:
    alone, together = trained("supervised", CONFIG), trained("supervised", TWO)
    require_equal(alone, together)
    assert np.allclose(alone.probabilities, together.probabilities, atol=1e-3)


def test_under_torchrun_as_alone(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import pickle, sys\nfrom pathlib import Path\n"
        "import torch.distributed as dist\nfrom test_processes import CONFIG, Recorder, trained\n"
        "recorder = Recorder()\nresult = trained('inpainting', CONFIG, tracker=recorder)\n"
        "told = pickle.dumps((result, recorder.heard))\n"
        "Path(sys.argv[1], str(dist.get_rank())).write_bytes(told)\n"
    )
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run([*torchrun, str(script), str(tmp_path)], env=_environment(), check=True, timeout=300)
    first, second = (pickle.loads((tmp_path / rank).read_bytes()) for rank in "01")
    require_equal(trained("inpainting", CONFIG), first[0])
    assert first[1] == [("epoch", 1), ("preview", 1), ("epoch", 2), ("preview", 2)]
    assert second[1] == []  # only the first process reports
    for name, value in first[0].network.state_dict().items():
        assert torch.equal(value, second[0].network.state_dict()[name]), name


def broken(how: str, tracker: Any) -> None:
    """What the processes of a failing training do: the second fails, the first waits for it."""
    processes = join("gloo")
    if processes.rank == 1 and how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if processes.rank == 1 and how == "known":
        raise TrainingError("epoch 7", found="nothing", required="something", remedy="Look.")
    if processes.rank == 1:
        raise ValueError("no such thing")
    tracker.start({"waits": True})
    processes.sum(torch.ones(1))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("unknown", r"process 1 of 2: found ValueError: no such thing"),
        ("known", r"^epoch 7: found nothing; required: something. Look.$"),
        ("killed", r"process 1 of 2: found its end with exit status -9"),
    ],
)
def test_a_process_that_fails_ends_the_training_with_its_reason(how: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message) as caught:
        run_in_processes(partial(broken, how), 2, backend="gloo", tracker=Recorder())
    notes = getattr(caught.value, "__notes__", [])
    assert (how == "unknown") == any("line" in note and "in broken" in note for note in notes)
    assert multiprocessing.active_children() == []


def test_processes_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import dataclasses, sys\nfrom pathlib import Path\nfrom test_processes import TWO, trained\n"
        "if __name__ == '__main__':\n"
        "    config = dataclasses.replace(TWO, epochs=100_000)\n"
        "    trained('inpainting', config, checkpoints=Path(sys.argv[1]))\n"
    )
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path / "kept")], env=_environment())
    _wait_for((tmp_path / "kept" / "last.pt").is_file)
    children = psutil.Process(parent.pid).children(recursive=True)
    assert len(children) >= 2
    parent.kill()
    parent.wait()
    _wait_for(lambda: not any(map(_lives, children)))


def _wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not what():
        assert time.monotonic() < until
        time.sleep(0.05)


def _lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def _environment() -> dict[str, str]:
    places = [str(Path(__file__).parent), *sys.path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": "1"}


def test_processes_that_cannot_be() -> None:
    with pytest.raises(TrainingError, match="processes 0"):
        trained("inpainting", dataclasses.replace(CONFIG, processes=0))
    with pytest.raises(TrainingError, match="one GPU for several processes"):
        choose_device("cuda:1", number=0)


def test_shares_are_the_whole_batch_once() -> None:
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
