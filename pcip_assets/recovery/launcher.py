"""The run launcher of `dagster.yaml`: with it, the daemon's run monitoring ends runs whose process is gone."""

import dagster as dg

from pcip_assets.dagster_compat import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from pcip_assets.recovery.killed_runs import is_killed, machine_tags


class WatchedRunLauncher(dg.DefaultRunLauncher):
    """Dagster's default launcher, which also tells the daemon whether the process of a started run lives."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """The daemon asks every few seconds (`run_monitoring` in dagster.yaml)."""
        return True

    def launch_run(self, context: LaunchRunContext) -> None:
        """Record the machine, because the process of the run records itself only some seconds later."""
        self._instance.add_run_tags(context.dagster_run.run_id, machine_tags())
        super().launch_run(context)

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Failed if the process is certainly gone, also for a run that `pcip run` started."""
        if is_killed(self._instance, run):
            return CheckRunHealthResult(WorkerStatus.FAILED, "The process of this run is gone.")
        return CheckRunHealthResult(WorkerStatus.RUNNING)
