"""Provenance of results: the code, the inputs and the run of each partition.

A partition stores a hash of its inputs and of the version of its code. If the hash has not changed, recomputing
the partition would give the same result, so it is skipped.
"""

import functools
import hashlib
import itertools
import json
import re
import subprocess
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pcip_assets.workspace import REPOSITORY
from pcip_core.files import paths_in


def inputs_hash(within: Path | None = None, /, **inputs: Any) -> str:
    """Hash of plain values that fully determine a result.

    Args:
        within: paths in this folder count relative to it, so that the hash is the same after the folder was moved.
        inputs: the values.
    """
    text = json.dumps(inputs, sort_keys=True, default=str)
    if within is not None:
        text = re.sub(paths_in(json.dumps(str(within))[1:-1]), r"\1", text)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def file_stamp(path: str | Path | None) -> list[int] | None:
    """Size and modification time of a user's file; None if it does not exist."""
    if path is None or not Path(path).is_file():
        return None
    file = Path(path).stat()
    return [file.st_size, file.st_mtime_ns]


@functools.cache
def git_commit() -> str:
    """The commit of a checkout, with `+changes` if its work tree differs; the version of an installed package.

    The folder of an installed package may lie in a repository of other code, whose commit says nothing of pcip.
    """
    if not (REPOSITORY / ".git").exists():
        return f"pcip {version('pcip')}"
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
    """Provenance of a partition: commit, time, and the given values."""
    made = {"commit": git_commit(), "created_at": datetime.now(UTC).isoformat(timespec="seconds")}
    return made | {key: str(value) for key, value in extra.items() if value is not None}


class Stopwatch:
    """Duration and peak memory of a block, including worker processes.

    Memory is the sum of resident set sizes, sampled every 50 ms; the list of workers is updated once per second.
    """

    def __enter__(self) -> "Stopwatch":
        import threading

        import psutil

        self._start, self._done, process = time.perf_counter(), threading.Event(), psutil.Process()
        self.peak_mb = process.memory_info().rss / 2**20

        def resident(worker: psutil.Process) -> int:
            try:
                return worker.memory_info().rss
            except psutil.Error:  # it has ended, or belongs to another user
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
