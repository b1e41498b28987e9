"""The record of fetched files: `downloads.jsonl`, one line per file. The last line of a file is valid."""

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
    """One fetched file: its path relative to the root, address, size, digest and time (`fetched_at`: UTC, ISO)."""

    path: str
    url: str
    bytes: int
    sha256: str
    fetched_at: str


@dataclass(frozen=True)
class Failure:
    """One file that could not be fetched, with the reason. The next run tries again."""

    path: str
    url: str
    reason: str


class Manifest:
    """`downloads.jsonl` of a root. It is read once; then any thread can append complete lines."""

    def __init__(self, root: Path) -> None:
        self._path, self._lock = root / MANIFEST, Lock()
        self._torn = _ends_mid_line(self._path)
        self.entries = {entry.path: entry for entry in read_manifest(root)}

    def add(self, entry: Entry) -> None:
        """Append an entry and write it to the disk before returning."""
        line = json.dumps(asdict(entry)) + "\n"
        with self._lock, self._path.open("a", encoding="utf-8") as stream:
            stream.write("\n" + line if self._torn else line)
            stream.flush()
            os.fsync(stream.fileno())
            self._torn = False
            self.entries[entry.path] = entry


def _ends_mid_line(path: Path) -> bool:
    """Whether the last line is incomplete, because the process was killed. The next line then needs a line break."""
    if not path.is_file() or path.stat().st_size == 0:
        return False
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read() != b"\n"


def read_manifest(root: Path) -> list[Entry]:
    """Read the entries in the order of fetching. Incomplete lines are skipped."""
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
    """Write `failures.csv`, or delete it if there are no failures."""
    rows, path = list(failures), root / FAILURES
    if not rows:
        path.unlink(missing_ok=True)
        return
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "url", "reason"])
        writer.writerows([row.path, row.url, row.reason] for row in rows)
