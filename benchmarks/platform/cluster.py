"""Shards as tasks of a Ray cluster of three nodes on this machine, against the same run in one process.

The screen has small drawn images. Its shards are made again by one node, by two, and then by three nodes and one
process in turn, whose tables are compared. Then calls that do nothing, and calls that sleep on up to 1,000 simulated
workers, show what scheduling costs. Last, one node is killed in the middle of a run. Each node is a set of processes
of Ray; all nodes share the processors and the disk of this machine. A simulated worker is a thread.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import polars as pl
import psutil
import yaml

from benchmarks.common.harness import Row
from benchmarks.platform.incremental import Growing
from pcip_assets.compute import tasks
from pcip_assets.compute.cluster import connect
from pcip_assets.compute.cluster import ray as import_ray
from pcip_assets.compute.settings import Compute, Needs
from pcip_assets.compute.tasks import Calls, results_of
from pcip_assets.dagster_compat import partition_range_tags

DESCRIPTION = (
    "shards on a Ray cluster on one machine: equal tables, overhead, 1,000 simulated workers, a node killed"
)
SECONDS = 600
LONG = True
NODES, SHARDS, REPEATS = 3, 8, 2
NOTHING = (100, 1_000, 4_000)
WORKERS, ROUNDS, SLEEP_S = (10, 100, 1_000), 3, 5.0
_PROCESSES = 4  # of the simulated workers
_NOUNS = ("fields", "crops", "cell_features", "control_features")
_NODE: dict[str, Any] = {"node_ip_address": "127.0.0.1", "num_cpus": 1, "object_store_memory": 100 * 2**20}


def run() -> list[Row]:
    """All parts, on one cluster."""
    logging.getLogger("dagster").setLevel(logging.ERROR)
    start = time.perf_counter()
    cluster = _cluster()
    settings = Compute(engine="ray", address=cluster.address)
    ray = connect(settings)
    seconds = time.perf_counter() - start
    rows = [Row("a cluster of one node on this machine: start and connection", seconds, "s")]
    with tempfile.TemporaryDirectory() as folder:
        screen = Growing(Path(folder))
        screen.grow_to(SHARDS)
        rows += more_nodes(screen, settings, cluster)
        rows += both_engines(screen, settings)
        rows += scheduler()
        for count in WORKERS:
            rows += simulated_workers(count)
        rows += killed_node(screen, settings, cluster)
    ray.shutdown()
    cluster.shutdown()
    return rows


def _cluster() -> Any:
    """A cluster of one node on the loopback."""
    os.environ.setdefault(
        "RAY_worker_niceness", "0"
    )  # on a busy machine, both engines wait as long for a processor
    import_ray(loopback=True)
    from ray.cluster_utils import Cluster

    return Cluster(initialize_head=True, head_node_args={**_NODE, "include_dashboard": False})


# -- more nodes ---------------------------------------------------------------------------------------


def more_nodes(screen: Growing, settings: Compute, cluster: Any) -> Iterator[Row]:
    """Every shard made again by one node, and by two; then a run on all nodes that finds everything up to date."""
    work, count, alone = (
        f"{SHARDS} shards of four small fields, four assets, published",
        SHARDS * len(_NOUNS),
        0.0,
    )
    for nodes in range(1, NODES + 1):
        if nodes > 1:
            cluster.add_node(**_NODE)
        with _engine(screen, settings):
            idle = make(screen, force=False)  # the workers import everything
            if nodes == NODES:
                break
            start = time.perf_counter()
            make(screen)
            rate = count / (time.perf_counter() - start)
        alone = alone or rate
        yield Row(f"{work}: on {nodes} of the nodes, shards of an asset a second", rate, n=count,
                  against="on one node", against_value=alone, ratio=rate / alone)  # fmt: skip
    number, size = _events(screen, idle.run_id)
    yield Row(
        f"{work}: all up to date: events in Dagster's database, a shard of an asset", number / count, n=number
    )
    yield Row(f"{work}: all up to date: bytes of these events, a shard of an asset", size / count, "B")


# -- equal tables -------------------------------------------------------------------------------------


def both_engines(screen: Growing, settings: Compute) -> list[Row]:
    """Every shard made again by both engines in turn: seconds, tables, events."""
    seconds: dict[str, list[float]] = {"local": [], "ray": []}
    tables: dict[str, dict[tuple[str, str | None], pl.DataFrame]] = {}
    events = {}
    for _ in range(REPEATS):
        for engine in seconds:
            with _engine(screen, settings if engine == "ray" else Compute()):
                start = time.perf_counter()
                result = make(screen)
                seconds[engine].append(time.perf_counter() - start)
            tables[engine], events[engine] = contents(screen), _events(screen, result.run_id)
    ours, bare = (statistics.median(seconds[engine]) for engine in ("ray", "local"))
    work = f"{SHARDS} shards of four small fields, four assets, published"
    extra = (ours - bare) / (SHARDS * len(_NOUNS))
    count, size = events["ray"]
    unequal = different(tables["local"], tables["ray"])
    return [
        Row(f"{work}: on the cluster (a shard of an asset: {extra * 1000:+.0f} ms)", ours, "s", n=REPEATS,
            against="one process", against_value=bare, ratio=ours / bare,
            spread=(min(seconds["ray"]), max(seconds["ray"]))),
        Row(f"{work}: tables of one engine that differ from the other's, of {len(tables['local'])}",
            len(unequal), aim="0", held=not unequal),
        Row(f"{work}: events in Dagster's database, a shard of an asset", count / (SHARDS * len(_NOUNS)), n=count,
            against="one process", against_value=events["local"][0] / (SHARDS * len(_NOUNS))),
        Row(f"{work}: bytes of these events, a shard of an asset", size / (SHARDS * len(_NOUNS)), "B",
            against="one process", against_value=events["local"][1] / (SHARDS * len(_NOUNS))),
    ]  # fmt: skip


def make(screen: Growing, *, force: bool = True) -> dg.ExecuteInProcessResult:
    """One run over all shards; by force, each is made again."""
    ops = {f"{screen.screen.name}__{noun}": {"config": {"force": force}} for noun in _NOUNS}
    result = screen.job.execute_in_process(
        instance=screen.instance,
        run_config={"loggers": {"console": {}}, "ops": ops},
        tags=partition_range_tags(screen.shards[0], screen.shards[-1]),
        raise_on_error=False,
    )
    assert result.success, [event.message for event in result.all_events if event.is_failure]
    return result


def contents(screen: Growing) -> dict[tuple[str, str | None], pl.DataFrame]:
    """(table, shard) -> its rows, of all tables that are made by shard; crops as well."""
    store, name = screen.store, screen.screen.name
    frames: dict[tuple[str, str | None], pl.DataFrame] = {
        (table, shard): store.read(name, table, shards=[shard])
        for table in store.tables(name)
        for shard in store.shards(name, table)
    }
    for shard in store.shards(name, "cells"):
        pixels = store.read_with_array(name, "cells", "crops", shard)[1]
        frames["crops", shard] = pl.DataFrame({"bytes": [pixels.tobytes()]})
    return frames


def different(first: Mapping[Any, pl.DataFrame], second: Mapping[Any, pl.DataFrame]) -> list[Any]:
    """The tables that are not equal bit for bit, or are in one of the two only."""
    return [key for key in first.keys() | second.keys() if not _equal(first.get(key), second.get(key))]


def _equal(first: pl.DataFrame | None, second: pl.DataFrame | None) -> bool:
    return first is not None and second is not None and first.equals(second)


def _events(screen: Growing, run_id: str) -> tuple[int, int]:
    """Number of the events of a run, and the length of their text."""
    logs = screen.instance.all_logs(run_id)
    return len(logs), sum(len(dg.serialize_value(log)) for log in logs)


@contextlib.contextmanager
def _engine(screen: Growing, settings: Compute) -> Iterator[None]:
    """The engine of the workspace, within the block."""
    file = screen.workspace.data / "compute.yaml"
    file.write_text(yaml.safe_dump({"engine": settings.engine, "address": settings.address}))
    yield
    file.unlink()


# -- the scheduler ------------------------------------------------------------------------------------


def scheduler() -> Iterator[Row]:
    """Calls that do nothing: what one costs the driver."""
    driver = psutil.Process()
    list(results_of(_calls(_nothing, 1.0), ["warm"]))
    for count in NOTHING:
        before, used, start = driver.memory_info().rss, time.process_time(), time.perf_counter()
        list(results_of(_calls(_nothing, 0.5), list(map(str, range(count)))))
        a_call, own = ((end - begun) / count for end, begun in (
            (time.perf_counter(), start), (time.process_time(), used)
        ))  # fmt: skip
        grown = max(0, driver.memory_info().rss - before) / 2**20
        what = f"{count:,} calls that do nothing"
        yield Row(f"{what}: a call, and {grown:.0f} MiB more in the driver", a_call * 1000, "ms", n=count)
        yield Row(f"{what}: processor time of the driver, a call", own * 1000, "ms", n=count)
    yield Row("memory of a process of Ray that has imported pcip", statistics.median(_resident_mb()), "MiB")


def simulated_workers(count: int) -> Iterator[Row]:
    """Calls that sleep and send a message, on threads that take the place of workers."""
    import ray

    driver, actor = psutil.Process(), ray.remote(_Sleepers)
    share = -(-count // _PROCESSES)
    actors = [actor.options(num_cpus=0, max_concurrency=share).remote() for _ in range(_PROCESSES)]
    turns = itertools.cycle(actors)

    class Threads(tasks._Pending):
        def begin(self, item: Any) -> None:
            self.items[next(turns).call.remote(self._function, item, self.box, 1)] = item

    heard: list[Any] = []
    calls = Calls("calls", _sleep, Needs(cpus=1), attempts=1, hear=lambda *message: heard.append(message))
    with mock.patch.object(tasks, "_Pending", Threads):
        list(results_of(calls, list(map(str, range(count)))))  # the threads start
        heard.clear()
        items, before, used = count * ROUNDS, driver.memory_info().rss, time.process_time()
        start = time.perf_counter()
        done = [item for item, _ in results_of(calls, list(map(str, range(items))))]
        seconds, own = time.perf_counter() - start, time.process_time() - used
    grown = max(0, driver.memory_info().rss - before) / 2**20
    for each in actors:
        ray.kill(each)
    what, ideal = f"{items:,} calls that sleep {SLEEP_S:g} s on {count:,} simulated workers", ROUNDS * SLEEP_S
    whole = len(set(done)) == len(done) == len(heard) == items
    yield Row(f"{what}, and {grown:.0f} MiB more in the driver", seconds, "s", n=items,
              against="without a scheduler", against_value=ideal, ratio=seconds / ideal)  # fmt: skip
    yield Row(f"{what}: processor time of the driver, a call", own / items * 1000, "ms", n=items)
    yield Row(f"{what}: results and messages that arrived once", len(set(done)) + len(heard), n=2 * items,
              aim=f"{2 * items:,}", held=whole)  # fmt: skip


class _Sleepers:
    """A process whose threads are simulated workers."""

    def call(self, function: Any, item: str, box: Any, cpus: int) -> Any:
        return tasks._call(function, item, box, cpus)


def _resident_mb() -> Iterator[float]:
    """Memory of each of Ray's workers."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if " ".join(process.cmdline()).startswith("ray::"):
                yield process.memory_info().rss / 2**20


