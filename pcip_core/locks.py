"""Locks between processes. The holder makes the others wait; the kernel releases the lock when the holder dies.

A lock also shows whether the process that filled a folder still lives, so that what killed ones left can be removed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "pcip_files_"
_SWEEP_AFTER_S = 60.0  # of a folder whose process has not locked it: it may be about to do so


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on a file. The file is created if it does not exist, and is never deleted.

    Args:
        path: the lock file.
        wait: wait for the current holder.

    Raises:
        BlockingIOError: another process holds the lock and `wait` is false.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, locked(Path(folder) / "lock"):
    ...     with locked(Path(folder) / "lock", wait=False):
    ...         pass
    Traceback (most recent call last):
    BlockingIOError: [Errno 11] Resource temporarily unavailable
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)  # less the umask: a group may share a folder
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        try:
            yield
        finally:
            # After a mere close, a child that was forked meanwhile would hold the lock.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder in the system's folder for temporary files. What killed processes left there is removed before."""
    sweep(Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"))
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder, locked(Path(folder) / "owner"):
        files = Path(folder) / "files"
        files.mkdir()
        yield files


def sweep(folders: Iterable[Path]) -> None:
    """Remove the folders that killed processes left: those not recently created whose file `owner` nobody locks.

    Folders of other users and links stay: in a shared folder, they may lead anywhere.
    """
    for folder in folders:
        try:
            status = folder.lstat()
            is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
            if not is_ours or time.time() - status.st_mtime < _SWEEP_AFTER_S:
                continue
            with locked(folder / "owner", wait=False):
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # in use, just gone, or not to be removed now: only space is lost, until a later sweep
