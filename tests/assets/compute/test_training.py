"""A training on two workers of a cluster, also if one is killed, gives the weights of a training in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import psutil
import pytest
import yaml
from safetensors.numpy import load_file

from pcip_assets.compute.settings import Compute
from pcip_assets.compute.training import start_on_cluster
from pcip_assets.tracking import Tracking
from pcip_core.errors import TrainingError
from tests.assets.conftest import Finished
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


def test_a_run_trains_its_encoder_on_two_workers(cluster: str, own: Finished) -> None:
    """The spec trains in float32, where Adam enlarges rounding: another seed shows what a difference is."""
    tracking = Tracking(data=str(own.workspace.data))
    alone = tracking.champion("tiny")
    values = {"engine": "ray", "address": cluster, "cpus": 0.5, "training_workers": 2}
    (own.workspace.data / "compute.yaml").write_text(yaml.safe_dump(values))
    outcome = own.again(retrain=True)
    assert outcome.success, outcome.error
    together = tracking.champion("tiny")
    assert (alone.version, together.version) == ("tiny/1", "tiny/2")
    (own.workspace.data / "compute.yaml").unlink()
    spec = yaml.safe_load(own.spec.read_text())
    spec["encoder"]["seed"] = own.screen.encoder.seed + 1
    own.spec.write_text(yaml.safe_dump(spec))
    assert own.again(retrain=True).success
    other = tracking.champion("tiny")
    apart = {each.version: distance(alone, each) for each in (together, other)}
    assert apart["tiny/2"] <= 1e-2 * apart["tiny/3"]
    client = mlflow.MlflowClient(own.workspace.mlflow_uri)
    runs = [client.get_run(each.run_id).data for each in (alone, together)]
    assert [run.params["processes"] for run in runs] == ["1", "2"]
    for name in ("loss", "validation_loss"):
        assert runs[1].metrics[name] == pytest.approx(runs[0].metrics[name], rel=1e-3), name


def distance(first: Any, second: Any) -> float:
    """The root of the summed squared differences of the weights of two encoders."""
    weights = [load_file(each.folder / "encoder.safetensors") for each in (first, second)]
    assert weights[0].keys() == weights[1].keys()
    return float(np.sqrt(sum(np.square(weights[0][name] - weights[1][name]).sum() for name in weights[0])))
