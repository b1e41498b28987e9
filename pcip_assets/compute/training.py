"""Trainings on the machines of a Ray cluster: Ray Train starts the processes, and each runs the one training loop.

The loop joins the processes that Ray Train has connected. Each of them reads the crops of its rows from the shared
folder, where the first one keeps the checkpoints. When a process is lost, Ray Train starts all of them again, and the
loop resumes from the last checkpoint. The first process reports to this one, which writes to MLflow.
"""

import dataclasses
import functools
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pcip_assets.compute.cluster import connect, require_room
from pcip_assets.compute.interface import Start
from pcip_assets.compute.settings import Compute, Needs
from pcip_assets.compute.tasks import Calls, Tell, results_of
from pcip_core.errors import PcipError

_START_WITHIN_S = "600"  # Ray Train's own 60 s are too few to import torch on busy machines


def start_on_cluster(settings: Compute, folder: Path, log: Any) -> Start:
    """How `pcip_core.training.loop.train` starts the processes of a training.

    Args:
        settings: of the workspace.
        folder: of the checkpoints, which all nodes share.
        log: of the run.

    Raises:
        ComputeError: the cluster cannot be reached.
    """
    connect(settings)
    return functools.partial(_train, settings, folder, log)


def _train(settings: Compute, folder: Path, log: Any, job: Callable[..., Any], tracker: Any) -> Any:
    """Run a training on the cluster, and return what its first process returns, on the device of this machine."""
    from pcip_core.training.device import choose_device

    needs = Needs(settings.cpus, settings.gpus and max(1.0, settings.gpus), settings.memory_gb)
    require_room("training", needs, settings.training_workers)

    def hear(_: Any, message: tuple[Any, ...]) -> None:
        kind, *content = message
        if kind == "failed":
            raise content[0]
        if kind == "report":
            name, arguments = content
            getattr(tracker, name)(*arguments)
        else:
            getattr(log, kind)(*content)

    calls = Calls(
        what="training",
        function=functools.partial(_fit, job, settings, needs, folder),
        needs=Needs(cpus=0),  # it waits for the processes
        attempts=settings.attempts,
        hear=hear,
    )
    ((_, ended),) = results_of(calls, [f"on {settings.training_workers} workers"])
    device = choose_device("auto")
    trained = dataclasses.replace(ended.value, device=device)
    trained.network.to(device)
    return trained


def _fit(job: Callable[..., Any], settings: Compute, needs: Needs, folder: Path, _: str, tell: Tell) -> Any:
    """On a node of the cluster: start the processes and wait for them."""
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", _START_WITHIN_S)
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    resources = {"CPU": needs.cpus or 0, "GPU": needs.gpus or 0, "memory": (needs.memory_gb or 0) * 2**30}
    trainer = TorchTrainer(
        _loop,
        train_loop_config={"job": job, "tell": tell},
        torch_config=TorchConfig(backend="nccl" if needs.gpus else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=settings.training_workers,
            use_gpu=bool(needs.gpus),
            resources_per_worker={name: amount for name, amount in resources.items() if amount},
        ),
        run_config=RunConfig(
            name=uuid.uuid4().hex,
            storage_path=str(folder / "ray"),
            failure_config=FailureConfig(max_failures=settings.attempts - 1),
        ),
    )
    result: Any = trainer.fit()  # its type lacks what the first process returns
    return result.return_value


def _loop(config: dict[str, Any]) -> Any:
    """In each process: the training."""
    import ray.train

    first, tell = ray.train.get_context().get_world_rank() == 0, config["tell"]
    try:
        trained = config["job"](tracker=_Told(tell))
    except PcipError as error:
        tell(("failed", error))  # it would be the same again: the process of the run ends the training
        raise
    if not first:
        return None
    trained.network.cpu()  # the process of the run need not have a GPU
    return trained


class _Told:
    """A tracker whose reports arrive in the process of the run."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def start(self, params: Mapping[str, Any]) -> None:
        """The parameters."""
        self._report("start", dict(params))

    def resumed(self, epoch: int, epochs: int) -> None:
        """The last complete epoch before a fault."""
        self._report("resumed", epoch, epochs)

    def batch(self, epoch: int, done: int, total: int) -> None:
        """The progress within an epoch, at most a hundred times."""
        if done >= total or done * 100 // total != self._shown:
            self._shown = done * 100 // total
            self._report("batch", epoch, done, total)

    _shown = -1

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """The metrics of an epoch."""
        self._report("epoch", number, dict(metrics))

    def preview(self, number: int, preview: Any) -> None:
        """Predictions for a few cells."""
        self._report("preview", number, preview)

    def _report(self, name: str, *arguments: Any) -> None:
        self._tell(("report", name, arguments))
