"""The record of what was fetched: `downloads.jsonl`, one line a file, of which the last one counts."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock

from pcip_core.files import replacing

MANIFEST, FAILURES = "downloads.jsonl", "failures.csv"


@dataclass(frozen=True)
class Entry:
    """One fetched file: path under the root, where it came from, and what came (`fetched_at` is UTC, ISO)."""

    path: str
    url: str
    bytes: int
    sha256: str
    fetched_at: str


@dataclass(frozen=True)
class Failure:
    """One file that could not be fetched, and why; the next run tries again."""

    path: str
    url: str
    reason: str


class Manifest:
    """`downloads.jsonl` of a root: read once, then appended to, a whole line at a time, from any thread."""

    def __init__(self, root: Path) -> None:
        self._path, self._lock = root / MANIFEST, Lock()
        self._torn = _ends_mid_line(self._path)
        self.entries = {entry.path: entry for entry in read_manifest(root)}

    def add(self, entry: Entry) -> None:
        """Append an entry; it is on the disk when this returns."""
        line = json.dumps(asdict(entry)) + "\n"
        with self._lock, self._path.open("a", encoding="utf-8") as stream:
            stream.write("\n" + line if self._torn else line)
            stream.flush()
            os.fsync(stream.fileno())
            self._torn = False
            self.entries[entry.path] = entry


def _ends_mid_line(path: Path) -> bool:
    """Whether a kill has cut the last line short, so that the next one must start with a line break."""
    if not path.is_file() or path.stat().st_size == 0:
        return False
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read() != b"\n"


def read_manifest(root: Path) -> list[Entry]:
    """The entries in the order of fetching; a line that a kill cut short is left out."""
    path = root / MANIFEST
    if not path.is_file():
        return []
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entries.append(Entry(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return entries


def write_failures(root: Path, failures: Iterable[Failure]) -> None:
    """Replace `failures.csv` by these; without any, remove it."""
    rows, path = list(failures), root / FAILURES
    if not rows:
        path.unlink(missing_ok=True)
        return
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "url", "reason"])
        writer.writerows([row.path, row.url, row.reason] for row in rows)
