"""Runs whose process is gone are ended, and no others."""

import dataclasses
import json
import logging
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.events import EngineEventData
from dagster._core.launcher import LaunchRunContext
from dagster._daemon.monitoring.run_monitoring import monitor_started_run
from mlflow import MlflowClient

from pcip_assets.cli.run import open_instance
from pcip_assets.recovery import killed_runs
from pcip_assets.recovery.databases import ensure, mlflow_database
from pcip_assets.recovery.killed_runs import PROCESS_TAG, Machine, Process, end_killed_runs, process_tags
from pcip_assets.workspace import Workspace


class Child:
    """A process that waits, and its description as it would record it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
        started = psutil.Process(self.process.pid).create_time() - psutil.boot_time()
        self.described = dataclasses.replace(Process.current(), pid=self.process.pid, started=started)

    def tags(self, run_id: str = "") -> dict[str, str]:
        return {PROCESS_TAG: json.dumps({"run": run_id, **dataclasses.asdict(self.described)})}

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def alive() -> Iterator[Child]:
    child = Child()
    yield child
    child.kill()


@pytest.fixture
def killed() -> Child:
    child = Child()
    child.kill()
    return child


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "data")


@dg.job
def nothing() -> None:
    """A job to have runs of."""


class Runs:
    """Runs of one instance, by names that the tests give them."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.ids: dict[str, str] = {}

    def start(
        self, name: str, child: Child | None, status: str = "STARTED", *, tagged_as: str = ""
    ) -> dg.DagsterRun:
        run_id = self.ids[name] = str(uuid.uuid4())
        tags = child.tags(self.ids[tagged_as or name]) if child else {}
        return self.instance.create_run_for_job(
            nothing, run_id=run_id, tags=tags, status=dg.DagsterRunStatus(status)
        )

    def statuses(self) -> dict[str, str]:
        records = {name: self.instance.get_run_record_by_id(run_id) for name, run_id in self.ids.items()}
        return {name: record.dagster_run.status.value for name, record in records.items() if record}


def test_a_process_is_gone_once_it_was_killed(alive: Child) -> None:
    assert not Process.current().is_gone
    assert not alive.described.is_gone
    alive.process.send_signal(signal.SIGKILL)
    while (
        psutil.Process(alive.process.pid).status() != psutil.STATUS_ZOMBIE
    ):  # its parent did not ask for it yet
        pass
    assert alive.described.is_gone
    alive.kill()
    assert alive.described.is_gone


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        ({"started": 5.0}, True),  # the number belongs to another process now
        ({"boot": "before"}, True),
        ({"boot": "before", "host": "other"}, False),
        ({"namespace": "pid:[1]"}, False),
        ({"host": "renamed"}, False),
        ({"boot": "of another machine", "machine": "another of the same name"}, False),
        ({"boot": "before", "machine": ""}, True),  # recorded by an earlier version
    ],
)
def test_what_is_certain_of_a_process(change: dict[str, object], gone: bool) -> None:  # noqa: FBT001
    assert dataclasses.replace(Process.current(), **change).is_gone == gone  # type: ignore[arg-type]


def test_a_run_of_a_killed_process_is_ended_and_its_slot_freed(
    workspace: Workspace, alive: Child, killed: Child, caplog: pytest.LogCaptureFixture
) -> None:
    runs = Runs(open_instance(workspace))
    runs.start("dead", killed)
    runs.start("living", alive)
    slots = runs.instance.event_log_storage
    for name, run_id in runs.ids.items():
        slots.set_concurrency_slots(f"pool of the {name}", 1)
        assert slots.claim_concurrency_slot(f"pool of the {name}", run_id, "step").is_claimed
    runs.start("unstarted", killed, "NOT_STARTED")
    runs.start("stopping", killed, "CANCELING")
    runs.start("re-execution", killed, tagged_as="dead")  # Dagster copies the tags of the first run
    with caplog.at_level(logging.WARNING, "pcip"):
        open_instance(workspace)
    assert runs.statuses() == {
        "dead": "FAILURE",
        "living": "STARTED",
        "unstarted": "FAILURE",
        "stopping": "CANCELED",
        "re-execution": "STARTED",
    }
    assert slots.get_concurrency_info("pool of the dead").active_slot_count == 0
    assert slots.get_concurrency_info("pool of the living").active_slot_count == 1
    assert f"Dagster run {runs.ids['dead']} (nothing) is ended, because its process is gone" in caplog.text
    assert not end_killed_runs(workspace, runs.instance)


