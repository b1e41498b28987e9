"""What pcip uses of Dagster's private parts does what it says, and stands in one module."""

import re

import dagster as dg
import pytest

from pcip_assets.dagster_compat import create_execution_plan, partition_range_tags, partitions_of_run
from pcip_assets.workspace import REPOSITORY

KNOWN = ["b", "a", "c", "d"]  # in the order in which they were registered


def job_over(seen: list[list[str]]) -> dg.JobDefinition:
    """A job of one asset that notes the partitions of its run."""

    @dg.asset(
        partitions_def=dg.DynamicPartitionsDefinition(name="letters"),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def letters(context: dg.AssetExecutionContext) -> None:
        seen.append(list(context.partition_keys))

    return dg.Definitions([letters], jobs=[dg.define_asset_job("letters_job")]).resolve_job_def("letters_job")


@pytest.mark.parametrize(("first", "last"), [("a", "c"), ("b", "d"), ("a", "a")])
def test_a_run_covers_the_range_of_its_tags(first: str, last: str) -> None:
    seen: list[list[str]] = []
    tags = partition_range_tags(first, last)
    with dg.instance_for_test() as instance:
        instance.add_dynamic_partitions("letters", KNOWN)
        result = job_over(seen).execute_in_process(instance=instance, tags=tags)
        assert partitions_of_run(result.dagster_run.tags, KNOWN) == seen[0]
    assert seen[0] == KNOWN[KNOWN.index(first) : KNOWN.index(last) + 1]


def test_a_run_of_one_partition_and_a_run_of_none() -> None:
    seen: list[list[str]] = []
    with dg.instance_for_test() as instance:
        instance.add_dynamic_partitions("letters", KNOWN)
        result = job_over(seen).execute_in_process(instance=instance, partition_key="c")
        assert partitions_of_run(result.dagster_run.tags, KNOWN) == seen[0] == ["c"]
    assert partitions_of_run({}, KNOWN) is None


def test_a_run_can_be_planned() -> None:
    plan = create_execution_plan(job_over([]), tags=partition_range_tags("a", "c"))
    assert [step.key for step in plan.get_all_steps_in_topo_order()] == ["letters"]


def test_no_other_module_uses_private_parts_of_dagster() -> None:
    private = re.compile(r"dagster\._|[\"']dagster/(asset_partition|partition)")
    modules = [
        path for folder in ("pcip_assets", "benchmarks") for path in (REPOSITORY / folder).rglob("*.py")
    ]
    users = [path.name for path in modules if private.search(path.read_text())]
    assert users == ["dagster_compat.py"]
