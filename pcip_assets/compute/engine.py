"""The engine that computes the shards of assets, as `data/compute.yaml` says.

`Local` brings one shard after another up to date. `RayShards` names the asset to the workers of a cluster, which do
the same there.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pcip_assets.compute.interface import Engine, Make, ShardedAsset, ShardResult, Start
from pcip_assets.compute.settings import compute_settings
from pcip_assets.progress import Progress
from pcip_assets.workspace import Workspace


class Local:
    """Computes one shard after another in this process."""

    def resources(self, given: dict[str, Any]) -> dict[str, Any]:
        """The resources as they are."""
        return given

    def each(self, asset: ShardedAsset, make: Make, log: Any) -> Iterator[ShardResult]:
        """Call `make` for one shard after another; the first error ends it."""
        if len(asset.shards) == 1:
            yield make(1, asset.shards[0])
            return
        with Progress(log, asset.name, len(asset.shards), "shard") as progress:
            for number, shard in enumerate(asset.shards, 1):
                yield make(number, shard)
                progress(number)


def engine_of(workspace: Workspace) -> Engine:
    """The engine of a workspace.

    Raises:
        PcipError: the settings are invalid, Ray is not installed, or the cluster cannot be reached.
    """
    settings = compute_settings(workspace)
    if settings.engine == "local":
        return Local()
    from pcip_assets.compute.shards import ray_shards

    return ray_shards(settings)


def training_start(workspace: Workspace, folder: Path, log: Any) -> Start | None:
    """How the processes of a training are started on the cluster; None if the training stays on this machine.

    Args:
        workspace: of the screen.
        folder: of the training's checkpoints.
        log: of the run.
    """
    settings = compute_settings(workspace)
    if settings.engine == "local" or settings.training_workers == 0:
        return None
    from pcip_assets.compute.training import start_on_cluster

    return start_on_cluster(settings, folder, log)
