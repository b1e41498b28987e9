"""Common parts of all assets: key, group, owners, version, and the check whether a result is up to date.

The function of an asset reads its inputs and returns its `Work`: the inputs, how to compute the result, and where
to store it. A function that must clean up or record something afterwards yields its work instead. A result is
published before its asset counts as materialized.
"""

import functools
import inspect
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg
from pydantic import Field

from pcip_assets.assets.pictures import apart
from pcip_assets.assets.table_metadata import table_metadata
from pcip_assets.compute.engine import Local, engine_of
from pcip_assets.compute.interface import Engine, ShardedAsset, ShardResult
from pcip_assets.dagster_compat import record_partitions, unrecorded
from pcip_assets.lineage.version import code_version
from pcip_assets.provenance import Stopwatch, inputs_hash
from pcip_assets.resources import Library
from pcip_core.spec.screen import Screen
from pcip_core.words import many

# A ranged run over many shards needs `backfill_policy`, which Dagster still calls beta.
warnings.filterwarnings("ignore", category=dg.BetaWarning)

OWNERS = ["team:pcip"]
GPU_POOL = "gpu"
_REASONS = 3  # why there are no rows, in the log; the metadata of the asset has all


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


@dataclass(frozen=True)
class Recipe:
    """How a shard of an asset is made without Dagster, as a worker of a cluster does.

    Attributes:
        function: the function of the asset.
        screen, version, figures: as of `Run`.
        config: the class of its configuration.
        takes_config: whether the function takes it.
    """

    function: Callable[..., Any]
    screen: Screen
    version: str
    figures: bool
    config: type[Any]
    takes_config: bool

    @contextmanager
    def opened(self, context: Any, config: Any, resources: dict[str, Any]) -> Iterator[tuple[Run, Any]]:
        """The run, and the work of the asset, or its result if nothing of it is stored."""
        run = Run(context, self.screen, resources["library"], self.version, self.figures)
        given = {"config": config, **resources} if self.takes_config else resources
        with _worked_out(self.function)(context, **given) as work:
            yield run, work


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

    def conclude(self, run: Run, made: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Record what this run made, from the metadata of the shards that it made; return metadata of the asset."""
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
        signature = _signature(function, dg.MaterializeResult if shards is None else dg.Output[None])
        recipe = Recipe(
            function,
            screen,
            version,
            figures,
            config=signature.parameters["config"].annotation,
            takes_config="config" in inspect.signature(function).parameters,
        )

        @functools.wraps(function)
        def materialized(
            context: dg.AssetExecutionContext, config: dg.Config, **resources: Any
        ) -> dg.MaterializeResult | dg.Output[None]:
            library: Library = resources["library"]
            engine = Local() if shards is None else engine_of(library.workspace)
            given = engine.resources(resources)
            with library.publishing(context.log), recipe.opened(context, config, given) as (run, work):
                if isinstance(work, dg.MaterializeResult):
                    return work
                assert isinstance(config, Remake), (
                    f"{noun}: the config of an asset with a stored result needs `force`"
                )
                return _brought_up_to_date(run, work, config, engine, on_gpu=pool == GPU_POOL)

        vars(materialized).update(__signature__=signature, recipe=recipe)
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


def recipe_of(asset: dg.AssetsDefinition) -> Recipe:
    """How a shard of an asset is made, by the decorator above."""
    recipe: Recipe = asset.op.compute_fn.decorated_fn.recipe  # type: ignore[union-attr]
    return recipe


def _noun(dep: Any) -> str:
    """The second part of the key of a dependency."""
    key = dep.asset_key if isinstance(dep, dg.AssetDep) else dg.AssetKey(dep)
    return str(key.path[-1])


def _code(function: Callable[..., Any]) -> dg.CodeReferencesMetadataValue:
    """Where the function of an asset is written; Dagster itself would point to the decorator above."""
    line = inspect.getsourcelines(function)[1]
    reference = dg.LocalFileCodeReference(file_path=inspect.getfile(function), line_number=line)
    return dg.CodeReferencesMetadataValue(code_references=[reference])


def _signature(function: Callable[..., Any], result: Any) -> inspect.Signature:
    """The signature from which Dagster infers config, resources and result, with a config added if missing."""
    context, *others = inspect.signature(function).parameters.values()
    if all(parameter.name != "config" for parameter in others):
        config = inspect.Parameter("config", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Remake)
        others = [config, *others]
    return inspect.Signature([context, *others], return_annotation=result)


def _worked_out(function: Callable[..., Any]) -> Callable[..., AbstractContextManager[Any]]:
    """The function as a context manager that provides its work, whether it returns or yields it."""
    if inspect.isgeneratorfunction(function):
        return contextmanager(function)
    return lambda *args, **resources: nullcontext(function(*args, **resources))


def _brought_up_to_date(
    run: Run, work: Work, config: Remake, engine: Engine, *, on_gpu: bool
) -> dg.MaterializeResult | dg.Output[None]:
    """Compute each partition of this run that is not up to date; with `force`, every partition.

    Dagster gets a record of each partition that was made, and of no other one that it knows already.
    """
    context, sharded = run.context, run.context.assets_def.partitions_def is not None
    results: dict[str | None, ShardResult] = {}
    asset = ShardedAsset(
        data=str(run.library.workspace.data),
        screen=run.screen,
        key=tuple(context.asset_key.path),
        version=run.version,
        on_gpu=on_gpu,
        shards=tuple(context.partition_keys) if sharded else (None,),
        config=config.model_dump(),
        run_id=context.run.run_id,
    )
    make = functools.partial(bring_up_to_date, run, work, total=len(asset.shards), force=config.force)
    with Stopwatch() as watch:
        for result in engine.each(asset, make, context.log):
            if result.shard is not None:
                context.add_asset_metadata(apart(context, result.metadata), partition_key=result.shard)
                result = replace(result, metadata=_plain(result.metadata))
            results[result.shard] = result
    made = [result for result in results.values() if result.made]
    if sharded and len(made) < len(results):
        context.log.info(
            f"{asset.name}: {len(results) - len(made)} of {many(len(results), 'shard')} up to date"
        )
    outcome: dg.MaterializeResult[Any] = dg.MaterializeResult(
        metadata={
            **({} if sharded else apart(context, results[None].metadata)),
            **work.describe(run),
            **work.conclude(run, [result.metadata for result in made]),
            "partitions_made": len(made),
            "partitions_up_to_date": len(results) - len(made),
            "seconds": round(watch.seconds, 2),
            "peak_memory_mb": round(max([watch.peak_mb, *(result.peak_mb for result in results.values())])),
            "simulated": run.screen.simulated,
        },
        data_version=dg.DataVersion(
            work.data_version(run, [results[shard].inputs_hash for shard in asset.shards])
        ),
        asset_key=context.asset_key,
    )
    if not sharded:
        return outcome
    return record(context, outcome, results)


def record(
    context: dg.AssetExecutionContext,
    outcome: dg.MaterializeResult,
    results: Mapping[str | None, ShardResult],
) -> dg.Output[None]:
    """Tell Dagster of the shards that were made, and of those that it does not know as they are."""
    versions = {str(shard): result.inputs_hash for shard, result in results.items()}
    pending = unrecorded(context, versions) | {str(shard) for shard, result in results.items() if result.made}
    return record_partitions(
        context, outcome, {shard: version for shard, version in versions.items() if shard in pending}
    )


def _plain(metadata: dict[str, Any]) -> dict[str, Any]:
    """Metadata without pictures and documents, which would add up over many shards."""
    return {name: value for name, value in metadata.items() if not isinstance(value, dg.MetadataValue)}


def bring_up_to_date(
    run: Run, work: Work, number: int, shard: str | None, *, total: int, force: bool
) -> ShardResult:
    """Compute one partition if it is not up to date, or with `force`.

    Args:
        run, work: of the asset.
        number: of the partition among the `total` of the run, for the log.
        shard: None for an asset without partitions.
        total: number of partitions.
        force: compute it anyway.
    """
    log = run.context.log
    inputs = work.inputs(shard)
    inputs_hashed = inputs_hash(run.library.workspace.folder, code=run.version, **inputs)
    name = "/".join(run.context.asset_key.path) + (f" {shard} ({number}/{total})" if shard else "")
    if work.made_from(run, shard) == inputs_hashed and not force:
        if shard is None:  # one line tells how many shards are
            log.info(f"{name}: up to date")
        return ShardResult(shard, inputs_hashed, made=False, metadata={"up_to_date": True})
    with Stopwatch() as watch:
        metadata = work.keep(run, shard, inputs_hashed)
    log.info(f"{name}: {_outcome(metadata, watch.seconds)}")
    metadata["seconds"] = round(watch.seconds, 2)
    return ShardResult(shard, inputs_hashed, made=True, metadata=metadata, peak_mb=watch.peak_mb)


def _outcome(metadata: Mapping[str, Any], seconds: float) -> str:
    """What was made, in words for the log; without rows also why, from the metadata that begins with `no_` or `not_`.

    >>> _outcome({"dagster/row_count": 0, "not_scored": "no cell has a label"}, 0.25)
    '0 rows in 0.2 s: no cell has a label'
    """
    rows = metadata.get("dagster/row_count")
    done = f"{'computed' if rows is None else f'{rows} rows'} in {seconds:.1f} s"
    if rows != 0:
        return done
    given = {str(value): None for key, value in metadata.items() if key.startswith(("no_", "not_"))}
    reasons = list(given)
    more = f"; {many(len(reasons) - _REASONS, 'other reason')}" if len(reasons) > _REASONS else ""
    return ": ".join([done, *(["; ".join(reasons[:_REASONS]) + more] if reasons else [])])


def all_shards(screen: Screen, *nouns: str) -> list[dg.AssetDep]:
    """Dependencies of an asset on every shard of other assets."""
    return [dg.AssetDep([screen.name, noun], partition_mapping=dg.AllPartitionMapping()) for noun in nouns]


def baselines_of(screen: Screen) -> str:
    """The Dagster group of a screen's baselines: materialize the whole group to compare all feature sets."""
    return f"{screen.name}_baselines"


def analyses_of(screen: Screen) -> str:
    """The Dagster group of a screen's analyses."""
    return f"{screen.name}_analyses"
