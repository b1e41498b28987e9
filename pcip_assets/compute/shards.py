"""The engine `ray`: every shard of an asset is a task of a Ray cluster.

This process names the asset to the workers: folder, screen, key, version, configuration. A worker builds the same
asset, checks that its code has the same version, opens it once for all shards that it gets, and brings each of them up
to date in the shared folder. Decisions that need the files of a shard are made there too, so that this process reads
no pixel. What MLflow answers to this process is passed on: workers do not open its database.
"""

import functools
import importlib
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pcip_assets.compute.cluster import HOW_TO, connect
from pcip_assets.compute.interface import Make, ShardedAsset, ShardResult
from pcip_assets.compute.settings import Compute
from pcip_assets.compute.tasks import Calls, Tell, results_of
from pcip_assets.progress import Progress
from pcip_assets.resources import Library
from pcip_assets.tracking import Tracking
from pcip_assets.workspace import DEFINITIONS, REPOSITORY
from pcip_core.errors import ComputeError
from pcip_core.files import writing

_NODES: dict[tuple[str, str, str], str] = {}  # folder, screen, shard -> node whose memory may hold its files


def ray_shards(settings: Compute) -> "RayShards":
    """The engine, connected to its cluster.

    Raises:
        ComputeError: Ray is not installed, or the cluster cannot be reached.
    """
    connect(settings)
    return RayShards(settings)


class RayShards:
    """Brings the shards of an asset up to date on the workers of a cluster.

    The task of a shard prefers the node of its last one, whose memory may hold its files.

    Args:
        settings: of the workspace.
    """

    def __init__(self, settings: Compute) -> None:
        self._settings = settings
        self._answers: dict[tuple[str, str], Any] = {}

    def resources(self, given: dict[str, Any]) -> dict[str, Any]:
        """The resources, of which MLflow's remembers what it answers."""
        if "tracking" not in given:
            return given
        return {**given, "tracking": _Remembering(given["tracking"], self._answers)}

    def each(self, asset: ShardedAsset, make: Make, log: Any) -> Iterator[ShardResult]:
        """Bring each shard up to date in a task; yield the results in the order in which the tasks end.

        Raises:
            PcipError: a shard cannot be made; the others have been.
        """
        shards = [shard for shard in asset.shards if shard is not None]
        keys = {shard: (asset.data, asset.screen.name, shard) for shard in shards}
        numbers = {shard: number for number, shard in enumerate(shards, 1)}
        calls = Calls(
            what=asset.name,
            function=functools.partial(_make_shard, asset, dict(self._answers), numbers),
            needs=self._settings.needs(asset.key[-1], on_gpu=asset.on_gpu),
            attempts=self._settings.attempts,
            hear=lambda _, message: getattr(log, message[0])(message[1]),
            nodes={shard: _NODES[key] for shard, key in keys.items() if key in _NODES},
        )
        with Progress(log, asset.name, len(shards), "shard") as progress:
            for number, (shard, ended) in enumerate(results_of(calls, shards), 1):
                _NODES[keys[shard]] = ended.node
                progress(number)
                yield ended.value


class _Remembering:
    """MLflow's resource, which keeps what it answers."""

    def __init__(self, tracking: Tracking, answers: dict[tuple[str, str], Any]) -> None:
        self._tracking, self._answers = tracking, answers

    def champion(self, model: str) -> Any:
        """The network in use."""
        encoder = self._tracking.champion(model)
        self._answers["champion", model] = encoder
        return encoder

    def champion_version(self, model: str) -> Any:
        """MLflow's version of it; workers get its number and its tags."""
        version = self._tracking.champion_version(model)
        known = None if version is None else SimpleNamespace(version=version.version, tags=dict(version.tags))
        self._answers["champion_version", model] = known
        return version

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tracking, name)


