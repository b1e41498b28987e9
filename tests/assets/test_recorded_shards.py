"""Dagster records the shards that it does not know as they are, and shows the others as before, judged by Dagster."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest
from dagster._core.storage.partition_status_cache import AssetPartitionStatus

from pcip_assets.assets.results import Made, Tables
from pcip_assets.assets.skeleton import asset
from pcip_assets.dagster_compat import partition_range_tags
from pcip_assets.resources import Library
from pcip_assets.workspace import Workspace
from pcip_core.spec.screen import Screen
from tests.conftest import write_spec

SHARDS = ("a", "b", "c")


@dataclass
class Screenlet:
    """Two assets by shard: `images`, made from `pixels` and `labels`, and `cells`, made from `pixels` alone."""

    workspace: Workspace
    screen: Screen
    instance: dg.DagsterInstance
    pixels: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SHARDS, 0))
    labels: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SHARDS, 0))
    broken: str | None = None  # a shard of `cells` that cannot be made

    def job(self) -> dg.JobDefinition:
        shards = dg.DynamicPartitionsDefinition(name="letters")

        @asset(self.screen, "images", kinds=set(), shards=shards)
        def images(context: dg.AssetExecutionContext, library: Library) -> Tables:
            return Tables("noun", lambda shard: {"of": (self.pixels[shard], self.labels[shard])}, self.made)

        @asset(self.screen, "cells", kinds=set(), shards=shards, deps=[[self.screen.name, "images"]])
        def cells(context: dg.AssetExecutionContext, library: Library) -> Tables:
            return Tables("notes", lambda shard: {"of": self.pixels[shard]}, self.made_unless_broken)

        self.definitions = dg.Definitions(
            [images, cells],
            resources={"library": Library(data=str(self.workspace.data))},
            jobs=[dg.define_asset_job("both")],
        )
        return self.definitions.resolve_job_def("both")

    def made(self, shard: str | None) -> Made:
        return Made({"noun": pl.DataFrame({"number": [1]})})

    def made_unless_broken(self, shard: str | None) -> Made:
        if shard == self.broken:
            raise ValueError("broken")
        return Made({"notes": pl.DataFrame({"number": [1]})})

    def run(self, first: str = "a", last: str = "c", **ops: Any) -> set[tuple[str, str]]:
        """One run over a range of shards; the materializations that it recorded: (asset, shard)."""
        result = self.job().execute_in_process(
            instance=self.instance,
            tags=partition_range_tags(first, last),
            run_config={"ops": ops},
            raise_on_error=False,
        )
        self.success = result.success
        events = [event for event in result.all_events if event.is_step_materialization]
        pairs = [(event.asset_key.path[-1], event.partition) for event in events if event.asset_key]
        assert len(pairs) == len(set(pairs))
        return {(noun, str(shard)) for noun, shard in pairs}

    def status(self, noun: str) -> dict[str, Any]:
        """What Dagster's pages show of each shard."""
        key, shards = dg.AssetKey([self.screen.name, noun]), dg.DynamicPartitionsDefinition(name="letters")
        return dict(self.instance.get_status_by_partition(key, SHARDS, shards) or {})

    def outdated(self) -> set[tuple[str, str]]:
        """What Dagster's pages call out of date."""
        graph = self.definitions.resolve_asset_graph()
        resolver = CachingStaleStatusResolver(self.instance, graph, LoadingContextForTest(self.instance))
        return {
            (noun, shard)
            for noun in ("images", "cells")
            for shard in SHARDS
            if resolver.get_status(dg.AssetKey([self.screen.name, noun]), shard) != StaleStatus.FRESH
        }


FRESH = dict.fromkeys(SHARDS, AssetPartitionStatus.MATERIALIZED)
ALL = {(noun, shard) for noun in ("images", "cells") for shard in SHARDS}


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Screenlet]:
    monkeypatch.setattr("pcip_assets.assets.skeleton.code_version", lambda *_, **__: "first")
    workspace = Workspace(tmp_path / "data")
    screen = workspace.find(str(write_spec(tmp_path)))
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        instance.add_dynamic_partitions("letters", SHARDS)
        yield Screenlet(workspace, screen, instance)


def test_what_is_up_to_date_is_recorded_once_and_stays_materialized(both: Screenlet) -> None:
    assert both.run("a", "b") == {(noun, shard) for noun in ("images", "cells") for shard in "ab"}
    assert both.run() == {("images", "c"), ("cells", "c")}
    assert both.run() == set()
    assert both.success
    assert both.status("images") == both.status("cells") == FRESH
    assert both.outdated() == set()
    run = next(iter(both.instance.get_runs(limit=1)))
    lines = [log.user_message for log in both.instance.all_logs(run.run_id)]
    assert [line for line in lines if "up to date" in line] == [
        "tiny/images: 3 of 3 shards up to date",
        "tiny/cells: 3 of 3 shards up to date",
    ]
    assert both.run(tiny__images={"config": {"force": True}}) == ALL  # and what was made from them


def test_a_shard_follows_what_it_is_made_from_although_it_stays_as_it_is(both: Screenlet) -> None:
    both.run()
    both.labels["b"] = 1
    assert both.run("b", "b") == {("images", "b"), ("cells", "b")}
    assert both.outdated() == set()
    both.pixels["c"] = 1
    assert both.run() == {("images", "c"), ("cells", "c")}
    assert both.outdated() == set()


def test_another_instance_of_dagster_records_what_others_have_stored(both: Screenlet, tmp_path: Path) -> None:
    both.run()
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as other:
        other.add_dynamic_partitions("letters", SHARDS)
        both.instance = other
        assert both.run() == ALL
        assert both.status("cells") == FRESH
        assert both.run() == set()


@pytest.mark.parametrize("looked_at", [True, False], ids=["somebody looks at the page", "nobody looks"])
def test_shards_of_a_run_that_failed_are_shown_as_failed_until_the_next_one(
    both: Screenlet, *, looked_at: bool
) -> None:
    both.run()
    both.pixels["c"], both.broken = 1, "c"
    assert both.run() == {("images", "c")}
    assert not both.success
    if looked_at:
        assert set(both.status("cells").values()) == {AssetPartitionStatus.FAILED}
    both.broken = None
    recorded = both.run()
    assert ("cells", "c") in recorded
    assert recorded == ({("cells", shard) for shard in SHARDS} if looked_at else {("cells", "c")})
    assert both.status("images") == both.status("cells") == FRESH
    assert both.outdated() == set()


@pytest.mark.parametrize(("variable", "each"), [("false", len(SHARDS)), ("true", 1)])
def test_dagster_can_write_one_planned_event_for_all_shards_of_an_asset(
    both: Screenlet, monkeypatch: pytest.MonkeyPatch, variable: str, each: int
) -> None:
    monkeypatch.setenv("DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS", variable)
    both.run()
    run = next(iter(both.instance.get_runs(limit=1)))
    planned = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
    events = [log.dagster_event for log in both.instance.all_logs(run.run_id) if log.dagster_event]
    assert sum(event.event_type == planned for event in events) == 2 * each
    assert both.status("images") == both.status("cells") == FRESH
