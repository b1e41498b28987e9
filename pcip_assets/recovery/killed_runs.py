"""Ending the runs whose process is gone: a killed process ends nothing, and its run would hold a pool for ever.

Each run records the process that carries it out, as a tag in Dagster and in MLflow. pcip ends a run only if this
process is certainly gone. Machines that share a disk may have the same name, so that each is identified by its id.
"""

import contextlib
import functools
import json
import logging
import os
import socket
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import psutil

from pcip_assets.dagster_compat import end_run, is_on_server
from pcip_assets.recovery.databases import defect, mlflow_database
from pcip_assets.recovery.queries import mlflow_query
from pcip_assets.workspace import Workspace

PROCESS_TAG = "pcip/process"
MACHINE_TAG = "pcip/machine"
_LOG = logging.getLogger("pcip")
_TOLERANCE_S = 2.0  # of the start of a process: the system's clock may be adjusted between two readings
_MACHINE_ID = 32  # characters of the id that systemd gives a machine
_UNTAGGED_S = 60.0  # within which a started run records its process
_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


class Machine(NamedTuple):
    """A machine from one start to the next, as processes see it that share their numbers.

    Attributes:
        host: its name.
        boot: identifies it since it was switched on.
        namespace: in which the numbers of processes count; each container has its own.
        id: identifies it; empty in tags of earlier versions.
    """

    host: str
    boot: str
    namespace: str
    id: str

    @property
    def is_here(self) -> bool:
        """Whether its processes can be seen from this one."""
        return (self.boot, self.namespace) == (_here().boot, _here().namespace)

    @property
    def has_own_id(self) -> bool:
        """Whether its id is certainly that of no other: containers on two machines may have one network address."""
        return len(self.id) == _MACHINE_ID

    @property
    def was_switched_off(self) -> bool:
        """Whether it is this machine before its last start; False for another machine, which cannot be seen."""
        here = _here()
        return self.boot != here.boot and self.host == here.host and self.id in ("", here.id)


@dataclass(frozen=True)
class Process:
    """A process, told apart from any later process with the same number.

    Attributes:
        host, boot, namespace, machine: of its `Machine`.
        pid: number of the process.
        started: seconds from the boot to the start of the process; adjusting the clock does not change it.
    """

    host: str
    boot: str
    namespace: str
    pid: int
    started: float
    machine: str = ""

    @classmethod
    def current(cls) -> "Process":
        """This process."""
        here = _here()
        return cls(here.host, here.boot, here.namespace, os.getpid(), _started(psutil.Process()), here.id)

    @property
    def is_gone(self) -> bool:
        """Whether the process has certainly ended; False for a process that cannot be seen from here."""
        machine = Machine(self.host, self.boot, self.namespace, self.machine)
        if not machine.is_here:
            return machine.was_switched_off
        try:
            process = psutil.Process(self.pid)
            is_other = abs(_started(process) - self.started) > _TOLERANCE_S
            return is_other or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True


def process_tags(run_id: str = "") -> dict[str, str]:
    """The tag that records this process with a run; a Dagster run needs its id in it.

    Dagster copies the tags of a run to its re-execution, which another process carries out.
    """
    return {PROCESS_TAG: json.dumps({"run": run_id, **asdict(Process.current())})}


def machine_tags() -> dict[str, str]:
    """The tag that records this machine with a run that is launched, until its process has recorded itself."""
    return {MACHINE_TAG: json.dumps(_here())}


def record_process(context: dg.InitResourceContext) -> None:
    """Record this process with the Dagster run that it carries out."""
    if context.instance is not None and context.run is not None:
        context.instance.add_run_tags(context.run.run_id, process_tags(context.run.run_id))


