"""Counts of what went wrong in a trial, and the rows that they become."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping

from benchmarks.common.harness import Row
from benchmarks.faults import processes
from benchmarks.faults.processes import Ending

LOST, TORN, SILENT, UNFINISHED = "lost", "torn", "silent", "unfinished"
NO_START = "no start"
OUTCOMES: Mapping[str, str] = {
    LOST: "results lost",
    TORN: "commits torn, in the store or in the published file",
    SILENT: "wrong or missing results without a word",
    UNFINISHED: "runs unfinished, or pools held, after the next start",
    processes.TRACED: "tracebacks",
    processes.UNCLEAR: "errors without a remedy",
    processes.HUNG: "hangs",
    processes.TOO_LARGE: f"over {processes.MEMORY_MB / 1024:g} GiB",
    NO_START: "workspaces that do not start again",
}
_LINES = 12  # printed of the last lines of a failed command


class Tally:
    """Outcomes of one trial; several threads may add to it.

    Args:
        trial: the name that its rows begin with.
        of: the outcomes that this trial can have; the others get no row.
    """

    def __init__(self, trial: str, *of: str) -> None:
        self.trial, self.of = trial, of
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, outcome: str, case: str, detail: object) -> None:
        """Count one outcome, and print it, so that it can be tried again."""
        with self._lock:
            self.counts[outcome] += 1
            print(
                f"{self.trial}, {case}: {OUTCOMES.get(outcome, outcome)}: {detail}",
                file=sys.stderr,
                flush=True,
            )

    def count(self, what: str, number: int = 1) -> None:
        """Count something that is not wrong."""
        with self._lock:
            self.counts[what] += number

    def judge(self, case: str, ending: Ending, *expected: str) -> bool:
        """Count a command that ended in none of the expected ways; whether it ended in one."""
        if ending.kind in expected:
            return True
        self.add(ending.kind, case, last_lines(ending.output))
        return False

    def rows(self, n: int) -> Iterator[Row]:
        """One row for each outcome that this trial can have, all with the aim 0."""
        for outcome in self.of:
            count = self.counts[outcome]
            yield Row(f"{self.trial}: {OUTCOMES[outcome]}", count, n=n, aim="0", held=count == 0)


def last_lines(text: str) -> str:
    """The end of what a command printed, or of the last traceback in it."""
    lines = text.rstrip().splitlines()
    starts = [number for number, line in enumerate(lines) if processes.TRACEBACK in line]
    if starts:
        after = enumerate(lines[starts[-1] + 1 :], starts[-1] + 1)
        lines = lines[: next((number for number, line in after if not line.startswith(" ")), len(lines)) + 1]
    return "\n    ".join(["", *lines[-_LINES:]])