def test_a_run_of_another_machine_with_the_same_name_is_left_alone(
    workspace: Workspace, alive: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a disk that machines share, a run that was just launched has not recorded its process yet."""
    runs = Runs(open_instance(workspace))
    here = killed_runs._here()
    machines = {
        "switched off": here._replace(boot="before"),
        "another": here._replace(boot="other", id="another"),
        "a container": here._replace(namespace="pid:[1]"),
        "this": here,
    }
    for name, machine in machines.items():
        run = runs.start(name, None, "STARTING")
        runs.instance.add_run_tags(run.run_id, {killed_runs.MACHINE_TAG: json.dumps(machine)})
        process = EngineEventData.in_process(2**22 + 1)  # no process of this machine has this number
        runs.instance.report_engine_event("Started process", run, process)
        runs.instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", "nothing"), run.run_id)
    monkeypatch.setattr(killed_runs, "_UNTAGGED_S", 0.0)
    end_killed_runs(workspace, runs.instance)
    expected = {"switched off": "FAILURE", "another": "STARTED", "a container": "STARTED", "this": "FAILURE"}
    assert runs.statuses() == expected


def test_in_a_database_of_several_machines_only_what_is_certain_is_ended(
    workspace: Workspace, killed: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Containers on two machines may have one name and one network address, which then is no proof."""
    runs, systemd = Runs(open_instance(workspace)), "0123456789abcdef" * 2
    here = killed_runs._here()
    for name, machine in {"switched off": systemd, "perhaps a container elsewhere": "0242ac110002"}.items():
        child = Child()
        child.kill()
        child.described = dataclasses.replace(child.described, boot="before", machine=machine)
        with monkeypatch.context() as patched:
            patched.setattr(killed_runs, "_here", lambda machine=machine: here._replace(id=machine))
            runs.start(name, child)
            assert child.described.is_gone
    runs.start("dead", killed)
    run = runs.start("without a tag", None, "STARTING")
    runs.instance.report_engine_event("Started process", run, EngineEventData.in_process(2**22 + 1))
    runs.instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", "nothing"), run.run_id)
    monkeypatch.setattr(killed_runs, "_UNTAGGED_S", 0.0)
    monkeypatch.setattr(killed_runs, "is_on_server", lambda instance: True)
    monkeypatch.setattr(Machine, "was_switched_off", property(lambda machine: machine.boot == "before"))
    end_killed_runs(workspace, runs.instance)
    assert runs.statuses() == {
        "switched off": "FAILURE",
        "perhaps a container elsewhere": "STARTED",
        "dead": "FAILURE",
        "without a tag": "STARTED",
    }


def test_a_launched_run_records_its_machine(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs(open_instance(workspace))
    launcher = runs.instance.run_launcher
    run = runs.start("run", None)
    monkeypatch.setattr(dg.DefaultRunLauncher, "launch_run", lambda *_: None)
    launcher.launch_run(LaunchRunContext(run, None))
    record = runs.instance.get_run_by_id(run.run_id)
    assert record is not None
    assert record.tags[killed_runs.MACHINE_TAG] == json.dumps(killed_runs._here())


@pytest.mark.parametrize("tag", ["", "{}", "null", "[1]", '{"run": "a", "pid": 1}'])
def test_a_tag_that_somebody_edited_says_nothing(tag: str) -> None:
    assert killed_runs._recorded(tag) == ("", None)


def test_a_run_that_finishes_while_it_is_judged_stays_finished(
    workspace: Workspace, killed: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(open_instance(workspace))
    run = runs.start("run", killed)

    def finishes(*_: object) -> bool:
        runs.instance.report_dagster_event(dg.DagsterEvent("PIPELINE_SUCCESS", "nothing"), run.run_id)
        return True

    monkeypatch.setattr(killed_runs, "is_killed", finishes)
    assert end_killed_runs(workspace, runs.instance) == []
    assert runs.statuses() == {"run": "SUCCESS"}


def test_a_run_without_a_tag_is_judged_by_the_process_in_its_events(
    workspace: Workspace, alive: Child, killed: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As versions of pcip left it that recorded no process."""
    runs = Runs(open_instance(workspace))
    for name, child in {"dead": killed, "living": alive}.items():
        run = runs.start(name, None, "STARTING")
        process = EngineEventData.in_process(child.process.pid)
        runs.instance.report_engine_event("Started process", run, process)
        runs.instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", "nothing"), run.run_id)
    runs.start("without events", None)
    assert end_killed_runs(workspace, runs.instance) == [], "they may not have recorded their process yet"
    monkeypatch.setattr(killed_runs, "_UNTAGGED_S", 0.0)
    assert end_killed_runs(workspace, runs.instance) == [runs.ids["dead"]]


def test_a_run_of_a_killed_process_is_ended_in_mlflow(
    workspace: Workspace, alive: Child, killed: Child
) -> None:
    ensure(workspace, [mlflow_database(workspace)])
    client = MlflowClient(workspace.mlflow_uri)
    runs = {
        name: client.create_run("0", tags=tags).info.run_id
        for name, tags in {
            **{"dead": killed.tags(), "living": alive.tags(), "of a user": {}},
            **{"deleted": killed.tags(), "edited": {PROCESS_TAG: "{}"}},
        }.items()
    }
    client.delete_run(runs["deleted"])
    open_instance(workspace)
    assert {name: client.get_run(run_id).info.status for name, run_id in runs.items()} == {
        "dead": "KILLED",
        "living": "RUNNING",
        "of a user": "RUNNING",
        "deleted": "RUNNING",  # MLflow does not change a deleted run
        "edited": "RUNNING",
    }


def test_the_daemon_ends_a_run_of_a_killed_process(workspace: Workspace, alive: Child) -> None:
    runs = Runs(open_instance(workspace))
    runs.start("run", alive)

    def monitor() -> dict[str, str]:
        record = runs.instance.get_run_record_by_id(runs.ids["run"])
        assert record is not None
        monitor_started_run(runs.instance, None, record, logging.getLogger("daemon"))  # type: ignore[arg-type]
        return runs.statuses()

    assert monitor() == {"run": "STARTED"}
    alive.kill()
    assert monitor() == {"run": "FAILURE"}


def test_a_resource_records_the_process_of_its_run(workspace: Workspace) -> None:
    seen = {}

    @dg.resource
    def recorder(context: dg.InitResourceContext) -> None:
        killed_runs.record_process(context)

    @dg.op(required_resource_keys={"recorder"})
    def look(context: dg.OpExecutionContext) -> None:
        run = context.instance.get_run_by_id(context.run_id)
        assert run is not None
        seen.update(json.loads(run.tags[PROCESS_TAG]), run_id=context.run_id)

    @dg.job(resource_defs={"recorder": recorder})
    def looking() -> None:
        look()

    looking.execute_in_process(instance=open_instance(workspace))
    run_id = seen.pop("run_id")
    assert seen == json.loads(process_tags(run_id)[PROCESS_TAG])
