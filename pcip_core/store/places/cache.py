"""Files of a bucket or a shared folder on a disk of this machine, of limited total size. Those used last are kept."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pcip_core.errors import StoreError, WriteError
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
    def of(cls, store: str) -> Cache:
        """The cache of a store (a URL or a path), in the folder PCIP_CACHE, of at most PCIP_CACHE_GB gigabytes."""
        home = Path(os.environ.get("PCIP_CACHE") or "~/.cache/pcip").expanduser()
        size = os.environ.get("PCIP_CACHE_GB") or str(_GIGABYTES)
        try:
            limit = int(float(size) * 1e9)
            if limit < 0:
                raise ValueError
        except (ValueError, OverflowError) as error:
            raise StoreError(
                "PCIP_CACHE_GB",
                found=repr(size),
                required="a number of gigabytes, such as 50",
                remedy="Correct it, or leave it out.",
            ) from error
        return cls(home / hashlib.sha256(store.encode()).hexdigest()[:16], limit)

    def get(self, key: str, fetch: Callable[[Path], object]) -> Path:
        """The file of a key; `fetch` writes it to a path if it is not there."""
        file = self.folder / key
        try:
            os.utime(file)  # it is used now
            return file
        except PermissionError:  # a file of another user, which need not be readable
            if os.access(file, os.R_OK):
                return file
        except (FileNotFoundError, NotADirectoryError):
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
        """A temporary folder on the same disk.

        Raises:
            WriteError: the folder of the cache, or a file in it, cannot be written.
        """
        place = self.folder / ".scratch"
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(os.strerror(error.errno or 0).lower()) from error
        try:
            with writing(self.folder):
                sweep(place.glob("*"))
                with owned(place / uuid.uuid4().hex) as folder:
                    yield folder
        except WriteError as error:
            if error.where != str(self.folder):
                raise
            raise self._unusable(error.found) from error

    def _unusable(self, found: str) -> WriteError:
        return WriteError(
            self.folder,
            found=found,
            required="a folder for copies of files of the store, with free space",
            remedy="Free some space, change its permissions, or set PCIP_CACHE to another folder.",
        )

    def _evict(self) -> None:
        files, now = [], time.time()
        for folder, names, here in os.walk(self.folder):
            names[:] = [name for name in names if name != ".scratch"]
            for name in here:
                try:
                    status = os.stat(f"{folder}/{name}")  # noqa: PTH116
                except OSError:  # another process has removed it
                    continue
                used = status.st_mtime if status.st_mtime < now + _IN_USE_S else 0.0  # the clock was set back
                files.append((used, status.st_size, f"{folder}/{name}"))
        excess = sum(size for _, size, _ in files) - self._limit
        for used, size, path in sorted(files):
            if excess <= 0 or now - used < _IN_USE_S:
                return
            with suppress(OSError):  # another process has removed it, or it is one of another user
                Path(path).unlink()
            excess -= size
