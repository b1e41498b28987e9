"""The former version of the published file, kept beside it so that the next publication need not copy the file.

The next publication brings the spare up to date and publishes it; the file that it replaces is the next spare. A
version that somebody still reads is never modified, nor one that another program wrote to, or that has another name.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import sys
from contextlib import suppress
from pathlib import Path

if sys.platform == "linux":
    import fcntl

from pcip_core.files import shared_by_machines
from pcip_core.store.publishing.books import Books, read_books
from pcip_core.store.publishing.foreign import is_known

_AT_ONCE = 2**30  # bytes


def spare_of(path: Path) -> Path:
    """Where the spare of a published file is."""
    return path.with_name(f".{path.name}.spare")


def books_of_spare(path: Path, beside: Path) -> Books | None:
    """The partitions that the spare holds; None without one that pcip wrote.

    Args:
        path: the published file.
        beside: another name for the spare, used for a moment.
    """
    spare = spare_of(path)
    return read_books(spare, beside) if is_known(spare, path) else None


def take(path: Path, beside: Path) -> bool:
    """Give the spare a private name, to modify it; False, and it is removed, if somebody may see the changes.

    Only under the private name can nobody open it after the check. While a publication was being interrupted, the
    spare and the published file may be one file.
    """
    spare_of(path).rename(beside)
    file = beside.lstat()
    if stat.S_ISREG(file.st_mode) and file.st_nlink == 1 and _unread(beside):
        return True
    beside.unlink()
    return False


def keep(path: Path, new: Path) -> None:
    """Make the published file the spare of the new version, which is about to replace it.

    It is kept where it can be used: on a disk with room for one more copy, and on a system that tells whether
    somebody reads a file (nobody reads the new one). It does not tell of readers on other machines.
    """
    drop(path)
    if shared_by_machines(path.parent):
        return
    if shutil.disk_usage(path.parent).free >= path.stat().st_size and _unread(new):
        with suppress(OSError):  # not every file system has links
            os.link(path, spare_of(path))


def drop(path: Path) -> None:
    """Remove the spare."""
    spare_of(path).unlink(missing_ok=True)


def copy(file: Path, to: Path) -> None:
    """Copy a file. File systems that can share blocks (XFS, Btrfs) need not write them again."""
    try:
        with file.open("rb") as source, to.open("wb") as target:
            while os.copy_file_range(source.fileno(), target.fileno(), _AT_ONCE):
                pass
    except (AttributeError, OSError):  # not on every system, nor on every file system
        shutil.copyfile(file, to)


def _unread(file: Path) -> bool:
    """Whether no process has the file open; False also where the system does not tell.

    Linux grants a write lease on a file only if nobody else has it open. DuckDB's own locks do not suffice: a process
    loses its locks on a file when it closes the file, even if it still has it open elsewhere.
    """
    if sys.platform != "linux":
        return False
    descriptor = os.open(file, os.O_RDONLY)
    try:
        # the signal if somebody opens the file now: SIGIO, the default, would end this process
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
