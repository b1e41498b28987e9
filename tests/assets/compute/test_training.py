"""A training on two workers of a cluster, one of which is killed, gives the weights of a training in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import pytest

from pcip_assets.compute.settings import Compute
from pcip_assets.compute.training import start_on_cluster
from pcip_core.errors import TrainingError
from tests.core.training.process_jobs import CONFIG, Recorder, ReversedInpainting, inpaint
from tests.core.training.test_processes import require_equal


class Killing(Recorder):
    """Kills a worker of the training after its first epoch, once."""

    resumed_after: int | None = None
    killed = 0

    def epoch(self, number: int, metrics: Any) -> None:
        super().epoch(number, metrics)
        if number == 1 and not self.killed:
            workers = [process for process in psutil.process_iter() if is_training(process)]
            assert len(workers) == 2
            workers[1].kill()
            self.killed = 1

    def resumed(self, epoch: int, epochs: int) -> None:
        self.resumed_after = epoch


def is_training(process: psutil.Process) -> bool:
    return "ray::" in "".join(process.cmdline()[:1]) and "RayTrainWorker" in "".join(process.cmdline())


def settings(address: str, **changes: Any) -> Compute:
    return Compute(engine="ray", address=address, cpus=0.5, training_workers=2, **changes)


def test_two_workers_equal_one_process_also_when_one_is_killed(cluster: str, tmp_path: Path) -> None:
    recorder = Killing()
    start = start_on_cluster(settings(cluster), tmp_path, None)
    together = inpaint(CONFIG, tracker=recorder, checkpoints=tmp_path, start=start)
    assert recorder.killed
    assert recorder.resumed_after in (None, 1)  # None: killed before the first checkpoint was written
    assert recorder.params["processes"] == 2
    assert recorder.heard[-2:] == [("epoch", 2), ("preview", 2)]
    require_equal(inpaint(CONFIG), together, inpaint(CONFIG, ReversedInpainting))


def test_an_error_of_the_training_is_raised_as_it_is_and_not_tried_again(
    cluster: str, tmp_path: Path
) -> None:
    (tmp_path / "last.pt").write_bytes(b"damaged")
    start = start_on_cluster(settings(cluster), tmp_path, None)
    with pytest.raises(TrainingError, match=r"last.pt: found a checkpoint that cannot be read"):
        inpaint(CONFIG, checkpoints=tmp_path, start=start)
