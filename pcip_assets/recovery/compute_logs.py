"""The compute log manager of `dagster.yaml`: with it, Ctrl-C in a terminal stops a run and prints no traceback."""

import contextlib
import signal
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pcip_assets.dagster_compat import CapturedLogContext, ConfigurableClassData, LocalComputeLogManager


class SignalProofLogs(LocalComputeLogManager):
    """Dagster's local logs, whose helper processes are spared by the signals that a terminal sends to a whole group.

    Dagster copies the output of a step to the terminal by processes of its own (`tail`, and one that watches it). On
    Ctrl-C they would end before the step has said how it ended, one of them with a traceback.
    """

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "SignalProofLogs":
        """Dagster makes the manager so from `dagster.yaml`."""
        return cls(inst_data=inst_data, **config_value)

    @contextlib.contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Iterator[CapturedLogContext]:
        """Capture the output of a step. Its helper processes inherit that SIGINT is blocked while they start."""
        with contextlib.ExitStack() as stack:
            with _blocked(signal.SIGINT):
                captured = stack.enter_context(super().capture_logs(log_key))
            yield captured


@contextlib.contextmanager
def _blocked(number: signal.Signals) -> Iterator[None]:
    """Delay a signal to this thread; one that arrives meanwhile is delivered at the end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
