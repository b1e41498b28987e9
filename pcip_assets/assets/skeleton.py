"""Common parts of all assets: key, group, owners, version, and the check whether a result is up to date.

The function of an asset reads its inputs and returns its `Work`: the inputs, how to compute the result, and where
to store it. A function that must clean up or record something afterwards yields its work instead. A result is
published before its asset counts as materialized.
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
from pydantic import Field

from pcip_assets.assets.pictures import apart
from pcip_assets.assets.table_metadata import table_metadata
from pcip_assets.lineage.version import code_version
from pcip_assets.provenance import Stopwatch, inputs_hash
from pcip_assets.resources import Library
from pcip_core.spec.screen import Screen

# A ranged run over many shards needs `backfill_policy`, which Dagster still calls beta.
warnings.filterwarnings("ignore", category=dg.BetaWarning)

OWNERS = ["team:pcip"]
GPU_POOL = "gpu"


class Remake(dg.Config):
    """Settings of a run of any asset with a stored result."""

    force: bool = Field(
        default=False, description="Recompute the result although none of its inputs has changed."
    )


@dataclass(frozen=True)
class Run:
    """One run of an asset.

    Attributes:
        version: version of the code that determines the result.
        figures: whether the version includes the plotting code, so that figures may be stored.
    """

    context: dg.AssetExecutionContext
    screen: Screen
    library: Library
    version: str
    figures: bool


class Work(ABC):
    """How to compute a result and where to store it. A shard is None for an asset without partitions."""

    inputs: Callable[
        [str | None], dict[str, Any]
    ]  # shard -> everything that determines its result, except the code

    @abstractmethod
    def made_from(self, run: Run, shard: str | None) -> str | None:
        """Hash of the inputs of the stored result; None without a result."""

    @abstractmethod
    def keep(self, run: Run, shard: str | None, made_from: str) -> dict[str, Any]:
        """Compute the result and store it with the hash of its inputs; return its metadata."""

    def describe(self, run: Run) -> dict[str, Any]:
        """Metadata of the stored result, whichever run computed it."""
        return {}

    def data_version(self, run: Run, hashes: Sequence[str]) -> str:
        """The data version that Dagster shows, from the hashes of the inputs of all shards."""
        return inputs_hash(parts=hashes)


def asset(
    screen: Screen,
    noun: str,
    *,
    kinds: set[str],
    table: str | None = None,
    deps: Sequence[Any] = (),
    shards: dg.PartitionsDefinition | None = None,
    group: str | None = None,
    pool: str | None = None,
    description: str | None = None,
    figures: bool = False,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Decorator for the function of an asset, which takes `context`, `library`, and optionally `config` and `tracking`.

    It returns or yields `Work`. The function of an asset without a stored result returns Dagster's result.

    Args:
        screen: the screen that the asset belongs to.
        noun: the second part of its key.
        kinds: kinds that Dagster shows with its name.
        table: the first stored table that it writes; without one, it writes none.
        deps: the assets that it reads.
        shards: its partitions, all of which one run may compute; by default none.
        group: by default the screen's main group.
        pool: concurrency pool of a limited device.
        description: by default the function's docstring.
        figures: whether it stores figures, so that its version includes the plotting code.
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
            with run.library.publishing(context.log), _worked_out(function)(context, **given) as work:
                if isinstance(work, dg.MaterializeResult):
                    return work
                assert isinstance(config, Remake), (
                    f"{noun}: the config of an asset with a stored result needs `force`"
                )
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
            metadata={
                **(table_metadata(screen, noun, table, map(_noun, deps)) if table else {}),
                "dagster/code_references": _code(function),
            },
        )(materialized)

    return decorate


def _noun(dep: Any) -> str:
    """The second part of the key of a dependency."""
    key = dep.asset_key if isinstance(dep, dg.AssetDep) else dg.AssetKey(dep)
    return str(key.path[-1])


def _code(function: Callable[..., Any]) -> dg.CodeReferencesMetadataValue:
    """Where the function of an asset is written; Dagster itself would point to the decorator above."""
    line = inspect.getsourcelines(function)[1]
    reference = dg.LocalFileCodeReference(file_path=inspect.getfile(function), line_number=line)
    return dg.CodeReferencesMetadataValue(code_references=[reference])


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    """The signature from which Dagster infers config and resources, with a config added if missing."""
    context, *others = inspect.signature(function).parameters.values()
    if all(parameter.name != "config" for parameter in others):
        config = inspect.Parameter("config", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Remake)
        others = [config, *others]
    return inspect.Signature([context, *others], return_annotation=dg.MaterializeResult)


def _worked_out(function: Callable[..., Any]) -> Callable[..., AbstractContextManager[Any]]:
    """The function as a context manager that provides its work, whether it returns or yields it."""
    if inspect.isgeneratorfunction(function):
        return contextmanager(function)
    return lambda *args, **resources: nullcontext(function(*args, **resources))


def _brought_up_to_date(run: Run, work: Work, *, force: bool) -> dg.MaterializeResult:
    """Compute each partition of this run that is not up to date; with `force`, every partition."""
    context, sharded = run.context, run.context.assets_def.partitions_def is not None
    shards: list[str | None] = list(context.partition_keys) if sharded else [None]
    made, hashes = 0, list[str]()
    metadata: dict[str, Any] = {}
    with Stopwatch() as watch:
        for number, shard in enumerate(shards, 1):
            inputs = work.inputs(shard)
            hashes.append(inputs_hash(run.library.workspace.folder, code=run.version, **inputs))
            name = "/".join(context.asset_key.path) + (f" {shard} ({number}/{len(shards)})" if shard else "")
            if work.made_from(run, shard) == hashes[-1] and not force:
                context.log.info(f"{name}: up to date")
                metadata = {"up_to_date": True}
            else:
                with Stopwatch() as shard_watch:
                    metadata = work.keep(run, shard, hashes[-1])
                made += 1
                rows = metadata.get("dagster/row_count")
                context.log.info(
                    f"{name}: {'computed' if rows is None else f'{rows} rows'} in {shard_watch.seconds:.1f} s"
                )
                metadata["seconds"] = round(shard_watch.seconds, 2)
            if shard is not None:
                context.add_asset_metadata(apart(context, metadata), partition_key=shard)
    return dg.MaterializeResult(
        metadata={
            **({} if sharded else apart(context, metadata)),
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
    """Dependencies of an asset on every shard of other assets."""
    return [dg.AssetDep([screen.name, noun], partition_mapping=dg.AllPartitionMapping()) for noun in nouns]


def baselines_of(screen: Screen) -> str:
    """The Dagster group of a screen's baselines: materialize the whole group to compare all feature sets."""
    return f"{screen.name}_baselines"


def analyses_of(screen: Screen) -> str:
    """The Dagster group of a screen's analyses."""
    return f"{screen.name}_analyses"
