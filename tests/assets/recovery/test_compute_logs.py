"""The logs of steps: what copies them to the terminal outlives Ctrl-C."""

import signal
from pathlib import Path

import psutil

from pcip_assets.dagster_compat import LocalComputeLogManager
from pcip_assets.recovery.compute_logs import SignalProofLogs


def _left_after_ctrl_c(logs: LocalComputeLogManager) -> int:
    """How many of the helper processes live after a SIGINT to each, as a terminal sends it."""
    this = psutil.Process()
    before = {child.pid for child in this.children()}
    with logs.capture_logs(["run", "compute_logs", "step"]):
        helpers = [child for child in this.children() if child.pid not in before]
        assert len(helpers) == 4  # for each of stdout and stderr one that copies, and one that watches it
        for helper in helpers:
            while helper.status() == psutil.STATUS_RUNNING and not helper.cmdline():
                pass  # not yet the program that it will be
            helper.send_signal(signal.SIGINT)
        ended, _ = psutil.wait_procs(helpers, timeout=1)
    return len(helpers) - len(ended)


def test_helper_processes_outlive_ctrl_c(tmp_path: Path) -> None:
    assert _left_after_ctrl_c(SignalProofLogs(str(tmp_path / "ours"))) == 4
    assert _left_after_ctrl_c(LocalComputeLogManager(str(tmp_path / "dagster's"))) == 0
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())
