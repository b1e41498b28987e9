"""Files of an object store on a disk of this machine, of limited total size. Those used last are kept."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pcip_core.errors import StoreError
from pcip_core.files import writing
from pcip_core.locks import owned, sweep

_GIGABYTES = 50.0
_IN_USE_S = 60.0  # a file that was asked for is opened soon after; an open file can be removed


class Cache:
    """A folder of files that never change.

    Args:
        folder: where they lie.
        limit: bytes of all files. Files that were asked for within the last minute are kept beyond it.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self._limit = folder, limit

    @classmethod
    def of(cls, url: str) -> Cache:
        """The cache of an object store, in the folder PCIP_CACHE, of at most PCIP_CACHE_GB gigabytes."""
        home = os.environ.get("PCIP_CACHE") or Path("~/.cache/pcip").expanduser()
        size = os.environ.get("PCIP_CACHE_GB") or str(_GIGABYTES)
        try:
            limit = int(float(size) * 1e9)
        except (ValueError, OverflowError) as error:
            raise StoreError(
                "PCIP_CACHE_GB",
                found=repr(size),
                required="a number of gigabytes, such as 50",
                remedy="Correct it, or leave it out.",
            ) from error
        return cls(Path(home) / hashlib.sha256(url.encode()).hexdigest()[:16], limit)

    def get(self, key: str, fetch: Callable[[Path], object]) -> Path:
        """The file of a key; `fetch` writes it to a path if it is not there."""
        file = self.folder / key
        try:
            os.utime(file)  # it is used now
            return file
        except FileNotFoundError:
            pass
        with self.scratch() as folder:
            fetch(folder / "file")
            self.add(key, folder / "file")
        return file

    def add(self, key: str, file: Path) -> None:
        """Move a file into the cache; what was not used for longest makes room."""
        place = self.folder / key
        place.parent.mkdir(parents=True, exist_ok=True)
        os.utime(file)
        file.replace(place)
        self._evict()

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A temporary folder on the same disk."""
        with writing(self.folder):
            sweep((self.folder / ".scratch").glob("*"))
            with owned(self.folder / ".scratch" / uuid.uuid4().hex) as folder:
                yield folder

    def _evict(self) -> None:
        files = []
        for folder, names, here in os.walk(self.folder):
            names[:] = [name for name in names if name != ".scratch"]
            for name in here:
                try:
                    status = os.stat(f"{folder}/{name}")  # noqa: PTH116
                except FileNotFoundError:  # another process has removed it
                    continue
                files.append((status.st_mtime, status.st_size, f"{folder}/{name}"))
        excess = sum(size for _, size, _ in files) - self._limit
        for used, size, path in sorted(files):
            if excess <= 0 or time.time() - used < _IN_USE_S:
                return
            Path(path).unlink(missing_ok=True)
            excess -= size