def _calls(function: Any, cpus: float) -> Calls:
    return Calls("calls", partial(function), Needs(cpus=cpus), attempts=3, hear=lambda *_: None)


def _nothing(item: str, tell: Any) -> str:
    return item


def _sleep(item: str, tell: Any) -> str:
    tell("sleeping")
    time.sleep(SLEEP_S)
    return item


# -- a node is killed ---------------------------------------------------------------------------------


def killed_node(screen: Growing, settings: Compute, cluster: Any) -> list[Row]:
    """SIGKILL to all processes of one node when some shards are there: what is lost, and what is there twice."""
    before, numbers = contents(screen), _commits(screen)
    node = next(iter(cluster.worker_nodes))
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    killed: list[int] = []

    def kill() -> None:
        while sum(number != numbers[key] for key, number in _commits(screen).items()) < len(numbers) / 3:
            time.sleep(0.1)
        victims = [raylet, *raylet.children(recursive=True)]
        killed.append(len(victims))
        for victim in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()

    killer = threading.Thread(target=kill)
    with _engine(screen, settings):
        killer.start()
        start = time.perf_counter()
        result = make(screen)
        seconds = time.perf_counter() - start
        killer.join()
    made = Counter(
        (event.asset_key.path[-1], event.partition)
        for event in result.all_events
        if event.is_step_materialization and event.asset_key is not None
    )
    after = contents(screen)
    lost = [key for key in numbers if _commits(screen)[key] == numbers[key]]
    what = f"one of {NODES} nodes killed ({killed[0]} processes, SIGKILL) in the middle of {SHARDS} shards"
    return [
        Row(f"{what}: until the run has ended with success", seconds, "s"),
        Row(f"{what}: results that were not made again", len(lost), aim="0", held=not lost),
        Row(f"{what}: tables that differ from those before", len(different(before, after)), aim="0",
            held=not different(before, after)),
        Row(f"{what}: results reported more than once, of {len(made)}", sum(count > 1 for count in made.values()),
            aim="0", held=len(made) == SHARDS * len(_NOUNS) and set(made.values()) == {1}),
    ]  # fmt: skip


def _commits(screen: Growing) -> dict[tuple[str, str], int]:
    """(table, shard) -> the number of its commit, of one table of each asset."""
    store, name = screen.store, screen.screen.name
    tables = ("fields", "cells", "cell_features_inpainting_conv1", "cell_features_untrained_conv1")
    return {
        (table, shard): (store.provenance(name, table, shard) or {})["commit_number"]
        for table in tables
        for shard in screen.shards
    }
