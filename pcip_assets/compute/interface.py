"""What an engine is: it gets the shards of one asset, and a function that brings one of them up to date."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from pcip_core.spec.screen import Screen

CPUS = "PCIP_CPUS"
"""The variable in which a worker of a cluster has the number of CPUs that the task of a shard may use."""


@dataclass(frozen=True)
class ShardResult:
    """What became of one shard.

    Attributes:
        shard: None for an asset without shards.
        inputs_hash: hash of its inputs and its code.
        made: False if it was up to date.
        metadata: of its result.
        peak_mb: peak memory of the process that made it.
    """

    shard: str | None
    inputs_hash: str
    made: bool
    metadata: dict[str, Any]
    peak_mb: float = 0.0


Make = Callable[[int, str | None], ShardResult]
"""Brings a shard up to date; takes its number, from 1, and its name."""


@dataclass(frozen=True)
class ShardedAsset:
    """The shards of one asset in one run, as a worker of a cluster needs them to make one.

    Attributes:
        data: folder of the workspace.
        key: of the asset.
        version: of its code.
        on_gpu: whether it uses a GPU, if there is one.
        shards: all shards of the run; only None for an asset without shards.
        config: values of the configuration of the run.
        run_id: of the Dagster run.
    """

    data: str
    screen: Screen
    key: tuple[str, ...]
    version: str
    on_gpu: bool
    shards: tuple[str | None, ...]
    config: dict[str, Any]
    run_id: str

    @property
    def name(self) -> str:
        """Its name in messages."""
        return "/".join(self.key)


class Engine(Protocol):
    """Brings the shards of assets up to date."""

    def resources(self, given: dict[str, Any]) -> dict[str, Any]:
        """The resources that the function of the asset gets in the process of the run."""

    def each(self, asset: ShardedAsset, make: Make, log: Any) -> Iterator[ShardResult]:
        """Bring each shard up to date, and yield what became of it, in any order.

        Raises:
            PcipError: a shard cannot be made. Others may have been made, and have been yielded.
        """


Start = Callable[[Callable[..., Any], Any], Any]
"""Starts a training in several processes, as `pcip_core.training.loop.train` takes it."""


def cpus() -> int:
    """The CPUs that one shard may use: those of its task, otherwise all of this machine."""
    return int(os.environ.get(CPUS, 0)) or os.cpu_count() or 1
