"""What all assets have in common: key, group, owners, version, and that only what is not up to date is made.

The function of an asset reads what it needs and returns its `Work`: from which inputs, how the result is made,
and where it is kept. A function with something to close or to record afterwards yields its work instead.
"""

import functools
import inspect
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import dagster as dg

from pcip_assets.lineage import code_version
from pcip_assets.provenance import Stopwatch, inputs_hash
from pcip_assets.resources import Library
from pcip_core.spec.screen import Screen

# A ranged run over many shards needs `backfill_policy`, which Dagster still calls beta.
warnings.filterwarnings("ignore", category=dg.BetaWarning)

OWNERS = ["team:pcip"]
GPU_POOL = "gpu"


class Remake(dg.Config):
    """`force` makes a result again although nothing that it depends on has changed."""

    force: bool = False


@dataclass(frozen=True)
class Run:
    """One run of an asset.

    Attributes:
        version: of the code that decides the result.
        figures: whether the version counts the code that draws, so that figures may be kept.
    """

    context: dg.AssetExecutionContext
    screen: Screen
    library: Library
    version: str
    figures: bool


class Work(ABC):
    """How a result is made and where it is kept. A shard is None for an asset without partitions."""

    inputs: Callable[
        [str | None], dict[str, Any]
    ]  # of a shard: all that decides the result, besides the code

    @abstractmethod
    def made_from(self, run: Run, shard: str | None) -> str | None:
        """Hash of the inputs that the kept result was made from; None where there is no result."""

    @abstractmethod
    def keep(self, run: Run, shard: str | None, made_from: str) -> dict[str, Any]:
        """Make the result and keep it with the hash of its inputs; return its metadata."""

    def describe(self, run: Run) -> dict[str, Any]:
        """Metadata of the kept result, no matter which run made it."""
        return {}

    def data_version(self, run: Run, hashes: Sequence[str]) -> str:
        """The version of the data that Dagster shows; `hashes` are of the inputs of each shard."""
        return inputs_hash(parts=hashes)


def asset(
    screen: Screen,
    noun: str,
    *,
    kinds: set[str],
    deps: Sequence[Any] = (),
    shards: dg.PartitionsDefinition | None = None,
    group: str | None = None,
    pool: str | None = None,
    description: str | None = None,
    figures: bool = False,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Decorator of an asset's function, which takes `context`, `library`, and `config` and `tracking` if it needs them.

    It returns or yields `Work`. The function of an asset that is kept nowhere returns Dagster's own result.

    Args:
        screen: whose asset it is.
        noun: the second part of its key.
        kinds: what Dagster shows beside its name.
        deps: the assets that it reads.
        shards: its partitions, all of which one run may make; by default it has none.
        group: by default the screen's main group.
        pool: of a scarce device.
        description: by default the function's docstring.
        figures: whether it keeps figures, so that its version counts the code that draws.
    """

    def decorate(function: Callable[..., Any]) -> dg.AssetsDefinition:
        version = code_version(function, figures=figures)
        takes_config = "config" in inspect.signature(function).parameters

        @functools.wraps(function)
        def materialized(
            context: dg.AssetExecutionContext, config: dg.Config, **resources: Any
        ) -> dg.MaterializeResult:
            run = Run(context, screen, resources["library"], version, figures)
            given = {"config": config, **resources} if takes_config else resources
            with _worked_out(function)(context, **given) as work:
                if isinstance(work, dg.MaterializeResult):
                    return work
                assert isinstance(config, Remake), f"{noun}: the config of what is kept has `force`"
                return _brought_up_to_date(run, work, force=config.force)

        vars(materialized)["__signature__"] = _signature(function)
        return dg.asset(
            key=[screen.name, noun],
            description=description,
            partitions_def=shards,
            deps=deps,
            backfill_policy=None if shards is None else dg.BackfillPolicy.single_run(),
            group_name=group or screen.name,
            owners=OWNERS,
            kinds=kinds,
            pool=pool,
            code_version=version,
        )(materialized)

    return decorate


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    """By which Dagster finds the config and the resources: that of the function, with a config if it has none."""
    context, *others = inspect.signature(function).parameters.values()
    if all(parameter.name != "config" for parameter in others):
        config = inspect.Parameter("config", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Remake)
        others = [config, *others]
    return inspect.Signature([context, *others], return_annotation=dg.MaterializeResult)


def _worked_out(function: Callable[..., Any]) -> Callable[..., AbstractContextManager[Any]]:
    """The function as a context manager around its work, also when it only returns it."""
    if inspect.isgeneratorfunction(function):
        return contextmanager(function)
    return lambda *args, **resources: nullcontext(function(*args, **resources))


def _brought_up_to_date(run: Run, work: Work, *, force: bool) -> dg.MaterializeResult:
    """Make each partition of this run that is not up to date, or each one."""
    context, sharded = run.context, run.context.assets_def.partitions_def is not None
    shards: list[str | None] = list(context.partition_keys) if sharded else [None]
    made, hashes = 0, list[str]()
    metadata: dict[str, Any] = {}
    with Stopwatch() as watch:
        for number, shard in enumerate(shards, 1):
            hashes.append(inputs_hash(code=run.version, **work.inputs(shard)))
            where = "/".join(context.asset_key.path) + (f" {shard} ({number}/{len(shards)})" if shard else "")
            if work.made_from(run, shard) == hashes[-1] and not force:
                context.log.info(f"{where}: up to date")
                metadata = {"up_to_date": True}
            else:
                with Stopwatch() as one:
                    metadata = work.keep(run, shard, hashes[-1])
                made += 1
                rows = metadata.get("dagster/row_count")
                context.log.info(
                    f"{where}: {'made' if rows is None else f'{rows} rows'} in {one.seconds:.1f} s"
                )
                metadata["seconds"] = round(one.seconds, 2)
            if shard is not None:
                context.add_asset_metadata(metadata, partition_key=shard)
    return dg.MaterializeResult(
        metadata={
            **({} if sharded else metadata),
            **work.describe(run),
            "partitions_made": made,
            "partitions_up_to_date": len(shards) - made,
            "seconds": round(watch.seconds, 2),
            "peak_memory_mb": round(watch.peak_mb),
            "simulated": run.screen.simulated,
        },
        data_version=dg.DataVersion(work.data_version(run, hashes)),
        asset_key=context.asset_key,
    )


def all_shards(screen: Screen, *nouns: str) -> list[dg.AssetDep]:
    """Dependencies of an asset that takes in every shard of others."""
    return [dg.AssetDep([screen.name, noun], partition_mapping=dg.AllPartitionMapping()) for noun in nouns]


def baselines_of(screen: Screen) -> str:
    """The Dagster group of a screen's baselines: materialize it whole to compare all feature sets."""
    return f"{screen.name}_baselines"


def analyses_of(screen: Screen) -> str:
    """The Dagster group of a screen's analyses."""
    return f"{screen.name}_analyses"
