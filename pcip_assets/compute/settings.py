"""`data/compute.yaml`: where the shards of a workspace are computed, with which CPUs, GPUs and memory.

engine: ray
address: auto
memory_gb: 4
gpus: 0.25
assets: {crops: {cpus: 4}}
"""

import dataclasses
import functools
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pcip_assets.workspace import Workspace
from pcip_core.errors import ComputeError, meant
from pcip_core.spec.bounds import Bounds, shown
from pcip_core.spec.reading import read_yaml

Cpus = Annotated[float, Bounds(0, 100_000, above=True)]  # with 0, Ray would begin all tasks at once
Gpus = Annotated[float, Bounds(0, 100_000)]
Gigabytes = Annotated[float, Bounds(0, 100_000, above=True)]
_ADDRESS = re.compile(r"auto|local|[\w.-]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")
_DIGITS = 4
_BY_SHARD = re.compile(r"fields|crops|\w+_features")  # the assets that are made shard by shard


@dataclass(frozen=True)
class Needs:
    """What the task of one shard takes of its node. None: what the settings of all assets say."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}
    cpus: Cpus | None = None
    gpus: Gpus | None = None
    memory_gb: Gigabytes | None = None


@dataclass(frozen=True)
class Compute:
    """The settings.

    Attributes:
        engine: `local`, one shard after another in the process of the run; or `ray`, each shard a task of a cluster.
        address: of the cluster: `auto`, the one that runs on this machine or that RAY_ADDRESS names; HOST:PORT; or
            `local`, one that pcip starts on this machine, for itself.
        cpus: of the task of one shard, and of one process of a training.
        gpus: the same, of assets that use a GPU; a part of a GPU is shared. 0: they compute on the CPU.
        memory_gb: of the task of one shard, by which Ray places tasks; None: Ray does not count memory.
        attempts: how often a shard, or a training, is begun whose worker is lost.
        training_workers: processes of a training on the cluster; 0: trainings stay in the process of the run.
        assets: asset, as `crops` -> what its tasks need instead.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}
    engine: Literal["local", "ray"] = "local"
    address: str = "auto"
    cpus: Cpus = 1.0
    gpus: Gpus = 0.0
    memory_gb: Gigabytes | None = None
    attempts: Annotated[int, Bounds(1, 100)] = 3
    training_workers: Annotated[int, Bounds(0, 1024)] = 0
    assets: dict[str, Needs] = field(default_factory=dict)

    def needs(self, noun: str, *, on_gpu: bool) -> Needs:
        """What one shard of an asset needs.

        >>> Compute(gpus=0.5, assets={"crops": Needs(cpus=4)}).needs("crops", on_gpu=False)
        Needs(cpus=4, gpus=0.0, memory_gb=None)
        """
        general = Needs(self.cpus, self.gpus if on_gpu else 0.0, self.memory_gb)
        own = dataclasses.asdict(self.assets.get(noun, Needs()))
        return dataclasses.replace(
            general, **{name: value for name, value in own.items() if value is not None}
        )


def compute_settings(workspace: Workspace) -> Compute:
    """The settings of a workspace; by default, its shards are computed in the process of the run.

    Raises:
        SpecError: the file is not YAML.
        ComputeError: a key is unknown, or a value is invalid.
    """
    path = workspace.data / "compute.yaml"
    if not os.path.lexists(path):
        return Compute()
    from pydantic import ValidationError

    values = read_yaml(path, "the settings of computing")
    if values is None:
        return Compute()
    try:
        settings: Compute = _adapter().validate_python(values)
    except ValidationError as error:
        problems = [_problem(each) for each in error.errors()]
        raise _refused(path, "; ".join(problems), "the keys of docs/how-to/run-on-a-cluster.md") from error
    if not _ADDRESS.fullmatch(settings.address):
        raise _refused(path, f"address {shown(settings.address)}", "auto, local, or HOST:PORT")
    for noun, needs in {"": Needs(settings.cpus, settings.gpus), **settings.assets}.items():
        for name, amount in (("cpus", needs.cpus or 0), ("gpus", needs.gpus or 0)):
            where = f"assets.{noun}.{name}" if noun else name
            if round(amount, _DIGITS) != amount:
                raise _refused(
                    path, f"{where} {amount!r}", f"at most {_DIGITS} digits after the point, as Ray counts"
                )
            if amount > 1 and amount % 1:
                raise _refused(
                    path, f"{where} {amount:g}", "whole numbers above 1, as Ray counts parts of one only"
                )
        if noun and not _BY_SHARD.fullmatch(noun):
            found = f"assets.{noun}{meant(noun, ['fields', 'crops', 'cell_features', 'control_features'])}"
            raise _refused(
                path, found, "assets that are made by shard: fields, crops, and those called ..._features"
            )
    return settings


def _refused(path: Path, found: str, required: str) -> ComputeError:
    return ComputeError(path, found=found, required=required, remedy="Correct the file.")


def _problem(problem: Any) -> str:
    """One problem of pydantic in words, with its key."""
    steps = [str(step) for step in problem["loc"]]
    key = ".".join(steps) or "the file"
    if problem["type"] == "bounds":
        return f"{key} {shown(problem['input'])} (required: {problem['msg']})"
    if problem["type"] == "unexpected_keyword_argument":
        kind = Needs if steps[0] == "assets" and len(steps) > 1 else Compute
        names = [each.name for each in dataclasses.fields(kind)]
        return f"unknown key `{key}`{meant(steps[-1], names)} (known: {', '.join(names)})"
    if problem["type"] == "dataclass_type":
        return f"`{key}`: {shown(problem['input'])} (required: a mapping)"
    return f"`{key}`: {problem['msg'].lower()}"


@functools.cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Compute)
