"""All that pcip takes from Dagster outside its public interface, each with the public thing that would replace it.

Nothing else in pcip imports `dagster._core` or writes one of Dagster's own run tags. `dagster.yaml` names two
classes of `dagster._core` too, as Dagster's documentation of that file does.
"""

import mimetypes
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.execution.api import create_execution_plan
from dagster._core.execution.plan.execute_step import _get_output_asset_events
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.compute_log_manager import CapturedLogContext
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._serdes import ConfigurableClassData

if TYPE_CHECKING:
    from starlette.applications import Starlette

__all__ = [
    "DAEMON",
    "AssetJob",
    "CapturedLogContext",
    "CheckRunHealthResult",
    "ConfigurableClassData",
    "LaunchRunContext",
    "LocalComputeLogManager",
    "WorkerStatus",
    "complete_tables",
    "create_execution_plan",
    "dagster_app",
    "end_run",
    "is_on_server",
    "keep_with_run",
    "partition_range_tags",
    "partitions_of_run",
    "record_partitions",
    "shown_on_timeline",
    "tables_of_storage",
    "unrecorded",
]

# The type that `dg.define_asset_job` returns. Replace it when `dagster` exports that type.
AssetJob = UnresolvedAssetJobDefinition

_PICTURES = "pictures"  # folder in that of the output of a run
_REPOSITORY = "__repository__"  # which Dagster makes of the definitions of a module
_POLL_MS = 2000  # how often the pages ask for changes: the webserver's own default

# The command `dagster-daemon`, which need not be on the PATH. Replace it when `python -m dagster` has that command.
DAEMON = (sys.executable, "-m", "dagster._daemon")

# `LaunchRunContext` is what a run launcher gets; `CheckRunHealthResult` and `WorkerStatus` are what it answers to the
# daemon's run monitoring. Replace them when `dagster` exports them beside `RunLauncher`.

# `LocalComputeLogManager` keeps the output of steps, and is made from `ConfigurableClassData` of dagster.yaml. Replace
# them when Dagster's own helper processes ignore Ctrl-C, or when `dagster` exports them.

# `create_execution_plan` is used by `pcip bench dagster` alone, to time the planning of a run. Replace it when
# `JobDefinition` offers its plan.


def partition_range_tags(first: str, last: str) -> dict[str, str]:
    """Tags that make one run cover all partitions from `first` to `last`.

    Replace it when `JobDefinition.execute_in_process` takes a `partition_key_range`, as `dg.materialize` takes a
    `partition_key`.
    """
    return {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}


def partitions_of_run(tags: Mapping[str, str], known: Sequence[str]) -> list[str] | None:
    """The partitions that a run covers, from its tags; None for a run that names none.

    Replace it when `AssetCheckExecutionContext` offers `partition_keys`, as `AssetExecutionContext` does.

    Args:
        tags: of the run.
        known: all partitions of the screen, in Dagster's order.
    """
    if PARTITION_NAME_TAG in tags:
        return [tags[PARTITION_NAME_TAG]]
    if ASSET_PARTITION_RANGE_START_TAG in tags:
        first, last = tags[ASSET_PARTITION_RANGE_START_TAG], tags[ASSET_PARTITION_RANGE_END_TAG]
        return list(known[known.index(first) : known.index(last) + 1])
    return None


def unrecorded(context: dg.AssetExecutionContext, versions: Mapping[str, str]) -> set[str]:
    """The partitions whose latest record in Dagster is not of their present data.

    These are the ones that Dagster shows as never materialized, as failed, with another data version, or as made before
    something that they are made from. Replace it when `dagster` exports storage ids and tags by partition.

    Args:
        context: of the asset.
        versions: partition -> its data version.
    """
    storage, key, asset = context.instance.event_log_storage, context.asset_key, context.assets_def
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    latest = storage.get_latest_storage_id_by_partition(key, kind)
    tags = storage.get_latest_tags_by_partition(key, kind, [DATA_VERSION_TAG])
    pending = {
        partition
        for partition, version in versions.items()
        if partition not in latest or tags.get(partition, {}).get(DATA_VERSION_TAG) != version
    }
    for source in asset.asset_deps[key] if len(pending) < len(versions) else ():
        made = storage.get_latest_storage_id_by_partition(source, kind)
        newest = max(
            (record.storage_id for record in context.instance.fetch_materializations(source, 1).records),
            default=0,
        )
        each = bool(made) and not isinstance(asset.get_partition_mapping(source), dg.AllPartitionMapping)
        pending |= {
            partition
            for partition in versions.keys() - pending
            if latest[partition] < (made.get(partition, 0) if each else newest)
        }
    cached = next(
        (record.asset_entry.cached_status for record in context.instance.get_asset_records([key])), None
    )
    if cached is not None:  # only a new record takes a partition off the failed ones
        failed = cached.deserialize_failed_partition_subsets(asset.partitions_def)
        pending |= versions.keys() & set(failed.get_partition_keys())
    return pending


