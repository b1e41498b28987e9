"""What is right and wrong in a workspace: partitions, the published file, runs and pools."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from pcip_assets.cli.run import open_instance
from pcip_assets.workspace import Workspace
from pcip_core.store.partitions import Store
from pcip_core.store.publish import connect

WHOLE = ""  # the shard of a table without shards
_VOLATILE = (
    "screen",
    "root",
    "spec",
    "encoder_version",
    "mlflow_run_id",
)  # of the folder and of the training

Key = tuple[str, str, str]  # screen, table, shard
Digests = dict[Key, str]


@dataclass(frozen=True)
class State:
    """The contents of a workspace.

    Attributes:
        stored: digest of the rows of each partition in the store.
        commits: the commit of each partition in the store.
        published, published_commits: the same of the published file.
        problems: what is wrong by itself: files that cannot be read, runs that are not ended.
    """

    stored: Digests
    commits: dict[Key, str]
    published: Digests
    published_commits: dict[Key, str]
    problems: list[str] = field(default_factory=list)

    def together(self) -> list[list[Key]]:
        """The partitions that one commit wrote, which change together or not at all."""
        groups: dict[str, list[Key]] = {}
        for key, commit in self.commits.items():
            groups.setdefault(commit, []).append(key)
        return list(groups.values())


def look(data: Path) -> State:
    """Start as `pcip run` does, then read everything. A process is needed for each call (`processes.call`)."""
    workspace = Workspace(data)
    problems = _unfinished(workspace)
    store = Store(workspace.store)
    stored: Digests = {}
    commits: dict[Key, str] = {}
    columns: dict[tuple[str, str], list[str]] = {}
    for screen in store.screens():
        for table in store.tables(screen):
            for shard in store.shards(screen, table) or [None]:
                key = (screen, table, shard or WHOLE)
                commits[key] = (store.provenance(screen, table, shard) or {})["commit_id"]
                frame = store.read(screen, table, shards=[shard] if shard else None)
                stored[key], columns[screen, table] = digest(frame), frame.columns
                if table == "cells":
                    store.read_with_array(screen, "cells", "crops", str(shard))
    if not workspace.published.is_file():
        return State(stored, commits, {}, {}, problems)
    published, published_commits = _read_published(workspace.published, columns)
    return State(stored, commits, published, published_commits, problems)


def _unfinished(workspace: Workspace) -> list[str]:
    """Runs that no process carries out and pools that nobody frees, after a start of pcip."""
    import dagster as dg
    from mlflow import MlflowClient

    problems = []
    with open_instance(workspace) as instance:
        filters = dg.RunsFilter(statuses=[status for status in dg.DagsterRunStatus if status.value in _OPEN])
        problems += [f"Dagster run {run.run_id} is {run.status.value}" for run in instance.get_runs(filters)]
        storage = instance.event_log_storage
        for pool in storage.get_concurrency_keys():
            if storage.get_concurrency_info(pool).claimed_slots:
                problems.append(f"pool {pool} is held")
    if (workspace.mlflow_folder / "mlflow.db").is_file():
        client = MlflowClient(workspace.mlflow_uri)
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        runs = client.search_runs(experiments, "attributes.status = 'RUNNING'") if experiments else []
        problems += [f"MLflow run {run.info.run_id} is RUNNING" for run in runs]
    return problems


_OPEN = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")


def _read_published(
    path: Path, columns: Mapping[tuple[str, str], list[str]]
) -> tuple[Digests, dict[Key, str]]:
    """Digests and commits of the partitions in the published file, over the columns that are stored."""
    digests: Digests = {}
    with connect(path) as con:
        rows = con.execute("SELECT screen, tbl, shard, commit_id FROM main.published").fetchall()
        commits = {(screen, table, shard): commit for screen, table, shard, commit in rows}
        tables = con.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE schema_name <> 'main'"
        ).fetchall()
        for screen, table in tables:
            frame = pl.DataFrame(pl.from_arrow(con.sql(f'FROM "{screen}"."{table}"').to_arrow_table()))
            names = [name for name in columns.get((screen, table), frame.columns) if name in frame.columns]
            for shard in (key[2] for key in commits if key[:2] == (screen, table)):
                of_shard = frame if shard == WHOLE else frame.filter(pl.col("shard") == shard)
                digests[screen, table, shard] = digest(of_shard.select(names))
    return digests, commits


def digest(frame: pl.DataFrame) -> str:
    """The same for the same rows, in whichever order."""
    names = sorted(set(frame.columns) - set(_VOLATILE))
    rows = sorted(str(row) for row in frame.select(names).iter_rows())
    return hashlib.sha256("\n".join([*names, *rows]).encode()).hexdigest()[:16]


def faults(
    state: State, before: Mapping[Key, str], allowed: Mapping[Key, set[str]], together: list[list[Key]]
) -> dict[str, list[str]]:
    """What is wrong after a kill, by kind: `lost`, `torn`, `silent`, `unfinished`.

    Args:
        state: the workspace now.
        before: digests of the store before.
        allowed: partition -> digests that undisturbed runs give it.
        together: partitions that are written by one commit.
    """
    wrong: dict[str, list[str]] = {"lost": [], "torn": [], "silent": [], "unfinished": list(state.problems)}
    wrong["lost"] = [f"{key} is gone" for key in before if key not in state.stored]
    for place, digests in (("store", state.stored), ("published file", state.published)):
        for key, found in digests.items():
            if key in allowed and found not in allowed[key] and found != before.get(key):
                wrong["silent"].append(f"{key} in the {place} has other rows than any undisturbed run")
    for place, commits in (("store", state.commits), ("published file", state.published_commits)):
        for group in together:
            if len({commits.get(key) for key in group}) > 1:
                wrong["torn"].append(f"{group[0]} and others in the {place} are of several commits")
    return wrong


def unpublished(state: State) -> list[str]:
    """Partitions whose rows in the published file are not those of the store, after a run that succeeded."""
    listed = [
        f"{key} is not published"
        for key in state.stored
        if state.published_commits.get(key) != state.commits[key]
    ]
    listed += [
        f"{key} is published with other rows"
        for key, published in state.published.items()
        if key in state.stored and published != state.stored[key]
    ]
    return listed
