"""Tables that the page writes are published and reported to Dagster while the user goes on."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pcip_core.errors import PcipError

_QUIET_S = 0.7  # without a change, before the published file is brought up to date
_REPORTED_AFTER_S = 20.0  # without a change, before Dagster is told, which takes seconds of processor time
_AT_MOST_S = 120


class Publisher:
    """A thread that publishes and reports tables after they were changed. Changes in quick succession count as one.

    Args:
        publish: brings the published file up to date.
        report: tells Dagster of tables.
        quiet_s, reported_after_s: seconds without a change before each.
    """

    def __init__(
        self,
        publish: Callable[[], object],
        report: Callable[[list[str]], None],
        *,
        quiet_s: float = _QUIET_S,
        reported_after_s: float = _REPORTED_AFTER_S,
    ) -> None:
        self._publish, self._report = publish, report
        self._quiet_s, self._reported_after_s = quiet_s, reported_after_s
        self._condition = threading.Condition()
        self._unpublished = self._ending = False
        self._unreported: set[str] = set()
        self._last = 0.0
        self._problems: dict[str, str] = {}  # of each step that failed
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def refresh(self) -> None:
        """Publish what an earlier page may have left, because it was killed: after a while, as it is no hurry."""
        with self._condition:
            self._unpublished, self._last = True, time.monotonic() + self._reported_after_s
            self._condition.notify_all()

    def changed(self, table: str) -> None:
        """A table was written."""
        with self._condition:
            self._unpublished, self._last = True, time.monotonic()
            self._unreported.add(table)
            self._condition.notify_all()

    def state(self) -> dict[str, object]:
        """Whether changes are still to be published, and why the last publication failed."""
        with self._condition:
            return {"pending": self._unpublished, "problem": next(iter(self._problems.values()), None)}

    @property
    def is_behind(self) -> bool:
        """Whether something is left to publish or to report."""
        with self._condition:
            return self._unpublished or bool(self._unreported)

    def close(self) -> None:
        """Publish and report what is left."""
        with self._condition:
            self._ending = True
            self._condition.notify_all()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._condition:
                while not self._due():
                    self._condition.wait(self._wait_s())
                if not (self._unpublished or self._unreported):
                    return
                publishes, self._unpublished = self._unpublished, False
                tables = sorted(self._unreported) if not publishes else []
                self._unreported -= set(tables)
            if publishes:
                self._try("publish", self._publish)
            if tables:
                self._try("report", partial(self._report, tables))

    def _due(self) -> bool:
        quiet = time.monotonic() - self._last
        waiting = self._unpublished and quiet >= self._quiet_s
        return self._ending or waiting or bool(self._unreported and quiet >= self._reported_after_s)

    def _wait_s(self) -> float | None:
        quiet = time.monotonic() - self._last
        if self._unpublished:
            return max(self._quiet_s - quiet, 0.01)
        return max(self._reported_after_s - quiet, 0.01) if self._unreported else None

    def _try(self, name: str, step: Callable[[], object]) -> None:
        """Take a step, and keep its problem until the same step succeeds."""
        try:
            step()
        except (PcipError, OSError, subprocess.SubprocessError) as error:
            self._problems = {
                **self._problems,
                name: str(error),
            }  # anew, as `state` reads it in other threads
        else:
            self._problems = {key: text for key, text in self._problems.items() if key != name}


def report_in_process(data: Path, screen: str, tables: list[str]) -> None:
    """Report tables to Dagster in a process of its own, because its import would hold up the page for seconds.

    Raises:
        PcipError: it failed.
    """
    command = [sys.executable, "-m", "pcip_assets.browse.reporting", str(data), screen, *tables]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_AT_MOST_S, check=False)
    if done.returncode:
        raise PcipError(
            "Dagster",
            found=f"an error ({done.stderr.strip().rpartition(chr(10))[2][:300]})",
            required="a record of the labels that were written",
            remedy="The labels are stored and published; start `pcip ui` to see what is wrong with Dagster.",
        )
