"""The logs of steps: what copies them to the terminal outlives Ctrl-C."""

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pcip_assets.dagster_compat import LocalComputeLogManager
from pcip_assets.recovery.compute_logs import SignalProofLogs


@pytest.fixture
def _signals_end_children() -> Iterator[None]:
    """A test process in the background ignores both signals, and its children would inherit that."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def _left_after_ctrl_c(logs: LocalComputeLogManager, *, ends: bool) -> int:
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
        ended, _ = psutil.wait_procs(helpers, timeout=3 if ends else 1)
    return len(helpers) - len(ended)


@pytest.mark.usefixtures("_signals_end_children")
def test_helper_processes_outlive_ctrl_c(tmp_path: Path) -> None:
    assert _left_after_ctrl_c(SignalProofLogs(str(tmp_path / "ours")), ends=False) == 4
    assert _left_after_ctrl_c(LocalComputeLogManager(str(tmp_path / "dagster's")), ends=True) == 0
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())
