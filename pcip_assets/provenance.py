"""Where a number comes from: the code, the inputs and the run behind each partition.

A partition carries the hash of its inputs and of the code that made it. When both are what they were,
making it again would give the same, so it is left as it is.
"""

import functools
import hashlib
import itertools
import json
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pcip_assets.workspace import REPOSITORY


def inputs_hash(**inputs: Any) -> str:
    """Hash of plain values that fully decide a result."""
    return hashlib.blake2b(
        json.dumps(inputs, sort_keys=True, default=str).encode(), digest_size=12
    ).hexdigest()


def file_stamp(path: str | Path | None) -> list[int] | None:
    """Size and time of a file that somebody else writes; None where there is none."""
    if path is None or not Path(path).is_file():
        return None
    about = Path(path).stat()
    return [about.st_size, about.st_mtime_ns]


@functools.cache
def git_commit() -> str:
    """The repository's commit, with `+changes` when the work tree differs; `unknown` outside git."""
    try:
        run = functools.partial(
            subprocess.run, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=10
        )
        commit = run(["git", "rev-parse", "HEAD"]).stdout.strip()
        changed = run(["git", "status", "--porcelain", "--untracked-files=no"]).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return commit + ("+changes" if changed else "")


def stamp(**extra: Any) -> dict[str, str]:
    """What every partition's metadata says: commit and time, and what is given."""
    made = {"commit": git_commit(), "created_at": datetime.now(UTC).isoformat(timespec="seconds")}
    return made | {key: str(value) for key, value in extra.items() if value is not None}


class Stopwatch:
    """Seconds of a block and the peak memory during it, workers included.

    Memory is the sum of resident sets, sampled every 50 ms; workers are looked for once a second.
    """

    def __enter__(self) -> "Stopwatch":
        import threading

        import psutil

        self._start, self._done, process = time.perf_counter(), threading.Event(), psutil.Process()
        self.peak_mb = process.memory_info().rss / 2**20

        def resident(one: psutil.Process) -> int:
            try:
                return one.memory_info().rss
            except psutil.NoSuchProcess:
                return 0

        def sample() -> None:
            for number in itertools.count():
                if self._done.wait(0.05):
                    return
                if number % 20 == 0:
                    tree = [process, *process.children(recursive=True)]
                self.peak_mb = max(self.peak_mb, sum(map(resident, tree)) / 2**20)

        self._thread = threading.Thread(target=sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._start
        self._done.set()
        self._thread.join()
