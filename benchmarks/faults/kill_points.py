"""Points at which a process kills itself: before its n-th change of a file or database in one part of a workspace.

Counting changes, unlike waiting for a time, meets each phase of a run on a slow and on a fast machine alike.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_READS = ("SELECT", "PRAGMA", "BEGIN", "EXPLAIN")
PUBLISHED = "published file"
_PLACES = {"feature_store": PUBLISHED, "local.yaml": "settings", ".lock": "settings"}
NEW = "new databases"  # where pcip makes them, before they take their place


@dataclass(frozen=True)
class KillPoint:
    """Kill the process some time after it begins a change.

    Attributes:
        place: part of the workspace.
        number: the change, counted within this place from 1.
        delay_s: time from the beginning of the change.
    """

    place: str
    number: int
    delay_s: float = 0.0


@dataclass
class Changes:
    """Counts the changes of this process by place, and kills it at its point.

    Attributes:
        data: the workspace.
        scratch: folder of temporary files.
        note: a file that gets the place of the kill, or, without a kill, all counts.
        point: where to kill; None to count only.
    """

    data: Path
    scratch: Path
    note: Path
    point: KillPoint | None = None
    counts: Counter[str] = field(default_factory=Counter)
    of_start: dict[str, int] | None = None  # before the first result is written

    def watch(self) -> None:
        """Watch all changes from now on; this cannot be undone."""
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        event.listen(Engine, "before_cursor_execute", self._statement)
        event.listen(
            Engine, "commit", lambda connection: self._change(connection.engine.url.database, "commit")
        )
        sys.addaudithook(self._audit)

    def write_counts(self) -> None:
        """Write the counts, for the caller of a run that was not killed."""
        counts = {"all": dict(self.counts), "start": self.of_start or dict(self.counts)}
        self.note.write_text(json.dumps(counts))

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if event in _CHANGES or (event == "open" and isinstance(args[2], int) and args[2] & _WRITES):
            self._change(args[0], event)

    def _statement(self, connection: Any, cursor: Any, statement: str, *_: object) -> None:
        if not statement.lstrip().upper().startswith(_READS):
            self._change(connection.engine.url.database, statement.split()[0])

    def _change(self, path: object, what: str) -> None:
        place = self._place(path)
        if place is None:
            return
        if place == "store" and self.of_start is None:
            self.of_start = dict(self.counts)
        self.counts[place] += 1
        if self.point is not None and (place, self.counts[place]) == (self.point.place, self.point.number):
            self._kill(f"{place}: {what} {path}", self.point.delay_s)

    def _place(self, path: object) -> str | None:
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if not isinstance(path, str | Path):
            return None
        for folder in (self.data, self.scratch):
            if Path(path).is_relative_to(folder) and Path(path) != folder:
                if folder == self.scratch:
                    return NEW
                first = Path(path).relative_to(folder).parts[0]
                named = (name for part, name in _PLACES.items() if part in first)
                return next(named, first)
        return None

    def _kill(self, text: str, delay_s: float) -> None:
        def now() -> None:
            time.sleep(delay_s)
            os.kill(os.getpid(), signal.SIGKILL)

        self.point = None
        self.note.write_text(text)
        if delay_s:
            _in_background(now)
        else:
            now()


def _in_background(function: Callable[[], None]) -> None:
    threading.Thread(target=function, daemon=True).start()