def record_partitions(
    context: dg.AssetExecutionContext, result: dg.MaterializeResult, versions: Mapping[str, str]
) -> dg.Output[None]:
    """Record some partitions of a run as materialized, each with its own data version; return the output of the asset.

    Dagster itself would record all partitions of the run, with one data version. Replace it when a
    `dg.MaterializeResult` can name its partition.

    Args:
        context: of the asset.
        result: metadata of the asset, of which Dagster keeps a copy with each partition.
        versions: partition -> its data version.
    """
    output = dg.Output(None, metadata=result.metadata, data_version=result.data_version)
    if versions:
        step, (definition,) = context.get_step_execution_context(), context.op_def.output_defs
        kind = context.assets_def.execution_type
        for event in _get_output_asset_events(
            context.asset_key, list(versions), output, definition, {}, step, kind
        ):
            version = {DATA_VERSION_TAG: versions[str(event.partition)]}
            context.log_event(event._replace(tags={**(event.tags or {}), **version}))
    recorded = {**(result.metadata or {}), SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True}
    return dg.Output(None, metadata=recorded)


@contextmanager
def dagster_app(workspace_file: str, *, read_only: bool = False) -> Iterator["Starlette"]:
    """Dagster's pages as an ASGI application, for the instance of DAGSTER_HOME.

    Replace it when `dagster-webserver` takes a middleware, or offers its application.

    Args:
        workspace_file: names the code locations, as `dagster-webserver --workspace` takes it.
        read_only: nobody can launch, stop or change anything on the pages, as with `dagster-webserver --read-only`.
    """
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget
    from dagster_webserver.app import create_app_from_workspace_process_context

    mimetypes.add_type("image/webp", ".webp")  # which not every system knows
    with (
        dg.DagsterInstance.get() as instance,
        WorkspaceProcessContext(
            instance, WorkspaceFileTarget([workspace_file]), dg.__version__, read_only=read_only
        ) as context,
    ):
        yield create_app_from_workspace_process_context(context, live_data_poll_rate=_POLL_MS)


def keep_with_run(instance: dg.DagsterInstance, run_id: str, name: str, content: bytes) -> str | None:
    """Keep a file beside the output of a run; return its address on any webserver of Dagster.

    None where the instance keeps the output elsewhere. Replace it when a metadata value can hold a file.
    """
    manager = instance.compute_log_manager
    if not isinstance(manager, LocalComputeLogManager):
        return None
    stem, _, ending = name.rpartition(".")
    key = [run_id, _PICTURES, stem]
    path = Path(manager.get_captured_local_path(key, ending))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return f"/logs/{'/'.join(key)}/{ending}"


@contextmanager
def shown_on_timeline(instance: dg.DagsterInstance, location: str, module: str) -> Iterator[None]:
    """Have runs of `execute_in_process` recorded as runs of a code location; the timeline leaves out others.

    Replace it when `JobDefinition.execute_in_process` records where its job comes from.

    Args:
        instance: the instance of the runs.
        location: name of the code location.
        module: the module of its definitions.
    """
    target = LoadableTargetOrigin(executable_path=sys.executable, module_name=module)
    repository = RemoteRepositoryOrigin(
        InProcessCodeLocationOrigin(target, location_name=location), _REPOSITORY
    )
    create = instance.create_run_for_job

    def create_here(*, job_def: dg.JobDefinition, **given: Any) -> dg.DagsterRun:
        origin = RemoteJobOrigin(repository, job_def.name)
        return create(job_def=job_def, **{**given, "remote_job_origin": origin})

    vars(instance)["create_run_for_job"] = create_here
    try:
        yield
    finally:
        del vars(instance)["create_run_for_job"]


def end_run(instance: dg.DagsterInstance, run: dg.DagsterRun, message: str) -> None:
    """End an unfinished run from outside, and free the slots that it holds in pools.

    Replace it when `DagsterInstance` offers this in its public interface, as Dagster's pages do.
    """
    if run.status == dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, message)
    else:
        instance.report_run_failed(run, message)
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def is_on_server(instance: dg.DagsterInstance) -> bool:
    """Whether an instance keeps its runs in a database of a server, which other machines may use, too.

    Replace it when `DagsterInstance` says where it keeps runs. Storages of servers come with packages of their own.
    """
    return type(instance.run_storage).__module__.partition(".")[0] != "dagster"


def tables_of_storage() -> set[str]:
    """The tables that Dagster keeps in a database. Replace it when Dagster says whether a database has all of them."""
    from dagster._core.storage.event_log import SqlEventLogStorageMetadata
    from dagster._core.storage.runs import RunStorageSqlMetadata
    from dagster._core.storage.schedules import ScheduleStorageSqlMetadata

    parts = (RunStorageSqlMetadata, SqlEventLogStorageMetadata, ScheduleStorageSqlMetadata)
    return {name for part in parts for name in part.tables}


def complete_tables(address: str) -> None:
    """Make the tables that a PostgreSQL database of Dagster lacks.

    Replace it when Dagster completes tables of which a killed process made some: it looks for one of each storage.
    """
    from dagster_postgres import DagsterPostgresStorage

    storage: Any = DagsterPostgresStorage(address)
    runs, events, schedules = storage.run_storage, storage.event_log_storage, storage.schedule_storage
    for part in (runs, events, schedules):
        part._init_db()
    for part in (runs, schedules):  # record that data of earlier versions need no conversion: there are none
        part.migrate()
        part.optimize()
    events.reindex_events()
    events.reindex_assets()
