"""Locks between processes. The holder makes the others wait; the kernel releases the lock when the holder dies.

A lock also shows whether the process that filled a folder still lives, so that what killed ones left can be removed.

The processes may be on several machines that share a folder over NFS: its server keeps the locks, and frees those of a
machine that died. No clock of a machine is compared with that of the server.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "pcip_files_"
_REMOVALS, _BETWEEN_S = 5, 0.05
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
            refresh(path.parent)
            yield
        finally:
            # After a mere close, a child that was forked meanwhile would hold the lock.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def refresh(*folders: Path | str) -> None:
    """Make sure that names in these folders are looked up as they are now, not as this machine remembers them.

    A client of NFS remembers for up to a minute which names a folder has, and which it has not. It asks the server
    again when a process opens the folder. On a local disk this takes a microsecond, and changes nothing.
    """
    for folder in folders:
        with suppress(OSError):  # it does not exist, which is what the caller will find
            os.close(os.open(folder, os.O_RDONLY))


@contextmanager
def owned(folder: Path, *, after_error: bool = True) -> Iterator[Path]:
    """A new folder, which `sweep` leaves alone while this process lives. It is removed at the end.

    Args:
        folder: its path.
        after_error: remove it also after an error of the block.
    """
    folder.mkdir(parents=True)
    try:
        with locked(folder / "owner"):
            yield folder
    except BaseException:
        if after_error:
            _remove(folder)
        raise
    # not before: NFS keeps a file that is open, under another name, and its folder with it
    _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder, also if threads of a failed writer add the last files meanwhile; `sweep` takes what is left."""
    for _ in range(_REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(_BETWEEN_S)


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

    Folders of other users and links stay: in a shared folder, they may lead anywhere. How old a folder is, the clock
    tells that stamps it, which may be that of a server.
    """
    now: float | None = None
    for folder in folders:
        try:
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
                continue
            now = _now(folder.parent) if now is None else now
            if now - status.st_mtime < _SWEEP_AFTER_S:
                continue
            with locked(folder / "owner", wait=False):
                shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)  # see `owned`
        except OSError:
            continue  # in use, just gone, or not to be removed now: only space is lost, until a later sweep


def _now(folder: Path) -> float:
    """The time by the clock that stamps new files of a folder."""
    probe = Path(tempfile.mkdtemp(prefix=".time_", dir=folder))
    try:
        return probe.stat().st_mtime
    finally:
        probe.rmdir()