def is_killed(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the process of an unfinished run is certainly gone."""
    shared = is_on_server(instance)
    run_id, process = _recorded(run.tags.get(PROCESS_TAG))
    if process is not None and run_id == run.run_id:
        return _is_gone(process, shared=shared)
    machine = _recorded_machine(run.tags.get(MACHINE_TAG))
    if machine is None:
        if shared:
            return False  # it may be of any machine
        machine = _here()
    if not machine.is_here:
        return machine.was_switched_off and (machine.has_own_id or not shared)
    record = instance.get_run_record_by_id(run.run_id)
    if record is None or record.start_time is None or time.time() - record.start_time < _UNTAGGED_S:
        return False
    pids = _pids_of_events(instance, run.run_id)
    return bool(pids) and not any(psutil.pid_exists(pid) for pid in pids)


def end_killed_runs(workspace: Workspace, instance: dg.DagsterInstance) -> list[str]:
    """End the unfinished runs of Dagster and MLflow whose process is gone, and free the slots that they hold in pools.

    Returns:
        the ids of the Dagster runs that were ended.
    """
    unfinished = dg.RunsFilter(statuses=_UNFINISHED)
    suspects = [run.run_id for run in instance.get_runs(unfinished) if is_killed(instance, run)]
    # Asked again, because a run may have finished, and its process with it, between the two questions.
    killed = instance.get_runs(dg.RunsFilter(suspects, statuses=_UNFINISHED)) if suspects else []
    for run in killed:
        end_run(
            instance, run, "The process of this run is gone: it was killed, or the machine was switched off."
        )
        _LOG.warning(f"Dagster run {run.run_id} ({run.job_name}) is ended, because its process is gone")
    _end_killed_trainings(workspace)
    return [run.run_id for run in killed]


def _end_killed_trainings(workspace: Workspace) -> None:
    """Set the status of killed runs in MLflow. A training that goes on later does so in its unfinished run."""
    shared = workspace.servers.mlflow is not None
    killed = [run_id for run_id, process in _running_in_mlflow(workspace) if _is_gone(process, shared=shared)]
    if not killed:
        return
    import mlflow

    client = mlflow.MlflowClient(workspace.mlflow_uri)
    for run_id in killed:
        client.set_terminated(run_id, "KILLED")
        _LOG.warning(f"MLflow run {run_id} is ended, because its process is gone")


def _running_in_mlflow(workspace: Workspace) -> list[tuple[str, Process]]:
    """The unfinished runs and their processes, without MLflow's help: importing it takes seconds."""
    if workspace.servers.mlflow is None and defect(mlflow_database(workspace)) is not None:
        return []
    with mlflow_query(workspace) as query:
        if query is None:
            return []
        rows = query(
            "SELECT run_uuid, value FROM runs JOIN tags USING (run_uuid) WHERE status = 'RUNNING' AND key = ? "
            "AND lifecycle_stage = 'active'",  # MLflow refuses to change a run that a user deleted
            [PROCESS_TAG],
        )
    return [(run_id, process) for run_id, tag in rows if (process := _recorded(tag)[1]) is not None]


def _recorded(tag: str | None) -> tuple[str, Process | None]:
    """The run and the process that a tag names; no process if it cannot be read, because anybody can edit a tag."""
    try:
        values = json.loads(tag or "{}")
        return values.pop("run"), Process(**values)
    except (ValueError, LookupError, TypeError, AttributeError):
        return "", None


def _is_gone(process: Process, *, shared: bool) -> bool:
    """Whether a process is certainly gone; `shared`: other machines record theirs in the same database."""
    machine = Machine(process.host, process.boot, process.namespace, process.machine)
    return process.is_gone and (machine.is_here or machine.has_own_id or not shared)


def _recorded_machine(tag: str | None) -> Machine | None:
    """The machine that a tag names; None if there is no tag, as earlier versions of pcip left it."""
    try:
        return Machine(*map(str, json.loads(tag or "")))
    except (ValueError, TypeError):
        return None


def _pids_of_events(instance: dg.DagsterInstance, run_id: str) -> list[int]:
    """The processes that Dagster's events name, for a run without a tag, as earlier versions of pcip left them."""
    logs = instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    events = [log.dagster_event.engine_event_data for log in logs if log.dagster_event is not None]
    return [int(str(event.metadata["pid"].value)) for event in events if "pid" in event.metadata]


def _started(process: psutil.Process) -> float:
    return process.create_time() - psutil.boot_time()


@functools.cache
def _here() -> Machine:
    """The machine of this process."""
    host, machine = socket.gethostname(), _machine_id()
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return Machine(host, boot, str(Path("/proc/self/ns/pid").readlink()), machine)
    except OSError:  # not Linux
        return Machine(host, f"{host} {machine}", "", machine)


def _machine_id() -> str:
    """What tells this machine from all others: the id that systemd gave it, or the address of its network card."""
    with contextlib.suppress(OSError):
        if machine := Path("/etc/machine-id").read_text().strip():
            return machine
    return f"{uuid.getnode():012x}"