class _Answered(Tracking):
    """On a worker: MLflow's resource, which knows what it answered to the process of the run."""

    def __init__(self, data: str, answers: dict[tuple[str, str], Any]) -> None:
        super().__init__(data=data)
        self._answers = answers

    def champion(self, model: str) -> Any:
        """The network in use, if its files are in the shared folder; otherwise MLflow is asked for them."""
        encoder = self._answers.get(("champion", model))
        return encoder if encoder is not None and encoder.folder.is_dir() else super().champion(model)

    def champion_version(self, model: str) -> Any:
        """MLflow's version of it."""
        if ("champion_version", model) in self._answers:
            return self._answers["champion_version", model]
        return super().champion_version(model)


# -- on a worker --------------------------------------------------------------------------------------


def _make_shard(
    asset: ShardedAsset, answers: dict[tuple[str, str], Any], numbers: dict[str, int], shard: str, tell: Tell
) -> ShardResult:
    """Bring one shard up to date."""
    opened = _opened(asset, answers)
    opened.log.tell = tell
    with writing(inside=asset.data):
        return opened.make(numbers[shard], shard)


@dataclass
class _Opened:
    """An asset that this worker has opened for the shards of one run."""

    asset: ShardedAsset
    stack: ExitStack
    log: "_Told"
    make: Any


_CURRENT: list[_Opened] = []  # at most one


def _opened(asset: ShardedAsset, answers: dict[tuple[str, str], Any]) -> _Opened:
    """The asset, opened by an earlier task of the same run or now; the one before it is closed."""
    if _CURRENT and _CURRENT[0].asset == asset:
        return _CURRENT[0]
    while _CURRENT:
        _CURRENT.pop().stack.close()
    _require_folder(asset)
    skeleton = importlib.import_module("pcip_assets.assets.skeleton")  # which imports this package
    built = _built(asset)
    recipe = skeleton.recipe_of(built)
    if recipe.version != asset.version:
        raise ComputeError(
            f"pcip on {socket.gethostname()} ({REPOSITORY})",
            found=f"code of {asset.name} with the version {recipe.version}",
            required=f"the version of the process that started the run, {asset.version}",
            remedy=f"Install the same pcip on every node, and start Ray there again ({HOW_TO}).",
        )
    log, config = _Told(), recipe.config(**asset.config)
    context = SimpleNamespace(
        log=log,
        asset_key=built.key,
        assets_def=built,
        partition_keys=list(asset.shards),
        run=SimpleNamespace(run_id=asset.run_id),
    )
    library = Library(data=asset.data)
    given = {"library": library, "tracking": _Answered(asset.data, answers)}
    wanted = {name: given[name] for name in built.required_resource_keys if name in given}
    stack = ExitStack()
    run, work = stack.enter_context(recipe.opened(context, config, wanted))
    make = functools.partial(
        skeleton.bring_up_to_date, run, work, total=len(asset.shards), force=config.force
    )
    _CURRENT.append(_Opened(asset, stack, log, make))
    return _CURRENT[0]


def _built(asset: ShardedAsset) -> Any:
    """The asset as Dagster's definitions have it."""
    assets = importlib.import_module(DEFINITIONS).screen_assets(asset.screen)
    return next(each for each in assets if tuple(each.key.path) == asset.key)


def _require_folder(asset: ShardedAsset) -> None:
    if not Path(asset.data).is_dir():
        raise ComputeError(
            f"{asset.data} on {socket.gethostname()}",
            found="no such folder",
            required="the workspace at the same path on every node",
            remedy=f"Put it on a shared file system that every node mounts there ({HOW_TO}).",
        )


class _Told:
    """The log of an asset on a worker: what it is told arrives in the log of the run."""

    tell: Tell

    def debug(self, text: str) -> None:
        """Details."""
        self.tell(("debug", text))

    def info(self, text: str) -> None:
        """What happens."""
        self.tell(("info", text))

    def warning(self, text: str) -> None:
        """What the user should look at."""
        self.tell(("warning", text))

    def error(self, text: str) -> None:
        """What went wrong."""
        self.tell(("error", text))
